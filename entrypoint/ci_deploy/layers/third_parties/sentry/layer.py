"""Sentry: records releases, their commits, and where they were deployed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from urllib.parse import urlsplit

from ci_deploy.errors import DeployError, DeployFailed, Problem, Unreachable
from ci_deploy.layers.priorities import After, Before, Configure
from ci_deploy.layers.third_parties.sentry.account import Account
from ci_deploy.layers.third_parties.sentry.api import SentryApi
from ci_deploy.layers.third_parties.sentry.cli import SentryCli
from ci_deploy.layers.third_parties.sentry.commits import commits
from ci_deploy.layers.third_parties.sentry.settings import (
    AboutSentry,
    SentrySettings,
    environment_name,
)
from ci_deploy.layers.third_parties.sentry.time_budget import TimeBudget
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event, on

BEFORE = 2 / 3  # share of Sentry's time before the deployment; the rest is for the end


class Sentry(AboutSentry):
    """Records releases and deployments in Sentry, within SENTRY_TIMEOUT seconds in total; after a
    failure the run goes on without it, unless SENTRY_STRICT is set."""

    def __init__(self, ctx: Context, settings: SentrySettings) -> None:
        super().__init__(ctx, settings)
        self.account = Account.of(settings.url, settings.org, settings.token, settings.projects)
        seconds, sleep = float(settings.timeout), ctx.cancellation.sleep
        self._before = TimeBudget(seconds * BEFORE, sleep)
        self._after = TimeBudget(seconds * (1 - BEFORE), sleep)
        self._off = False  # after a failure the deploy continues without Sentry
        self._linked = ""  # Sentry's name of our repository

    @property
    def optional(self) -> bool:
        return not self.settings.strict

    def problems(self) -> Iterable[Problem]:
        if not self.account.org:
            yield Problem("SENTRY_ORG", "is required, since the token does not contain it.")

    @cached_property
    def cli(self) -> SentryCli:
        """sentry-cli, for most changes; runs in an empty private directory."""
        folder = self.ctx.private_dir / "sentry"
        folder.mkdir(exist_ok=True)
        return SentryCli(self.account, self.ctx.runner, folder)

    @cached_property
    def api(self) -> SentryApi:
        """Sentry's API, for reading and for commits that Sentry cannot read itself."""
        return SentryApi(self.account, self.ctx.http)

    @property
    def version(self) -> str:
        """The release's name in Sentry, the same for every environment: SENTRY_RELEASE, else the
        full revision."""
        return self.settings.release or self.ctx.revision

    # --- before ---

    @on(Event.CONFIGURE, Configure.THIRD_PARTIES)
    def look(self) -> None:
        """Check the token, and whether our repository is linked in Sentry.

        Logs which environment or server Sentry gets if settings do not say so. Not for `destroy`.
        """
        if self.ctx.command == "destroy":
            return
        if not self.ctx.environment:  # GitHub gives a container none
            told = environment_name("")
            self.ctx.console.warning(
                f"Sentry records the environment `{told}`, since the job names none: set "
                "DEPLOY_ENVIRONMENT."
            )
        if self.account.other_url:
            self.ctx.console.indent(
                f"Sentry: the token belongs to {self.account.other_url}, which is used instead of "
                "SENTRY_URL."
            )
        self._do(self._find_repository)

    def _find_repository(self) -> None:
        self._linked = self.api.linked(self._repository, self._before)

    @property
    def _repository(self) -> str:
        """The project's path on the CI platform, like `acme/web`, in lower case."""
        return urlsplit(self.ctx.facts.project_url).path.strip("/").lower()

    @on(Event.PRE_DEPLOY, Before.RELEASE)
    @on(Event.PROMOTE, Before.RELEASE)
    def create(self) -> None:
        """Create the release with its commits and sourcemaps, before it can have errors."""
        self._do(partial(self.cli.create, self.version, self._before))
        self._do(self._set_commits, vital=False)
        if self.settings.sourcemaps:
            self._do(self._upload, vital=False)

    def _set_commits(self) -> None:
        """Set the commits since the release that was live in this environment."""
        ctx = self.ctx
        old, new = (ctx.before.revision if ctx.before else ""), ctx.revision
        if self._linked and old != new:  # else the release would lose its commits
            return self.cli.set_commits(self.version, self._linked, old, new, self._before)
        found = commits(ctx.repository, old, new, self._repository or ctx.app)
        if not found:
            ctx.console.indent("Sentry: no new commits to report.")
            return None
        if old and not ctx.repository.has(old):
            ctx.console.indent(
                f"Sentry: this checkout does not have {old[:7]}, which was live before, so only "
                f"the newest commits ({len(found)}) are reported. Link the repository in Sentry to "
                "report all."
            )
        return self.api.set_commits(self.version, found, self._before)

    def _upload(self) -> None:
        root = self.ctx.workspace / self.ctx.settings.app_dir
        paths = [(root / path).resolve() for path in self.settings.sourcemaps]
        if missing := [path for path in paths if not path.exists()]:
            message = f"SENTRY_SOURCEMAPS: {missing[0]} does not exist; was it built in this job?"
            raise DeployFailed(message)
        for project in self.account.projects:
            self.cli.upload(self.version, project, paths, self.settings.prefix, self._before)

    # --- after ---

    @on(Event.DEPLOY_SUCCEEDED)
    def succeeded(self) -> None:
        """Finalize the release and record the deployment, with its start and end."""
        self._do(partial(self.cli.finalize, self.version, self._after))
        self._do(self._record)

    @on(Event.DEPLOY_FAILED)
    def record_if_live(self) -> None:
        """Record the deployment if the revision is live although a later step failed."""
        if self.ctx.report.changed:
            self.succeeded()

    @on(Event.DEPLOY_SKIPPED)
    def catch_up(self) -> None:
        """Record the deployment if an interrupted run has not done so.

        Only if Sentry has the release: else it was live before Sentry was used."""
        # Asking Sentry now is cheaper than a task on the app would be at every deploy.
        self._do(self._tell_late)

    def _tell_late(self) -> None:
        deploys = self.api.deploys(self.version, self._after)
        here = environment_name(self.ctx.environment)
        if deploys is not None and here not in {each.get("environment") for each in deploys}:
            self.ctx.console.indent(
                f"Sentry has the release, but no deploy of it to {here}: it is recorded now."
            )
            self.cli.finalize(self.version, self._after)
            self._record()

    @on(Event.ROLLBACK_SUCCEEDED)
    def rolled_back(self) -> None:
        """Record the rollback; not with SENTRY_RELEASE, whose value for that release is unknown."""
        if not self.settings.release:
            self._do(partial(self.cli.create, self.version, self._after))
            self._do(self._record)

    @on(Event.POST_DEPLOY, After.END)
    def plan_the_end(self) -> None:
        """In `plan`, announce Sentry's changes of `deploy_succeeded` too."""
        if self.ctx.planning:
            self.succeeded()

    def _record(self) -> None:
        now = time.time()
        started = int(now - (time.monotonic() - self.ctx.started))
        environment, build = environment_name(self.ctx.environment), self.ctx.facts.build
        recorded = partial(self.api.recorded, self.version, environment, started, self._after)
        self.cli.record(
            self.version,
            environment,
            (started, int(now)),
            self._after,
            name=f"pipeline {build}" if build else "",
            url=self.ctx.url,
            recorded=recorded,
        )

    def _do(self, step: Callable[[], None], *, vital: bool = True) -> None:
        """Run a step; its failure is one warning. After the failure of a `vital` step, or when
        Sentry is unreachable, all later steps are skipped. Raises DeployError with
        SENTRY_STRICT."""
        if self._off:
            return
        try:
            step()
        except DeployError as error:
            self._off = vital or isinstance(error, Unreachable)
            if self.settings.strict:
                raise
            end = " The deployment continues without Sentry." if self._off else ""
            self.ctx.console.warning(f"sentry: {error}{end}")
        finally:
            self.ctx.console.debug(f"sentry-cli took {self.cli.seconds:.2f} s so far")
