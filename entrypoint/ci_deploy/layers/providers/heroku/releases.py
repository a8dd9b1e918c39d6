"""Releases: what is live, which one a deploy has made, and how it ends.

Source: the release that is `current` is the live one; its slug names the commit. With a release
phase a new release is `pending` until the command has ended, and becomes current only if it
succeeded. `git push` and builds succeed in any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.errors import DeployFailed
from ci_deploy.git.revision import SHA
from ci_deploy.layers.providers.heroku.api import Api, NotFound, Question, ResponseLost
from ci_deploy.layers.providers.heroku.output import Output
from ci_deploy.layers.providers.heroku.pending import FIRST_PAUSE, retry_while_away, until_over
from ci_deploy.run.context import Context

NEWEST = "version ..; order=desc,max={}"
NEWEST_BUILDS = "created_at ..; order=desc,max={}"
FEW, MANY = 20, 1000  # releases to read; the API returns at most 1,000 at once
APPEARS = 10  # queries, a second apart, within which the release of a push must be in the list


class Release(NamedTuple):
    """A release, as the API describes it. An empty one (version 0) stands for none."""

    id: str = ""
    version: int = 0
    status: str = ""  # pending, succeeded, failed, expired
    current: bool = False
    slug: str = ""  # the slug's id; empty before the first deploy
    output: str = ""  # the URL of the release phase's output, if it has one
    description: str = ""
    at: str = ""  # when it was created, ISO 8601
    by: str = ""  # who created it: an e-mail address
    eligible: bool = True  # whether Heroku still has its slug, for a rollback

    @property
    def name(self) -> str:
        """Its name, like `v42`."""
        return f"v{self.version}"


def read(found: Mapping[str, Any]) -> Release:
    """Parse the API's JSON of a release."""
    return Release(
        id=str(found.get("id", "")),
        version=int(found.get("version") or 0),
        status=str(found.get("status", "")),
        current=bool(found.get("current")),
        slug=str((found.get("slug") or {}).get("id") or ""),
        output=str(found.get("output_stream_url") or ""),
        description=str(found.get("description") or ""),
        at=str(found.get("created_at") or ""),
        by=str((found.get("user") or {}).get("email") or ""),
        eligible=found.get("eligible_for_rollback") is not False,
    )


