"""The events of a run on Heroku: deploys the code, and then verifies it by the Platform API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_deploy.errors import SkipDeploy, Unreachable, expect
from ci_deploy.layers.priorities import Configure, Provision
from ci_deploy.layers.providers.heroku import review
from ci_deploy.layers.providers.heroku.app import App
from ci_deploy.layers.providers.heroku.archive import Archive
from ci_deploy.layers.providers.heroku.deploy_method import DeployMethod, SlugAgain
from ci_deploy.layers.providers.heroku.maintenance import MaintenanceMode
from ci_deploy.layers.providers.heroku.pending import unknown_if_lost
from ci_deploy.layers.providers.heroku.promotion import Promotion
from ci_deploy.layers.providers.heroku.push import Push
from ci_deploy.layers.providers.heroku.releases import Release
from ci_deploy.layers.providers.heroku.rollback import Rollback
from ci_deploy.layers.providers.heroku.settings import HerokuSettings
from ci_deploy.layers.providers.methods import by_archive
from ci_deploy.run.context import Context
from ci_deploy.run.events import BUILDING, Event, on
from ci_deploy.run.review_app import mark, marked
from ci_deploy.state import Live


class Heroku(MaintenanceMode):
    """The provider for Heroku: its handlers of the events. `HerokuApp` has the methods that other
    layers and commands call, `MaintenanceMode` the handlers for HEROKU_MAINTENANCE."""

    def __init__(self, ctx: Context, settings: HerokuSettings) -> None:
        super().__init__(ctx, settings)
        self.code: DeployMethod | None = None
        self._rollback: Rollback | None = None
        self._promotion: Promotion | None = None
        self._base = review.Base()
        self._first = Release()  # the release that was live at the start
        self._adopted = False  # whether this run has adopted the app

    @on(Event.CONFIGURE, Configure.CONNECT)
    def look(self) -> None:
        """Fetch the state of the account and the app."""
        self.connect()
        ctx, state = self.ctx, self.state
        self._first = state.release
        if not self.exists and not self.settings.create_app and not ctx.review:
            raise self.no_app()
        who = f" as {state.account}" if state.account else ""
        what = f"{state.region}, {state.stack}" if self.exists else "does not exist"
        ctx.console.indent(f"Heroku{who}; {ctx.app}: {what}")
        if state.maintenance and ctx.command != "destroy":
            left = "an interrupted run left it on, so this run turns it off"
            stays = left if self.left_closed else "it was on before and stays on"
            if self._unread:
                stays = "it stays on, since it is unknown whether an interrupted run left it on"
            ctx.console.indent(f"{ctx.app} is in maintenance mode; {stays}.")

    @on(Event.CONFIGURE, Configure.REVIEW_APP)
    def look_at_review_app(self) -> None:
        """Check a review app's variables against its base app's services."""
        ctx = self.ctx
        if ctx.review and ctx.command == "review":
            base = App(ctx, self.api, ctx.review.base)
            team, pipeline = self.settings.team, self.settings.pipeline
            self._base = review.base_of(self.api, base, team=team, pipeline=pipeline)
            if not self._base.readable:
                ctx.console.warning(
                    f"the config of {ctx.review.base} cannot be read with this key, so it "
                    f"is not checked whether {ctx.review.name} would use its services."
                )
            wanted = {**self.config(), **ctx.app_config}
            review.guard_urls(ctx.review, self._base.config, wanted)

    @on(Event.CONFIGURE, Configure.COMPARE)
    def compare(self) -> None:
        """Decide whether there is anything to deploy, and whether it may be deployed."""
        ctx, live = self.ctx, self.state.live
        if ctx.command not in BUILDING:
            return
        ctx.console.indent(f"live now: {live.revision[:7] or 'no known release'}")
        if self._sets_up:
            if self.exists:
                ctx.console.warning(f"recreating {ctx.app}: a previous setup was incomplete")
            return
        self.code = self._choose()
        if not self.code and live.up and not live.busy and not self.config_changes():
            if self.state.maintenance and isinstance(self._unread, Unreachable):
                raise self._unread  # an earlier run may have left it in maintenance mode
            raise SkipDeploy(f"{ctx.app} already runs {ctx.revision[:7]}.")

    def check_deploy(self) -> None:
        self._choose()

    def _choose(self) -> DeployMethod | None:
        """The method to deploy the revision; None when it is live already. Raises Refused,
        SettingsError."""
        ctx, state = self.ctx, self.state
        if state.live.revision != ctx.revision or ctx.settings.redeploy or self._other_part:
            code = self._code()
        elif state.undone.version:  # its config is not what runs
            why = f"the release phase of {state.undone.name} has failed"
            code = SlugAgain(ctx, self.app, state, state.undone.slug, why)
        else:
            return None
        code.prepare()
        return code

    @property
    def _other_part(self) -> bool:
        """Whether the live release is known to be built from another directory."""
        slug, wanted = self.state.release.slug, self.ctx.settings.app_dir
        return self._branches is not None and self.notes.folders.get(slug, "") != wanted

    def _code(self) -> DeployMethod:
        """The deploy method."""
        ctx, settings = self.ctx, self.settings
        again = self.state.live.revision == ctx.revision  # a push would change nothing
        known, force = self._branches, settings.force_push
        if ctx.settings.app_dir or again or by_archive(ctx, settings.method):
            return Archive(ctx, self.app, self.state, force=force)
        return Push(ctx, self.app, self.state, remote=self.remote, branches=known, force=force)

    # --- provision ---

    @property
    def _sets_up(self) -> bool:
        """Whether a review app has to be set up from its app.json: it does not exist, or its setup
        was never seen to succeed."""
        if not self.ctx.review or self._adopted or review.manifest(self.ctx) is None:
            return False
        ready = self.state.live.release and review.SETTING_UP not in self.unfinished()
        return not (self.exists and ready)

    @on(Event.PROVISION, Provision.CREATE)
    def create(self) -> None:
        """Create the app, if the user asked for that; a review app from its app.json."""
        if self._sets_up:
            self._set_up()
        elif not self.exists:
            team = self._base.team or self.settings.team
            self.app.create(team, region=self._base.region, stack=self._base.stack)
        else:
            return
        if not self.ctx.planning:
            self.state = self.app.look()

    def _set_up(self) -> None:
        if self.exists:
            self.app.wait_for_others()
            self.app.destroy()
            self.notes.read(())  # they were deleted with it
        setup = review.SetUp(self.ctx, self.app, self._base, review.manifest(self.ctx) or {})
        asked = setup.begin(self.wanted_config())
        self._config = self.wanted_config()
        self.remember(review.SETTING_UP)
        if asked:
            setup.finish(asked)
        self.forget(review.SETTING_UP)

    @on(Event.PROVISION, Provision.SERVICES)
    def couple(self) -> None:
        """Add a review app to HEROKU_PIPELINE, or else to the pipeline of its base app."""
        if self.ctx.review and self._base.pipeline:
            review.couple(self.api, self.app, self._base.pipeline)

    def wanted_config(self) -> Mapping[str, str]:
        return {**self.ctx.app_config, **mark(self.ctx.review)}

    def set_config(self, changes: Mapping[str, str]) -> None:
        app = self.ctx.app
        self.app.set_config(changes, what=f"set {', '.join(sorted(changes))} on {app}")
        self._config = {**self.config(), **changes}

    # --- the deploy ---

    @on(Event.DEPLOY)
    def deploy(self) -> None:
        """Deploy the code, then verify it by what Heroku reports."""
        if self.exists and not self.ctx.planning:
            self._look_after_waiting()
        with unknown_if_lost():
            made = self.code.run() if self.code else self._wake()
            if made is None or self.ctx.planning:
                return self._note_part("")
            timeout = self.settings.boot_timeout
            live = self.app.verify(self.ctx.revision, made, timeout=timeout)
            self.ctx.verified(live)
            return self._note_part(made.slug or self.app.look_again().release.slug)

    def _note_part(self, slug: str) -> None:
        if folder := self.ctx.settings.app_dir:
            self.notes.built_from(slug, folder, self.app.releases.newest_slugs)

    def _look_after_waiting(self) -> None:
        """Wait for another job's deploy, and compare again: our revision may be live by now (in a
        job that was killed and run again), or be outdated."""
        state, before = self.app.wait_for_others(), self.state
        same = state.live.revision == before.live.revision
        if same and state.undone.version == before.undone.version:
            return
        self.state = before._replace(
            live=state.live, release=state.release, newest=state.newest, undone=state.undone
        )
        if not same:
            live = state.live.revision[:7] or "no known release"
            self.ctx.console.indent(f"live now, after the other deploy: {live}")
            if state.live.revision != self.ctx.revision:
                self.ctx.before, self._first = state.live, state.release
        self._branches = None
        self.code = self._choose()

    def _wake(self) -> Release:
        """Restart the dynos of the live revision if they do not run."""
        if not self.exists:  # its setup was only planned
            return Release()
        before = self.ctx.before or Live()
        live = self.state.live if self.ctx.planning else self.live()
        if live.release == before.release and not (before.up or live.up):
            self.app.dynos.restart(what=f"restart the dynos of {self.ctx.app}")
        return Release()

    def interrupted(self) -> None:
        """Stop one-off commands; a build or a backup continues, which is only reported."""
        super().interrupted()
        if left := self.one_off.stop():
            self.ctx.console.warning(left)
        if self.capture.left:
            self.ctx.console.warning(self.capture.left)
        if self.code and self.code.building:
            short = self.ctx.revision[:7]
            self.ctx.console.warning(f"Heroku may still be building {short}: it may still go live.")

    # --- review apps ---

    def is_review_app(self) -> bool:
        ctx = self.ctx
        empty = not self.state.live.release and not self.config()
        if ctx.command == "review" and empty and review.manifest(ctx) is None:
            return True  # created by a run that was killed before it could mark it
        return marked(self.config(), ctx.reviewed.base)

    def adopt(self) -> None:
        ours, app = mark(self.ctx.review), self.ctx.app
        self.app.set_config(ours, what=f"mark {app} as a review app")
        self._config = {**self.config(), **ours}
        self._adopted = True

    def destroy(self) -> None:
        if self.ctx.sweeping:
            self.begin()
        self.app.destroy()

    def stale_review_apps(self, days: int) -> Sequence[str]:
        team = self.settings.team or self.state.team
        return review.stale(self.ctx, self.api, self.ctx.app, team=team, days=days)

    # --- rollback, promotion, history ---

    def rollback_target(self, wanted: str) -> str:
        self._rollback = Rollback(self.ctx, self.app, self.state)
        target = self._rollback.target(wanted)
        self._rollback.bring_history(target, self.remote)
        return target

    def is_back(self) -> bool:
        return bool(self._rollback and self._rollback.is_back)

    def roll_back(self, revision: str) -> None:
        """Roll back. For ROLLBACK_ON_FAILURE (no target): to the very release that ran before this
        run, since newer releases of its code already have this run's config vars."""
        chosen = self._rollback
        with unknown_if_lost():
            if chosen is None:
                chosen = Rollback(self.ctx, self.app, self.app.look_again(), self._first)
            chosen.run(revision, timeout=self.settings.boot_timeout)

    @on(Event.CONFIGURE, Configure.SOURCE)
    def choose_source(self) -> None:
        """For `promote`, choose the release that the source app runs."""
        if self.ctx.command != "promote":
            return
        ctx, settings, live = self.ctx, self.settings, self.state.live
        self._promotion = Promotion(ctx, self.api, self.app)
        source = self._promotion.prepare(
            pipeline=settings.pipeline, source=settings.promote_from, others=settings.promote_to
        )
        ctx.choose(source.live.revision)
        runs = f"runs {ctx.revision[:7]} ({source.release.name})"
        ctx.console.indent(f"{self._promotion.source} {runs}")
        if live.revision == ctx.revision and live.up and self._promotion.complete:
            raise SkipDeploy(f"{ctx.app} already runs {ctx.revision[:7]}.")

    def promote(self) -> None:
        promotion = expect(self._promotion, "the release to promote")
        with unknown_if_lost():
            promotion.run(timeout=self.settings.boot_timeout)
