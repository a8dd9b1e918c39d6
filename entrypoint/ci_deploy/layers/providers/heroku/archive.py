"""Deploys by an archive of the revision for the Build API, which needs no history.

Source: POST /sources returns two URLs that are secrets; the archive goes to `put_url` without the
key and with an empty Content-Type; the build fetches it from `get_url`. Heroku records `version` as
the commit. The archive has only tracked files, with the content of LFS files and submodules, which
must be checked out.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ci_deploy.errors import DeployFailed, Unreachable
from ci_deploy.git.archive import write_archive
from ci_deploy.layers.providers.heroku.answers import reason
from ci_deploy.layers.providers.heroku.api import Api, ResponseLost
from ci_deploy.layers.providers.heroku.app import App, State
from ci_deploy.layers.providers.heroku.deploy_method import DeployMethod
from ci_deploy.layers.providers.heroku.output import Output
from ci_deploy.layers.providers.heroku.pending import retry_while_away, until_over
from ci_deploy.layers.providers.heroku.releases import FEW, Release, read
from ci_deploy.run.context import Context
from ci_deploy.run.order import guard, order

UPLOAD_TIMEOUT = 600.0  # seconds
TRIES = 3  # attempts of an upload: each has a new URL, and changes nothing


class Archive(DeployMethod):
    """Deploys an archive of the revision (with APP_DIR: of that directory), which Heroku builds.
    `force`: a diverged history may be replaced."""

    def __init__(self, ctx: Context, app: App, state: State, *, force: bool) -> None:
        super().__init__(ctx, app, state)
        self._force = force
        self._file = Path()

    def prepare(self) -> None:
        live = self._state.live.revision
        found = order(self._ctx.repository, self.revision, live)
        guard(self._ctx, live, found, force=self._force, overwrites=False)
        self._file = packed(self._ctx, self.revision)

    def run(self) -> Release | None:
        app = self._app
        what = f"build {self.revision[:7]} of {app.name}"
        blob = upload(self._ctx, app.api, self._file, self.revision)
        if blob is None:
            self._ctx.change_log.announce(what)
            return None
        known = {build["id"] for build in self._app.releases.builds(FEW)}
        newest = app.releases.newest(1)
        after = newest[0].version if newest else 0
        self._building = True
        try:
            build = app.api.change("POST", f"{app.path}/builds", {"source_blob": blob}, what=what)
        except ResponseLost as lost:
            build = self._find(known, lost)
        build = follow(self._ctx, app.api, app.path, build)
        self._building = False
        identity = str((build.get("release") or {}).get("id") or "")
        app.releases.learn(str((build.get("slug") or {}).get("id") or ""), self.revision)
        found = self._release(identity, after)
        return self.finish(found, f"Heroku built {self.revision[:7]}, but no release appeared.")

    def _release(self, identity: str, after: int) -> Release | None:
        """The build's release; its id may appear a moment after the build's end."""
        if not identity:
            return self._app.releases.made(self.revision, after=after)
        path = f"{self._app.path}/releases/{identity}"
        what = f"the release of {self.revision[:7]}"
        return read(retry_while_away(self._ctx, lambda: self._app.api.get(path), what=what))

    def _find(self, known: set[str], lost: ResponseLost) -> Mapping[str, Any]:
        """The build that was started although the response was lost. Raises DeployFailed."""

        def look() -> Mapping[str, Any] | None:
            builds = (each for each in self._app.releases.builds(FEW) if each["id"] not in known)
            return next((each for each in builds if self._is_ours(each)), None)

        if build := self._app.api.found(look):
            self._ctx.console.indent("no response, but the build has started.")
            return build
        hint = "Verified: no build has started. It is safe to retry."
        raise DeployFailed(lost.message, hint=hint)

    def _is_ours(self, build: Mapping[str, Any]) -> bool:
        return (build.get("source_blob") or {}).get("version") == self.revision


def packed(ctx: Context, revision: str) -> Path:
    """Write a gzipped tar archive of a revision (with APP_DIR: of that directory) into the private
    directory; returns its path."""
    plain = write_archive(ctx.repository, ctx.private_dir, revision, ctx.settings.app_dir)
    path = plain.with_suffix(".tar.gz")
    with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target, 2**20)
    plain.unlink()
    return path


def upload(ctx: Context, api: Api, file: Path, revision: str) -> dict[str, str] | None:
    """Upload the archive for Heroku; returns the `source_blob` of a build (`url`, `version`,
    `checksum`), None when planning.

    Raises Unreachable, ResponseLost (nothing is built yet), ApiRefused, Unauthorized.
    """
    from ci_deploy.net.retry import retry

    what = f"upload an archive of {revision[:7]}"
    if not ctx.change_log.announce(what):
        return None
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()

    def left() -> float:
        return ctx.runner.until - time.monotonic()

    def once() -> dict[str, str]:
        found = api.change("POST", "/sources", what="")["source_blob"]
        timeout = max(1.0, min(UPLOAD_TIMEOUT, left()))
        with file.open("rb") as content:
            response = ctx.http.change(
                "PUT",
                found["put_url"],
                what="",
                timeout=timeout,
                data=content,
                headers={"Content-Type": ""},
            )
        if not response.ok:
            message = f"the archive cannot be uploaded to Heroku's store: status {response.status}."
            raise Unreachable(message, hint="Nothing was built. Run the job again.")
        return {"url": found["get_url"], "version": revision, "checksum": f"SHA256:{digest}"}

    return retry(
        once,
        on=(Unreachable, ResponseLost),
        sleep=ctx.cancellation.sleep,
        attempts=TRIES,
        within=left(),
    )


def follow(ctx: Context, api: Api, path: str, build: Mapping[str, Any]) -> Mapping[str, Any]:
    """Wait for the end of `build`, with its output in the log; returns it when it has succeeded.
    Both are the API's JSON; `path` is the app's, `/apps/NAME`. Raises DeployFailed when the build
    fails, OutcomeUnknown."""
    what = f"the build of {ctx.revision[:7]}"
    output = Output(ctx, what)
    found = until_over(
        ctx, build, lambda: api.get(f"{path}/builds/{build['id']}"), what=what, output=output
    )
    if found.get("status") != "succeeded":
        said = reason(output.tail) or "it gave no reason."
        shown = "The build's output is above" if output.tail else "The dashboard has its output"
        hint = f"{shown}; nothing was released."
        message = f"Heroku cannot build {ctx.revision[:7]}: {said}"
        raise DeployFailed(message, hint=hint, lines=output.tail)
    return found
