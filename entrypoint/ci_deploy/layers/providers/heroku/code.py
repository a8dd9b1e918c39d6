"""Bringing a revision to the app, in whatever way, up to the end of the release that it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.heroku.app import App, State
from ci_deploy.layers.providers.heroku.releases import MANY, Release
from ci_deploy.run.context import Context

FAR_ENOUGH = 20  # slugs that are looked at; Heroku keeps those of the last 20 releases


class Code(ABC):
    """One way to bring the revision."""

    def __init__(self, ctx: Context, app: App, state: State) -> None:
        self._ctx = ctx
        self._app = app
        self._state = state
        self._building = False

    @property
    def revision(self) -> str:
        """The full SHA that is deployed."""
        return self._ctx.revision

    @property
    def building(self) -> bool:
        """Whether Heroku may be building what we have brought."""
        return self._building

    @abstractmethod
    def prepare(self) -> None:
        """All that can be refused is refused here, before anything is touched.

        Raises Refused, SettingsError.
        """

    @abstractmethod
    def run(self) -> Release | None:
        """Bring it; the release, when it has succeeded, or None when it was only planned.

        Raises DeployFailed, OutcomeUnknown, Unauthorized, Locked.
        """

    def finish(self, release: Release | None, why: str) -> Release:
        """Wait for the release that was made; returns it when it has succeeded.

        Raises DeployFailed with `why` when there is none, or when its release phase fails."""
        if release is None:
            hint = f"`heroku releases -a {self._app.name}` shows what there is."
            raise DeployFailed(why, hint=hint)
        self._ctx.release = release.name
        return self._app.releases.follow(release)


class SlugAgain(Code):
    """The slug of an earlier release once more: its release phase has failed, or something else
    was released since. Nothing is built."""

    def __init__(self, ctx: Context, app: App, state: State, slug: str, why: str) -> None:
        super().__init__(ctx, app, state)
        self._slug = slug
        self._why = why

    def prepare(self) -> None:
        """It was compared when it was to be pushed."""

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
    """The newest release that has a slug of this revision, of all of it, which still exists."""
    listed = (each for each in app.releases.newest(MANY) if each.status != "expired")
    known = [each for each in listed if each.slug and each.slug not in app.parts]
    known.sort(key=lambda each: revision[:7] not in each.description)  # only a hint
    for slug in list(dict.fromkeys(each.slug for each in known))[:FAR_ENOUGH]:
        if app.releases.commit(slug) == revision:
            return next(each for each in known if each.slug == slug)
    return None
