"""A provider of Docker hosts, without the deploy: locks, history, logs, dumps, review apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_deploy.errors import Refused
from ci_deploy.layers.providers.compose import backups, checks, history, logs, review
from ci_deploy.layers.providers.compose.hosts import Hosts
from ci_deploy.layers.providers.compose.images import Images
from ci_deploy.layers.providers.compose.settings import AboutCompose
from ci_deploy.layers.providers.docker.backups import servers
from ci_deploy.layers.providers.docker.review import stale
from ci_deploy.run.context import Context
from ci_deploy.run.events import CHECKED_BUILDING
from ci_deploy.state import Backup, Deployed


class OnHosts(AboutCompose):
    """What the Compose provider does besides deploying; its subclass `Compose` does that. `hosts`
    are all hosts of the app."""

    unlocks = False
    hosts: Hosts

    def history(self) -> Sequence[Deployed]:
        return history.deployments(self.hosts.all)

    def logs(self, service: str, *, lines: int, follow: bool) -> None:
        logs.show(self.ctx, self.hosts, service, lines=lines, follow=follow)

    def lock_holder(self) -> str:
        return "; ".join(f"{h}: {h.facts.holder}" for h in self.hosts.all if h.facts.holder)

    def unlock(self) -> None:
        holding = next((h for h in self.hosts.all if h.facts.holder), self.hosts.first)
        watch = self.hosts.watch_command(holding, self.ctx.app)
        raise Refused(
            "the lock cannot be removed manually: it is released when its deployment ends.",
            hint=f"To follow that deployment: `{watch}`.",
        )

    def inspect(self) -> Mapping[str, str]:
        return checks.summary(self.hosts.all)

    @property
    def host_names(self) -> Sequence[str]:
        return [host.server.bracketed for host in self.hosts.all]

    # --- databases ---

    def check_backup(self) -> None:
        servers(backups.images(self.hosts.first), self.settings.backup_service)

    def backup(self) -> None:
        backups.backup(self.ctx, self.hosts, self.settings.backup_service)

    def backups(self) -> Sequence[Backup]:
        return backups.backups(self.ctx, self.hosts)

    def restore(self, name: str) -> None:
        backups.restore(self.ctx, self.hosts, name)

    # --- review apps ---

    def is_review_app(self) -> bool:
        wanted = self.ctx.reviewed
        return review.marked(self.hosts.all, wanted.name, wanted.base)

    def adopt(self) -> None:
        review.adopt(self.ctx, self.hosts)

    def destroy(self) -> None:
        review.destroy(self.ctx, self.hosts)

    def stale_review_apps(self, days: int) -> Sequence[str]:
        return stale(self.hosts.reviews(), self.ctx.app, days)


def images(ctx: Context, archives: Sequence[str], hosts: Hosts) -> Images:
    """The source of the images: `archives` (DEPLOY_IMAGE_ARCHIVE) for commands that deploy what
    was built, and for `doctor`; else a registry. Only the former load the modules for archives."""
    if not archives or ctx.command not in CHECKED_BUILDING:
        return Images()
    from ci_deploy.layers.providers.compose.archives import Archives

    return Archives(ctx, archives, hosts)
