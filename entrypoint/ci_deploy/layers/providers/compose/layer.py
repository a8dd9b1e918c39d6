"""Docker Compose on the user's hosts, over ssh. The hosts do the work; the job follows it.

A `docker compose up` that is cut off in the middle is an outage. So a run is uploaded, started on
the host independently of the connection, under a kernel lock, and only watched from here: a
cancelled job, a lost network or a killed runner cannot take the site down.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence

from ci_deploy.errors import NoService, OutcomeUnknown, Problem, SkipDeploy, expect
from ci_deploy.layers.priorities import Configure
from ci_deploy.layers.providers.compose import checks, history, promotion, review
from ci_deploy.layers.providers.compose.explain import change, dropped, explain
from ci_deploy.layers.providers.compose.hosts import Hosts, continuing
from ci_deploy.layers.providers.compose.named import Brought, bring
from ci_deploy.layers.providers.compose.provider import OnHosts, images
from ci_deploy.layers.providers.compose.run import Assignment, HostRun
from ci_deploy.layers.providers.compose.settings import ComposeSettings
from ci_deploy.layers.providers.docker import options
from ci_deploy.layers.providers.docker import review as reviewing
from ci_deploy.layers.providers.docker.built import check_images, untagged
from ci_deploy.layers.providers.docker.files import compose_files
from ci_deploy.layers.providers.docker.login import login
from ci_deploy.layers.providers.docker.model import Model, model
from ci_deploy.layers.providers.docker.promotion import Source
from ci_deploy.layers.providers.docker.release import Release, command_file, make_release
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.layers.providers.methods import need_source
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.run.context import Context
from ci_deploy.run.events import BUILDING, CHECKED_RELEASING, RELEASING, Event, on
from ci_deploy.run.tasks import Task, dumped, in_words, loaded
from ci_deploy.settings.parsers import NOTHING
from ci_deploy.state import Live, ProcessAction, Ran


class Compose(OnHosts):
    """Docker Compose on one or several hosts, over ssh."""

    migrate = "before"
    migrates = frozenset({"before", "after"})
    promotes_by_deploy = True

    def __init__(self, ctx: Context, settings: ComposeSettings) -> None:
        super().__init__(ctx, settings)
        self.ssh = Ssh(ctx, settings, "`ssh-copy-id -i KEY.pub USER@HOST`")
        self.hosts = Hosts(
            self.ssh,
            ctx.runner,
            settings.servers,
            settings.path,
            lambda: ctx.review.name if ctx.review else "",
        )
        self.model = Model()
        self.brought = Brought(NOTHING)
        self.source: Source | None = None
        self.release: Release | None = None
        self.images = images(ctx, settings.archives, self.hosts)
        self.target = ""  # the release to roll back to
        self.running: HostRun | None = None
        self._login = login(ctx, settings)
        self._tasks: Sequence[Task] | None = None

    def problems(self) -> Iterable[Problem]:
        yield from self.ssh.prepare()
        deploys = self.ctx.command in BUILDING
        yield from options.problems(self.ctx, self.settings, deploys=deploys)
        yield from self.images.problems()

    def begin(self) -> None:
        self.hosts.open()

    # --- the state of the app ---

    @property
    def exists(self) -> bool:
        if self.ctx.review:
            return review.exists(self.hosts.all, self.ctx.app)
        return any(self.ctx.app in host.facts.apps for host in self.hosts.all)

    @property
    def tag(self) -> str:
        """The value of `${DEPLOY_TAG}`: for `promote` the tag of the source's release."""
        return self.source.tag if self.source else options.image_tag(self.ctx, self.settings)

    def _variables(self) -> dict[str, str]:
        """The variables of the release, which override the .env and APP_CONFIG."""
        variables = options.variables(self.settings, self.tag, self._login.registry)
        return variables | reviewing.variables(self.ctx.review, self.ctx.facts)

    def connect(self) -> None:
        """Wait for the connections, query each host, and check the answers. Sets ctx.before, for a
        command that releases also `model` and `brought`, for `promote` `source`."""
        ctx, tree = self.ctx, None
        if ctx.command == "promote":
            self.hosts.ready()
            where = need_source(self.settings.promote_from)
            self.source = promotion.look(ctx, self.ssh, where, self.hosts.first.server)
        if ctx.command in CHECKED_RELEASING:
            tree = Tree(ctx, compose_files(ctx, self.settings.files), self._variables())
        self.hosts.ready()
        doctor = ctx.command == "doctor"
        asked = reviewing.project(ctx.app) if ctx.review else self.settings.project
        self.hosts.probe(ctx.app, asked, tree.parts if tree else {}, version=doctor)
        first = self.hosts.first.facts
        project = asked or first.apps.get(ctx.app, "")
        if tree and not checks.trouble(self.hosts.first):
            self.model = model(first, tree.texts, self.tag, ctx.revision)
            self.images.assign(self.model)
            project = self.model.project
        if tree:
            checks.tell(ctx, self.hosts.all, tree, self._variables())
        if ctx.review and not self.is_review_app():
            project = ""  # the guard reports whose it is
        checks.check(ctx, self.hosts.all, project, asked)
        if tree and ctx.review and project:
            review.check(ctx, self.hosts.all, tree)
            ctx.url = reviewing.url(ctx.review, ctx.facts)
        checks.externals(self.hosts.all, self.model)
        check_images(ctx, self.model, sent=self.images.covers)
        if tree:
            self.brought = bring(tree, self.hosts.all)
        ctx.before = checks.together(self.hosts.all, ctx.app)

    @on(Event.CONFIGURE, Configure.CONNECT)
    def look(self) -> None:
        """Connect to the hosts, log their directories, and mention settings without effect."""
        ctx = self.ctx
        self.connect()
        for host in self.hosts.all:
            ctx.console.indent(f"{host}: {host.facts.path}")
        options.mention(ctx, self.settings)

    @on(Event.CONFIGURE, Configure.COMPARE)
    def compare(self) -> None:
        """Decide whether there is anything to deploy."""
        ctx = self.ctx
        if ctx.command not in RELEASING:
            return
        review.check_room(ctx, self.hosts, self.settings.review_limit)
        live = ctx.before or Live()
        ctx.console.indent(f"live now: {live.words}")
        if ctx.before_traffic:
            options.need_service(list(self.model.services), self.settings.run_service)
        again, parts = "", {**self.brought.parts, **self.images.parts()}
        if self.source:
            parts = {**parts, "promoted": promotion.pins(ctx, self.source, self.model)}
        elif self.model.mutable and not self.images.covers:
            ctx.console.warning(untagged(self.model, self.settings.run_service))
            again = secrets.token_hex(4)
        if ctx.settings.redeploy:
            again = secrets.token_hex(4)
        self.release = make_release(ctx, self.tag, self.model, parts, again=again)
        ctx.release = self.release.id
        same_env = all(host.facts.env == host.facts.known_env for host in self.hosts.all)
        if live.up and live.release == self.release.id and same_env:
            raise SkipDeploy(f"{ctx.app} already runs {self.release.id}.")
        history.guard_order(ctx, self.hosts.all)
        self.images.look()

    # --- the deploy ---

    def configure_app(self) -> None:
        """Nothing to do: APP_CONFIG is a part of the release."""

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Start the release on the hosts, and follow it to its end."""
        release, ctx = expect(self.release, "the release"), self.ctx
        explain(ctx, self.hosts.all, self.model, self.brought.said)
        assignment = Assignment(
            "deploy",
            release.id,
            self.model.project,
            release.parts,
            {"revision": release.revision, "tag": release.tag},
            needs=self.model.needs(self.settings.run_service),
            migrates=bool(ctx.before_traffic),
        )
        gone = dropped(self.hosts.all, ctx.app, self.model)
        if self.images.covers:
            self.images.send()
        self._run(assignment, change(release.id, self.brought.names, gone))

    def promote(self) -> None:
        self.deploy()

    def _run(self, assignment: Assignment, what: str) -> None:
        self.running = HostRun(self.ctx, self.hosts, self.settings, assignment, self._login)
        if not self.running.start(what):
            return
        self.running.follow()
        live = Live(assignment.facts.get("revision", ""), True, assignment.release)
        self.ctx.verified(live, assignment.release)

    def interrupted(self) -> None:
        if self.running and self.running.open:
            self.running.cancel()

    # --- rollback, history, lock ---

    def rollback_target(self, wanted: str) -> str:
        self.target = history.target(self.ctx.app, self.hosts.all, wanted)
        return self.hosts.first.facts.revision(self.target)

    @property
    def target_name(self) -> str:
        return self.target

    def is_back(self) -> bool:
        """Whether the release to roll back to is live and up on all hosts; another release of its
        revision does not count."""
        return history.runs(self.ctx.app, self.hosts.all, self.target)

    def roll_back(self, revision: str) -> None:
        before, by_itself = self.ctx.before, self.ctx.command != "rollback"  # ROLLBACK_ON_FAILURE
        if by_itself and before and before.revision == revision:
            self.target = before.release
        facts = self.hosts.first.facts
        project = facts.apps[self.ctx.app] if self.ctx.review else self.settings.project
        project = project or facts.apps[self.ctx.app]
        assignment = Assignment(
            "rollback",
            self.target,
            project,
            {},
            {"revision": revision, "tag": facts.releases[self.target].facts.get("tag", "")},
            reject=by_itself,
        )
        self._run(assignment, f"roll back to {self.target} on {{host}}")

    # --- what other layers and other commands call ---

    def live(self) -> Live:
        self.hosts.status(self.ctx.app)
        return checks.together(self.hosts.all, self.ctx.app)

    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        app, service, host = self.ctx.app, self.settings.run_service, self.hosts.first
        name = f"{app}-run-{secrets.token_hex(4)}"
        variables = {"RAILS_ENV": self.settings.deploy_env, **(env or {})}
        literal = {key: value.replace("$", "$$") for key, value in variables.items()}
        extra = json.dumps({"services": {service: {"environment": literal}}})
        stdin = f"{extra}\n{command_file(command)}".encode()
        what = what or f"run {' '.join(command)} in {service} on {host}"
        words, say = ["one_off", app, name, service], lambda _host: what
        hint = f"On {host}: docker logs -f {name}"
        with continuing("the command", subject=f"{what}: ", hint=hint):
            [result] = self.hosts.change([host], words, say, stdin, timeout=timeout, quiet=False)
        return Ran(result.exit_code, result.lines, result.planned)

    def before_undoing(self) -> None:
        """Delete, on all hosts, the records of the pre-release commands that have succeeded, of all
        releases (`rollback --migrations` may undo those of several), so that they run again."""
        which = "which migrations and RELEASE_COMMAND have run"
        what = f"{which}, so that the next deployment runs them again"
        forget = ["forget_commands", self.ctx.app]
        self.hosts.change(self.hosts.all, forget, lambda host: f"forget on {host} {what}")

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        if (known := self.processes()) and name not in known:
            raise NoService(self.ctx.app, name, known)
        what = f"{action} {name} of {self.ctx.app}" + ("" if count is None else f" to {count}")
        words = ["process", self.ctx.app, str(action), name, str(count or 0)]
        results = self.hosts.change(
            self.hosts.all, words, lambda host: f"{what} on {host}", timeout=600.0, quiet=False
        )
        for host, result in zip(self.hosts.all, results, strict=True):
            if result.exit_code:
                message = f"{what} on {host} failed with exit code {result.exit_code}."
                hint = "See Compose's output above; `ci-deploy status` shows what runs."
                raise OutcomeUnknown(message, lines=result.lines, hint=hint)

    def processes(self) -> Mapping[str, int]:
        return {image.service: image.replicas for image in self.hosts.first.facts.images}

    def note(self, tasks: Sequence[Task]) -> None:
        app, host, data = self.ctx.app, self.hosts.first, dumped(tasks).encode()
        what = f"record a pending task: {in_words(tasks)}" if tasks else "remove the pending tasks"
        self.hosts.change([host], ["note", app], lambda host: f"{what} on {host}", data)
        self._tasks = tasks

    def unfinished(self) -> Sequence[Task]:
        facts = self.hosts.first.facts
        return (*(loaded(facts.note) if self._tasks is None else self._tasks), *facts.owed)
