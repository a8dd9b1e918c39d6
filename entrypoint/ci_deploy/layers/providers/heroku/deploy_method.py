"""Deploys a revision to the app by one of several methods, up to the end of its release phase."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.heroku.app import App, State
from ci_deploy.layers.providers.heroku.releases import MANY, Release
from ci_deploy.run.context import Context

FAR_ENOUGH = 20  # slugs that are checked; Heroku keeps those of the last 20 releases


class DeployMethod(ABC):
    """A method to deploy the run's revision to `app`: `Push`, `Archive` or `SlugAgain`. The
    provider chooses one at `configure`, calls `prepare`, and at `deploy` calls `run`."""

    def __init__(self, ctx: Context, app: App, state: State) -> None:
        self._ctx = ctx
        self._app = app
        self._state = state
        self._building = False

    @property
    def revision(self) -> str:
        """The full SHA to deploy."""
        return self._ctx.revision

    @property
    def building(self) -> bool:
        """Whether Heroku may be building our code now, so that it could go live after a cancel."""
        return self._building

    @abstractmethod
    def prepare(self) -> None:
        """Check that the revision may replace what is live, and prepare what `run` sends; the app
        is not changed.

        Raises Refused, SettingsError, Unauthorized, Unreachable.
        """

    @abstractmethod
    def run(self) -> Release | None:
        """Deploy; returns the release when it has succeeded, None when only planning.

        Raises DeployFailed, OutcomeUnknown, Unauthorized, Unreachable.
        """

    def finish(self, release: Release | None, why: str) -> Release:
        """Set `ctx.release`, wait for the end of the release, and return it.

        Raises DeployFailed when its release phase fails, or with the sentence `why` when there is
        no release; OutcomeUnknown.
        """
        if release is None:
            hint = f"`heroku releases -a {self._app.name}` lists the releases."
            raise DeployFailed(why, hint=hint)
        self._ctx.release = release.name
        return self._app.releases.follow(release)


class SlugAgain(DeployMethod):
    """Releases the slug of an earlier release again, without a build: its release phase failed, or
    something else was released since. `slug` is its id, `why` the reason, a clause for the log."""

    def __init__(self, ctx: Context, app: App, state: State, slug: str, why: str) -> None:
        super().__init__(ctx, app, state)
        self._slug = slug
        self._why = why

    def prepare(self) -> None:
        """Do nothing: this revision was live or pushed before, so it needs no further check."""

    def run(self) -> Release | None:
        app, short = self._app, self.revision[:7]
        by = self._ctx.facts.job_url or "ci-deploy"
        made = app.releases.change(
            {"slug": self._slug, "description": f"Deploy {short} again ({by})"},
            what=f"release {short} of {app.name} again: {self._why}",
            same=self._slug,
        )
        return None if made is None else self.finish(made, "")


def slug_of(app: App, revision: str) -> Release | None:
    """A release whose slug still exists and was built from the whole of this revision, not from one
    of its directories (APP_DIR); None if the last FAR_ENOUGH slugs have none. Of several, one whose
    description names the revision, else the newest."""
    listed = (each for each in app.releases.newest(MANY) if each.status != "expired")
    known = [each for each in listed if each.slug and each.slug not in app.parts]
    known.sort(key=lambda each: revision[:7] not in each.description)  # likely ones first
    for slug in list(dict.fromkeys(each.slug for each in known))[:FAR_ENOUGH]:
        if app.releases.commit(slug) == revision:
            return next(each for each in known if each.slug == slug)
    return None
