"""The events of a run on Dokku: sends the code, and then verifies it by the server's reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ci_deploy.errors import DeployFailed, OutcomeUnknown, Refused, SkipDeploy, expect
from ci_deploy.layers.priorities import After, Configure, Outcome, Provision
from ci_deploy.layers.providers.dokku import (
    answers,
    before_traffic,
    choose_method,
    notes,
    promotion,
    release_tasks,
    review,
    stopping,
    verification,
)
from ci_deploy.layers.providers.dokku.app import HISTORY, with_deployment
from ci_deploy.layers.providers.dokku.before_traffic import BeforeTraffic
from ci_deploy.layers.providers.dokku.build_dir import BuildDir
from ci_deploy.layers.providers.dokku.config_values import encoded
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.provider import DokkuApp
from ci_deploy.layers.providers.dokku.server import named
from ci_deploy.layers.providers.dokku.services import Services
from ci_deploy.layers.providers.dokku.settings import DokkuSettings
from ci_deploy.process.program import Change
from ci_deploy.run.context import Context
from ci_deploy.run.events import CHECKED_BUILDING, RELEASING, Event, on
from ci_deploy.run.review_app import mark
from ci_deploy.run.tasks import Task
from ci_deploy.state import Deployed, Live, Step

BUILD_TIMEOUT = 600.0  # seconds to rebuild the live release after MIGRATE=before has failed


class Dokku(DokkuApp):
    """The provider for an app on a Dokku server. `code`: the deployment that this run makes."""

    migrates = frozenset({"after", "before"})
    promotes_by_deploy = True

    def __init__(self, ctx: Context, settings: DokkuSettings) -> None:
        super().__init__(ctx, settings)
        self.code: DeployMethod | None = None
        self._note: Task | None = None  # what really runs, if Dokku records another revision
        self._earlier: Sequence[Mapping[str, str]] = ()  # the history at the start

    # --- the state of the app ---

    def connect(self) -> None:
        """Connect, and fetch all that a run needs in one round of queries: the version, the app's
        state, and its services if the command builds. Raises DeployError."""
        self.ssh.ready(self.settings.host)
        ctx, review = self.ctx, self.ctx.review
        wanted = self.settings.services if ctx.command in CHECKED_BUILDING else ()
        self.services = Services(self.server, ctx.app, wanted, own=review is not None)
        asked = self.services.questions()
        urls = ctx.command not in {*RELEASING, "rollback"}  # they are slow
        self.state, (found, *rest) = self.apps.survey(ctx.app, ["version"], *asked, urls=urls)
        self.server.version = answers.version(found)
        self.services.look(rest, self.state.config)
        ctx.before, ctx.url = self.state.live, self.state.live.url
        self._earlier = self.state.deployments
        self._build_dir = BuildDir(ctx, self.server, self.apps, self.state)

    @on(Event.CONFIGURE, Configure.CONNECT)
    def look(self) -> None:
        """Fetch the state of the server and the app before a git command can create the app."""
        hints = release_tasks.hints(self.ctx)  # read while the connection is being made
        self.connect()
        command = self.ctx.command
        deploys = command in {*RELEASING, "rollback"}
        if deploys and not self.ctx.planning and before_traffic.wait(self):
            self.connect()
        if command == "promote":
            self.promoted = promotion.source_image(self)
        may_create = self.settings.create_app and command == "deploy"
        if not self.exists and not may_create and not self.ctx.review:
            raise self.no_app()
        held = self.state.skip_deploy and not notes.is_held_back(self.unfinished())
        if held and deploys:
            message = f"deployments of {self.ctx.app} are disabled on the server (skip-deploy)."
            hint = f"To enable them, run on the server: `dokku ps:set {self.ctx.app} skip-deploy`."
            raise Refused(message, hint=hint)
        branch = f", deploy branch {self.branch}" if self.exists else ""
        self.ctx.console.indent(f"{self.settings.host}: {named(self.server.version)}{branch}")
        for hint in hints:
            self.ctx.console.warning(hint)

    @on(Event.CONFIGURE, Configure.COMPARE)
    def compare(self) -> None:
        """Decide whether there is anything to deploy, and whether it may be deployed."""
        ctx, live = self.ctx, self.state.live
        if ctx.command not in RELEASING:
            return
        runs = live.revision[:7] or "no known release"
        if not self.state.settled:
            runs += f", although Dokku records {self.state.recorded[:7] or 'nothing'}"
        ctx.console.indent(f"live now: {runs}")
        if ctx.review:
            config = {**self.state.config, **self.ctx.app_config}
            review.guard_config(self.apps, ctx.review, config, self.services.is_own)
        if ctx.before_traffic:
            before_traffic.check_version(self.server)
        if live.revision and self.state.folder is None and ctx.settings.app_dir:
            self.state = self.state._replace(folder=self._build_dir.now)
        self.code = choose_method.forward(self)
        complete = not self.config_changes() and self.services.complete
        up = live.up and (not self.code.is_live() or verification.steady(self))
        if self.code.is_live() and up and complete and not ctx.settings.redeploy:
            if self.code.is_kept():
                if doubt := self.code.doubt:
                    ctx.console.warning(doubt)
                message = f"{ctx.app} already runs {ctx.revision[:7]}."
                raise SkipDeploy(message)
            warning = f"{ctx.revision[:7]} is live, but the branch {self.branch} on the server"
            ctx.console.warning(f"{warning} is not at it, so a rebuild there would not build it.")
        if self.code.is_live() and not up:
            ctx.console.indent(
                "the revision is live, but not all its processes stay up: deploying it again"
            )
        self._check(self.code)

    def check_deploy(self) -> None:
        self._check(choose_method.forward(self))

    def _check(self, code: DeployMethod) -> None:
        self._build_dir.check(code.build_dir, code.folder)
        code.prepare()

    # --- provision ---

    @on(Event.PROVISION, Provision.CREATE)
    def create(self) -> None:
        """Create the app, if the user asked for that, and its services."""
        app = self.ctx.app
        changes = self.services.creations()
        if not self.exists:
            what = f"create the app {app}"
            changes.insert(0, self.server.prepared(["apps:create", app], what=what))
        self.server.change_together(changes)
        if self.state.skip_deploy:
            self._go_live_again()  # left by a killed run with MIGRATE=before

    @on(Event.PROVISION, Provision.SERVICES)
    def link_services(self) -> None:
        """Link the services; after the config, which may set the scheme of their URLs."""
        self.services.link()
        if not self.services.complete and not self.ctx.planning:
            self.apps.read_config(self.ctx.app)  # hides the URLs that the server has generated
        if self.ctx.review:
            review.set_domain(self.server, self.ctx.app, self.ctx.review)

    def wanted_config(self) -> Mapping[str, str]:
        return {**self.ctx.app_config, **mark(self.ctx.review)}

    # --- the deploy ---

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Deploy the code, then verify it by what the server reports."""
        self._bring(expect(self.code, "the deploy method"), self.ctx.before_traffic)

    def promote(self) -> None:
        self.configure_app()
        self.deploy()

    def _bring(self, code: DeployMethod, steps: Sequence[Step] = ()) -> None:
        self._build_dir.set(code.build_dir)
        if steps:
            held = BeforeTraffic(self.ctx, self.server, self, self.state)
            done = held.run(code, steps, self._go_live_again)
        else:
            done = code.run()
        self.forget(*notes.about_what_runs(self.unfinished()))  # else the verification uses them
        if done:
            verification.verify(self, code, self._remember)
        else:
            self.server.change_together([self._remember(code)])  # planned

    def restart(self, *, why: str) -> bool:
        app = self.ctx.app
        self.server.change(["ps:restart", app], what=f"restart {app}: {why}", timeout=600.0)
        if not self.ctx.planning:
            verification.verify_restart(self)
        return True

    @on(Event.DEPLOY_FAILED, Outcome.NOTE)
    def stop_holding_back(self) -> None:
        """Re-enable releases, which MIGRATE=before has disabled: the next deploy must go live."""
        if self.ctx.before_traffic and self.ctx.change_log.changes:
            self._go_live_again()

    def live(self) -> Live:
        """What runs, by Dokku's record and the containers. Dokku records a deploy only at its end:
        if a task fails before that, new containers show that our revision runs. It records a build
        that was not released too: then the containers are still the old ones. Raises OutcomeUnknown
        if there was no time to look at the containers."""
        before, code = self.state, self.code
        ours = code.revision if code else self.ctx.revision
        look = self.apps.glance if self.ctx.cancellation.leaving else self.apps.look
        now = look(self.ctx.app, before)
        told = code and (code.deploying or code.was_held_back)
        if now.live.unchecked and (told or notes.about_what_runs(self.unfinished())):
            raise OutcomeUnknown("there was no time to check which containers run.")
        replaced = bool(now.containers) and not now.containers & before.containers
        if code and code.was_held_back and now.live.revision == ours and not replaced:
            self._note = notes.built_over(before.live.revision, before.containers)
            return now.live._replace(revision=before.live.revision)
        unrecorded = now.recorded == before.recorded != ours
        if code and code.deploying and unrecorded and replaced:
            self._note = notes.took_over(ours, now.containers, now.recorded)
            return now.live._replace(revision=ours, ours=True)
        return now.live._replace(ours=code is not None and code.released)

    @on(Event.DEPLOY_FAILED, Outcome.NOTE)
    @on(Event.ROLLBACK_FAILED, Outcome.NOTE)
    def note_what_runs(self) -> None:
        """Record what really runs, if Dokku records another revision."""
        if self._note:
            self.forget(*notes.about_what_runs(self.unfinished()))
            self.remember(self._note)

    @on(Event.DEPLOY_FAILED, Outcome.BUILD_DIR)
    @on(Event.ROLLBACK_FAILED, Outcome.BUILD_DIR)
    def build_dir_of_what_runs(self) -> None:
        """Restore the build directory of the live release, for later rebuilds."""
        report = self.ctx.report
        if self.ctx.change_log.changes and not (report.changed or report.busy):
            self._build_dir.restore()

    @on(Event.DEPLOY_FAILED, Outcome.REBUILD)
    def build_what_runs(self) -> None:
        """Rebuild the live release, so that a restart does not start a build that was held back."""
        if not (self.ctx.before_traffic and notes.is_held_back(self.unfinished())):
            return None
        self.state = self.apps.look(self.ctx.app, self.state)
        runs = self.state.live.revision
        if self.state.settled or not runs:
            return self.forget(*notes.about_what_runs(self.unfinished()))
        if self.ctx.cancellation.signum or self.ctx.report.exit_code != DeployFailed.exit_code:
            warning = (
                f"a restart of {self.ctx.app} would start the new build, which was not released"
            )
            return self.ctx.console.warning(f"{warning}: run this job again.")
        self.ctx.console.indent(
            f"rebuilding {runs[:7]}, so that a restart does not start the build of the failed run"
        )
        self.ctx.runner.until = time.monotonic() + BUILD_TIMEOUT
        self.roll_back(runs)
        return None

    def _go_live_again(self) -> None:
        app = self.ctx.app
        words = ["ps:set", app, "skip-deploy"]
        self.server.change(words, what=f"re-enable releases of {app}", quiet=True)

    def _remember(self, code: DeployMethod, identity: str = "") -> Change:
        """A change that adds the deployment to the history; made in parallel with verifying it."""
        app, facts, revision = self.ctx.app, self.ctx.facts, code.revision
        at = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Deployed(revision, at, by=facts.job_url or facts.actor)
        method, url = code.method, self.state.live.url
        history = with_deployment(
            self.state, entry, method=method, folder=code.folder, identity=identity, url=url
        )
        self.state = self.state._replace(config={**self.state.config, HISTORY: history})
        words = ["config:set", app, "--no-restart", "--encoded", f"{HISTORY}={encoded(history)}"]
        what = f"record on {app} that {revision[:7]} was deployed"
        return self.server.prepared(words, what=what, quiet=True)

    def interrupted(self) -> None:
        if self.code:
            stopping.stop(self, self.code)

    # --- TLS ---

    @on(Event.POST_DEPLOY, After.SECURE)
    def secure(self) -> None:
        """Enable TLS for a review app with a host name of its own."""
        if self.ctx.review and self.ctx.review.host:
            review.secure(self.server, self.ctx.app, self.ctx.console)
            self.ctx.move(self.apps.url(self.ctx.app))

    # --- rollback, locks, history ---

    def roll_back(self, revision: str) -> None:
        self.state = self.apps.look(self.ctx.app, self.state)
        self.code = choose_method.back(self, revision, self._earlier)
        self._check(self.code)
        self._bring(self.code)
