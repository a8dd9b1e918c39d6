"""Sets the directory of the repository that Dokku builds: its property `build-dir`.

A push contains the whole repository, so Dokku has to know APP_DIR; an archive contains only that
directory, and an image nothing. If this tool sets it, it records that on the app first, and unsets
it when it is no longer wanted. A value set by a person stays.
"""

from __future__ import annotations

from ci_deploy.errors import Problem, SettingsError, ToolMissing
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.app import BUILD_DIR, App, State
from ci_deploy.layers.providers.dokku.server import DokkuServer, named
from ci_deploy.run.context import Context

SINCE = (0, 25, 0)


class BuildDir:
    """The app's property `build-dir` on the server, fetched only if needed. One per run."""

    def __init__(self, ctx: Context, server: DokkuServer, apps: App, state: State) -> None:
        self._ctx = ctx
        self._server = server
        self._apps = apps
        self._exists = state.exists
        self._ours = set(state.config.get(BUILD_DIR, "").split())  # values that this tool set
        self._found: dict[str, str] | None = None
        self._before: str | None = None  # its value before this run changed it

    def check(self, wanted: str, sent: str) -> None:
        """Check that the server can build `wanted` of a deploy that contains the directory `sent`
        of the repository. Raises ToolMissing, and SettingsError when a person has set another
        directory."""
        app = self._ctx.app
        if not sent and not wanted:
            return
        if wanted and self._server.version and not self._server.at_least(*SINCE):
            message = f"{named(self._server.version)} cannot build a subdirectory of a repository."
            hint = "That needs Dokku 0.25; DEPLOY_METHOD=archive sends only APP_DIR."
            raise ToolMissing(message, hint=hint)
        theirs = self.now if wanted else self._report.get("computed build dir") or self.now
        if theirs.strip("/") not in {"", *self._ours, wanted}:
            reason = f"is `{wanted or sent}`, but on the server `build-dir` of {app} is "
            remedy = (
                f"On the server, unset it with `dokku builder:set {app} build-dir`; then "
                "APP_DIR decides."
            )
            raise SettingsError(Problem("APP_DIR", f"{reason}`{theirs}`.", "", remedy))

    def set(self, wanted: str) -> None:
        """Set the property to the directory `wanted`; empty: unset it, unless a person has set it.
        Nothing is changed if it is so already. Raises CommandFailed, OutcomeUnknown."""
        if not (wanted or self._ours) or (wanted and self.now == wanted):
            return
        app, before = self._ctx.app, self.now
        if wanted:  # (both, since a run may be killed before the next line)
            ours = " ".join([wanted, *({before} & self._ours)])
            what = f"record on {app} that ci-deploy sets its build-dir"
            self._apps.set_config(app, {BUILD_DIR: ours}, what=what)
        if wanted or before in self._ours:
            what = f"set build-dir of {app} to {wanted}" if wanted else f"unset build-dir of {app}"
            words = ["builder:set", app, "build-dir", *filter(None, [wanted])]
            self._server.change(words, what=what, quiet=True)
            self._report["build dir"] = wanted
            self._before = before if self._before is None else self._before
        if not wanted:
            what = f"remove the record that ci-deploy has set the build-dir of {app}"
            self._apps.unset_config(app, BUILD_DIR, what=what)
        self._ours = {wanted} - {""}

    def restore(self) -> None:
        """After a failed deploy, restore the value that the property had before `set`, with which
        the live release was built; does nothing if this run has not set it."""
        if self._before is not None:
            self.set(self._before)

    @property
    def now(self) -> str:
        """The property's present value, without slashes at its ends; empty if it is not set."""
        return self._report.get("build dir", "").strip("/")

    @property
    def _report(self) -> dict[str, str]:
        if self._found is None:
            asked = self._exists or not self._ctx.planning
            words = ["builder:report", self._ctx.app]
            self._found = answers.report(self._server.ask(words)[0]) if asked else {}
        return self._found
