"""A provider of swarms, without the deploy: locks, history, logs, dumps, review apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_deploy.errors import Refused
from ci_deploy.layers.providers.docker.review import check_limit, stale
from ci_deploy.layers.providers.swarm import records, review
from ci_deploy.layers.providers.swarm.backups import Databases, restores
from ci_deploy.layers.providers.swarm.judge import live
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.settings import AboutSwarm
from ci_deploy.layers.providers.swarm.state import Stack
from ci_deploy.layers.providers.swarm.switch import Switch
from ci_deploy.run.tasks import in_words
from ci_deploy.state import Backup, Deployed, Live


class OnSwarm(AboutSwarm):
    """The provider of swarms without its deploy, which `layer.Swarm` adds; that also sets
    `manager`, `switch`, `databases` and `stack`, the state that was fetched last."""

    unlocks = False
    name_limit = review.LONGEST
    manager: Manager
    stack: Stack
    switch: Switch
    databases: Databases

    def _live(self) -> Live:
        """What runs; not up as long as a restore is unfinished."""
        found, left = live(self.stack, records.verified(self.stack)), restores(self.stack)
        detail = f"{found.detail}; unfinished: {in_words(left)}"
        return found._replace(up=False, detail=detail) if left else found

    def history(self) -> Sequence[Deployed]:
        return records.deployments(self.stack)

    def logs(self, service: str, *, lines: int, follow: bool) -> None:
        self.switch.jobs.logs(self.stack, service, lines=lines, follow=follow)

    def lock_holder(self) -> str:
        return self.stack.holder or ""

    def unlock(self) -> None:
        raise Refused(
            "the lock cannot be removed manually: it is released when its job ends.",
            hint=f"Held by {self.stack.holder}. Cancel that job to release it.",
        )

    def inspect(self) -> Mapping[str, str]:
        stack = self.stack
        nodes = f"nodes: {len(stack.nodes)}, managers: {stack.managers}"
        locked = f", locked: {stack.holder}" if stack.holder else ""
        return {f"manager {self.manager}": f"Docker {stack.docker}, {nodes}{locked}"}

    # --- databases ---

    def check_backup(self) -> None:
        self.databases.chosen(self.stack)

    def backup(self) -> None:
        self.databases.backup(self.manager.look())

    def backups(self) -> Sequence[Backup]:
        return [each for each, _ in self.databases.found()]

    def restore(self, name: str) -> None:
        self.databases.restore(name)

    # --- review apps ---

    @property
    def exists(self) -> bool:
        if self.ctx.review:
            return review.exists(self.stack)
        return bool(self.stack.ours or records.records(self.stack))

    def is_review_app(self) -> bool:
        return review.marked(self.stack, self.ctx.reviewed.base)

    def check_room(self) -> None:
        """Raises Refused when one more review app would exceed REVIEW_LIMIT."""
        if self.ctx.review and not self.exists:
            limit = self.settings.review_limit
            check_limit(self.ctx.review, self.stack.reviews, limit, "the swarm")

    def adopt(self) -> None:
        self.switch.store.mark(self.ctx.reviewed)

    def destroy(self) -> None:
        review.destroy(self.ctx, self.manager)

    def stale_review_apps(self, days: int) -> Sequence[str]:
        return stale(self.stack.reviews, self.ctx.app, days)