class Releases:
    """The releases of one app."""

    def __init__(self, ctx: Context, api: Api, app: str) -> None:
        self._ctx = ctx
        self._api = api
        self._path = f"/apps/{app}"
        self._app = app
        self._commits: dict[str, str] = {}

    @property
    def question(self) -> Question:
        """The read of the newest FEW releases, for Api.get_all; `known` parses its answer."""
        return Question(f"{self._path}/releases", NEWEST.format(FEW))

    def newest(self, count: int = FEW) -> list[Release]:
        """The newest `count` releases, newest first; empty when the app does not exist."""
        try:
            found = self._api.get(f"{self._path}/releases", span=NEWEST.format(count))
        except NotFound:
            return []
        return self.known(found)

    def newest_slugs(self) -> list[str]:
        """The ids of the slugs of the newest releases, newest first."""
        return [each.slug for each in self.newest(MANY)]

    def known(self, found: Sequence[Mapping[str, Any]] | None) -> list[Release]:
        """Parse the API's JSON of releases (None: there is no app); the newest comes first."""
        return sorted(map(read, found or ()), key=lambda each: -each.version)

    def live(self, listed: Sequence[Release]) -> Release:
        """The live release, from `listed` or else from the newest MANY; an empty Release if no
        release is live."""
        current = next((each for each in listed if each.current), None)
        if current is None and len(listed) >= FEW:
            current = next((each for each in self.newest(MANY) if each.current), None)
        return current or Release()

    def commit(self, slug: str) -> str:
        """The commit from which a slug (an id) was built: full SHA. Empty when the slug is deleted,
        or when neither it nor the build that made it names a commit.
        """
        if slug and slug not in self._commits:
            found = ""
            try:
                found = str(self._api.get(f"{self._path}/slugs/{slug}").get("commit") or "")
                if not SHA.fullmatch(found):
                    found = self._built_from(slug)
            except NotFound:
                pass  # expired
            if SHA.fullmatch(found):  # else it may be known later
                self._commits[slug] = found
        return self._commits.get(slug, "")

    def learn(self, slug: str, commit: str) -> None:
        """Remember that this run had the slug (an id) built from `commit`."""
        if slug and not self._commits.get(slug):
            self._commits[slug] = commit

    def builds(self, count: int) -> list[Mapping[str, Any]]:
        """The newest `count` builds, as the API's JSON. The Range is needed: without one Heroku
        orders them by id. Raises NotFound, ApiRefused, Unauthorized, Unreachable."""
        span = NEWEST_BUILDS.format(count)
        found: list[Mapping[str, Any]] = self._api.get(f"{self._path}/builds", span=span)
        return found

    def _built_from(self, slug: str) -> str:
        for build in self.builds(MANY):
            if (build.get("slug") or {}).get("id") == slug:
                return str((build.get("source_blob") or {}).get("version") or "")
        return ""

    # --- which release, and how it ends ---

    def since(self, after: int, revision: str) -> Release | None:
        """The first release after version `after` that was built from `revision`, whatever its
        status; None for none."""
        newer = (each for each in reversed(self.newest()) if each.version > after)
        return next((each for each in newer if self.commit(each.slug) == revision), None)

    def made(self, revision: str, *, after: int) -> Release | None:
        """Like `since`, but wait for it: None after APPEARS queries, a second apart. Raises
        OutcomeUnknown when Heroku is unreachable for OUTAGE seconds."""
        what = f"the release of {revision[:7]}"
        for _ in range(APPEARS):
            if found := retry_while_away(self._ctx, lambda: self.since(after, revision), what=what):
                return found
            self._ctx.cancellation.sleep(FIRST_PAUSE)
        return None

    def change(self, body: Mapping[str, str], *, what: str, same: str) -> Release | None:
        """Create a release of an existing slug, and return it; its release phase may be pending.
        None when planning.

        `body`, as of POST /apps/NAME/releases: `slug` (its id) and `description`, or for a rollback
        `release` (its id). `what` is the text of the change. `same` is the slug's id: after a lost
        response, a new release of that slug counts as ours. Raises DeployFailed when none was
        created, Unauthorized, Unreachable.
        """
        before = self.newest(1)
        after = before[0].version if before else 0
        try:
            found = self._api.change("POST", f"{self._path}/releases", body, what=what)
        except ResponseLost as lost:

            def look() -> Release | None:
                newer = (each for each in self.newest() if each.version > after)
                return next((each for each in newer if each.slug == same), None)

            if ours := self._api.found(look):
                self._ctx.console.indent(f"no response, but {ours.name} was created.")
                return ours
            hint = "Verified: no release was created. It is safe to retry."
            raise DeployFailed(lost.message, hint=hint) from None
        return None if found is None else read(found)

    def follow(self, release: Release) -> Release:
        """Wait for the end of a release's phase, with its output in the log; returns the release
        when it has succeeded.

        Raises DeployFailed when it has failed, OutcomeUnknown when the end is not seen in time.
        """
        what = f"the release phase of {release.name}"
        output = Output(self._ctx, what)
        path = f"{self._path}/releases/{release.version}"
        found = until_over(
            self._ctx,
            {"status": release.status, "output_stream_url": release.output},
            lambda: self._api.get(path),
            what=what,
            output=output,
        )
        if found["status"] != "succeeded":
            hint = "Its output shows what to fix; to see it again: "
            hint += f"`heroku releases:output {release.name} -a {self._app}`."
            raise DeployFailed(f"{what} {_how(found['status'])}.", hint=hint, lines=output.tail)
        return read(found) if "id" in found else release


def _how(status: str) -> str:
    return {"failed": "failed", "expired": "took too long and has expired"}.get(
        status, f"ended as `{status}`"
    )
