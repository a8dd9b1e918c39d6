"""The events of a run on a Docker Swarm.

The engine itself switches releases, restarts tasks and rolls back, and continues without the job,
so there is no program of ours on the hosts. The job gives a stack file to a manager, follows the
result and judges it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from ci_deploy.errors import ImageMissing, NoService, Problem, SkipDeploy, expect
from ci_deploy.layers.priorities import Configure
from ci_deploy.layers.providers.docker import options
from ci_deploy.layers.providers.docker import review as reviewing
from ci_deploy.layers.providers.docker.files import compose_files
from ci_deploy.layers.providers.docker.login import login
from ci_deploy.layers.providers.docker.promotion import Source, chosen
from ci_deploy.layers.providers.docker.release import Release, make_release
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.layers.providers.swarm import promotion, records, review
from ci_deploy.layers.providers.swarm.backups import Databases, restores
from ci_deploy.layers.providers.swarm.convert import marked
from ci_deploy.layers.providers.swarm.manager import REFUSED, Manager
from ci_deploy.layers.providers.swarm.provider import OnSwarm
from ci_deploy.layers.providers.swarm.reading import Wanted, as_bytes, read
from ci_deploy.layers.providers.swarm.settings import SwarmSettings
from ci_deploy.layers.providers.swarm.state import Kept, Stack
from ci_deploy.layers.providers.swarm.switch import Switch
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.run.context import Context
from ci_deploy.run.events import (
    CHECKED_BUILDING,
    CHECKED_RELEASING,
    RELEASING,
    Event,
    on,
)
from ci_deploy.run.order import guard, order
from ci_deploy.run.tasks import Task, dumped, in_words, loaded
from ci_deploy.state import Live, ProcessAction, Ran


class Swarm(OnSwarm):
    """A stack on a Docker Swarm, over ssh to one of its managers."""

    migrate = "before"
    migrates = frozenset({"before", "after"})
    promotes_by_deploy = True

    def __init__(self, ctx: Context, settings: SwarmSettings) -> None:
        super().__init__(ctx, settings)
        self.ssh = Ssh(ctx, settings, "`ssh-copy-id -i KEY.pub USER@HOST`")
        where = (settings.servers, settings.path, lambda: self.name_of_stack)
        self.manager = Manager(ctx, self.ssh, *where)
        self.login = login(ctx, settings)
        self.stack = Stack()
        self.wanted_release = Wanted()
        self.release: Release | None = None
        self.source: Source | None = None  # the source of `promote`
        self.databases = Databases(ctx, self.manager, settings)
        self.switch = Switch(ctx, self.manager, self.login, settings, self.databases.finish)
        self._target: Kept | None = None
        self._tasks: Sequence[Task] | None = None

    def problems(self) -> Iterable[Problem]:
        yield from self.ssh.prepare()
        deploys = self.ctx.command == "deploy"  # `promote` has the source's tag
        yield from options.problems(self.ctx, self.settings, deploys=deploys)
        if self.settings.archives and self.ctx.command in CHECKED_BUILDING:
            reason = "is not possible in a swarm, since each node that runs a task pulls its image."
            remedy = "Push it to a registry, or use Compose (unset STACK_NAME) on a single host."
            yield Problem("DEPLOY_IMAGE_ARCHIVE", reason, "", remedy)

    @property
    def name_of_stack(self) -> str:
        """The stack's name in the engine: STACK_NAME, else the app's name; for a review app one
        made from its name."""
        if self.ctx.review:
            return reviewing.project(self.ctx.review.name)
        return self.settings.stack or self.ctx.app

    def begin(self) -> None:
        self.manager.open()

    # --- the state of the stack ---

    def connect(self) -> None:
        """Choose a manager, fetch the stack's state (`stack`), and for a deploy or a promotion read
        the compose files into `release`."""
        ctx, tree = self.ctx, None
        if ctx.command == "promote":
            self._saw(self.manager.choose())
            self.source = promotion.look(ctx, self.ssh, self.settings, self.manager)
        tag = self.source.tag if self.source else options.image_tag(ctx, self.settings)
        variables = options.variables(self.settings, tag, self.login.registry)
        variables |= reviewing.variables(ctx.review, ctx.facts)
        if ctx.review:
            review.check_name(ctx.review)
        if ctx.command in CHECKED_RELEASING:
            tree = Tree(ctx, compose_files(ctx, self.settings.files), variables)
        self._saw(self.manager.choose())
        ctx.before = self._live()
        if self.stack.down:
            ctx.console.warning(f"nodes of the swarm are not ready: {', '.join(self.stack.down)}.")
        if not tree:
            return
        self.wanted_release = self._read(tree, variables, tag)
        for line in self.wanted_release.said:
            ctx.console.warning(line)
        if self.source:
            for name, image in chosen(ctx, self.source, self.wanted_release.model).items():
                self.wanted_release.data["services"][name]["image"] = image
        moves = self.wanted_release.model.mutable and not self.source
        again = secrets.token_hex(4) if ctx.settings.redeploy or moves else ""
        parts = {**tree.parts, "stack": as_bytes(self.wanted_release.data)}
        self.release = make_release(ctx, tag, self.wanted_release.model, parts, again=again)

    def _read(self, tree: Tree, variables: Mapping[str, str], tag: str) -> Wanted:
        ctx, given = self.ctx, (tree, variables, tag)
        if not ctx.review or (self.exists and not self.is_review_app()):  # the guard will say it
            return read(ctx, self.manager, self.stack, *given)
        guard = review.Guard(ctx, self.manager, tree, self.settings.stack or ctx.review.base)
        found = read(ctx, self.manager, self.stack, *given, guard.problems)
        guard.addresses(found.data)
        review.warn_of_volumes(ctx, self.manager, self.stack, found.data)
        ctx.url = reviewing.url(ctx.review, ctx.facts)
        return found._replace(data=review.labelled(found.data, ctx.review.base))

    def _saw(self, stack: Stack) -> None:
        self.stack = stack

    def check_deploy(self) -> None:
        """Check in the registry that the images to deploy exist. Raises ImageMissing, and
        Unauthorized when the login is rejected."""
        services = self.wanted_release.data["services"]
        ours = [each.name for each in self.wanted_release.model.ours if each.name in services]
        images = [str(services[name]["image"]) for name in ours]
        words, stdin = [self.login.host, self.login.user, *images], f"{self.login.password}\n"
        answer = self.manager.read(["login", "missing"], words, stdin.encode(), timeout=120.0)
        lines = answer.text.splitlines()
        if answer.exit_code == REFUSED:
            raise self.manager.refused(self.login, lines)
        if missing := [e.removeprefix("missing ") for e in lines if e.startswith("missing ")]:
            message = f"not in the registry: {', '.join(missing)}."
            raise ImageMissing(message, hint="Push it in an earlier job, or check DEPLOY_TAG.")

    @on(Event.CONFIGURE, Configure.CONNECT)
    def look(self) -> None:
        """Connect to a manager, and fetch the stack's state."""
        ctx = self.ctx
        self.connect()
        ctx.console.indent(f"{self.manager}: stack {self.name_of_stack}")
        options.mention(ctx, self.settings)

    @on(Event.CONFIGURE, Configure.COMPARE)
    def compare(self) -> None:
        """Decide whether there is anything to deploy."""
        ctx, wanted = self.ctx, self.wanted_release
        if ctx.command not in RELEASING or self.release is None:
            return
        self.check_room()
        now = ctx.before or Live()
        ctx.console.indent(f"live now: {now.words}")
        if ctx.before_traffic:
            options.need_service(wanted.names, self.settings.run_service)
        ctx.release = self.release.id
        if by_hand := [n for n, each in self.stack.services.items() if not each.release]:
            ctx.console.warning(
                f"services of the stack that ci-deploy did not deploy: {', '.join(by_hand)}. Those "
                "in the compose file are updated, the others stay as they are."
            )
        self.switch.settle(self.stack, now)
        if now.up and now.release == self.release.id:
            raise SkipDeploy(f"{ctx.app} already runs {self.release.id}.")
        if ctx.settings.refuse_outdated:
            ctx.repository.can_deepen()
        found = order(ctx.repository, ctx.revision, now.revision)
        guard(ctx, now.revision, found, force=True, overwrites=False)
        self.check_deploy()

    # --- the deploy ---

    def configure_app(self) -> None:
        """Nothing to do: APP_CONFIG is a part of the release."""

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Give the release to the engine, and follow it until it is verified."""
        release, wanted = expect(self.release, "the release"), self.wanted_release
        data = marked(wanted.data, release.id, release.revision, self._pinned())
        self.switch.deploy(self.stack, release, data, wanted)

    def promote(self) -> None:
        self.deploy()

    def _pinned(self) -> dict[str, str]:
        """The images that a deploy leaves as they are (databases), with the digest that runs."""
        ours = {each.name for each in self.wanted_release.model.ours}
        return {
            name: running.image
            for name, entry in self.wanted_release.data["services"].items()
            if name not in ours and (running := self.stack.services.get(name))
            if running.labels.get("com.docker.stack.image") == entry.get("image")
        }

    def interrupted(self) -> None:
        self.switch.interrupted()

    # --- rollback ---

    def rollback_target(self, wanted: str) -> str:
        now = self.ctx.before or Live()
        self._target = records.target(self.ctx.app, self.stack, now, wanted)
        return self._target.label("revision")

    @property
    def target(self) -> Kept:
        """The record of the release to roll back to. Raises RuntimeError before it is chosen."""
        return expect(self._target, "the release to roll back to")

    @property
    def target_name(self) -> str:
        return self.target.label("release")

    def is_back(self) -> bool:
        """Whether the release to roll back to is live and up already; another release of the same
        revision does not count."""
        now = self.ctx.before or Live()
        return now.up and now.release == self.target_name

    def roll_back(self, revision: str) -> None:  # noqa: ARG002 - releases may share one
        before = self.ctx.before
        if self.ctx.command != "rollback" and before:  # ROLLBACK_ON_FAILURE
            self._saw(self.manager.look())
            self._target = records.target(self.ctx.app, self.stack, Live(), before.release)
        self.switch.go_back(self.stack, self.target)

    # --- what other layers and other commands call ---

    def live(self) -> Live:
        self._saw(self.manager.look())
        return self._live()

    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        service = self.settings.run_service
        data = self.switch.file_of(self.stack, self.ctx.live or self.ctx.before or Live())
        options.need_service(list(data["services"]), service)
        what = what or f"run {' '.join(command)} in {service} of {self.name_of_stack}"
        return self.switch.jobs.run(data, command, what, env or {}, timeout)

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        if name not in self.stack.services:
            raise NoService(self.ctx.app, name, self.stack.services)
        what = f"{action} {name} of {self.name_of_stack}" + (
            "" if count is None else f" to {count}"
        )
        self.switch.jobs.process(self.stack.services[name], action, count, what)

    def processes(self) -> Mapping[str, int]:
        return {each.name: each.replicas or 1 for each in self.stack.ours}

    def note(self, tasks: Sequence[Task]) -> None:
        noted = f"record a pending task in the swarm: {in_words(tasks)}"
        what = noted if tasks else "remove the pending tasks in the swarm"
        self.switch.store.note([each.name for each in self._notes()], dumped(tasks), what)
        self._tasks = tasks
        self.stack.kept = [each for each in self.stack.kept if each.label("kind") != "note"]

    def unfinished(self) -> Sequence[Task]:
        noted = self._tasks
        if noted is None:
            noted = [task for each in self._notes()[:1] for task in loaded(each.label("note"))]
        return [*noted, *restores(self.stack)]

    def _notes(self) -> list[Kept]:
        return [each for each in self.stack.kept if each.label("kind") == "note"]
