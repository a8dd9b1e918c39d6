"""The usual way: `git push REVISION:refs/heads/BRANCH`."""

from __future__ import annotations

from collections.abc import Callable

from ci_deploy.context import Context
from ci_deploy.errors import Refused
from ci_deploy.layers.provider import Live
from ci_deploy.shell.program import Result
from ci_deploy.tools.dokku import answers
from ci_deploy.tools.dokku.app import State
from ci_deploy.tools.dokku.code import Code
from ci_deploy.tools.dokku.server import DokkuServer


class Push(Code):
    """A push; over a revision that it does not contain only with a lease."""

    def __init__(
        self,
        ctx: Context,
        server: DokkuServer,
        state: State,
        live: Callable[[], Live],
        *,
        branch: str,
        force: bool = False,
        going_back: bool = False,
    ) -> None:
        """`force`: a diverged history may be replaced; `going_back`: an older one is wanted."""
        super().__init__(ctx, server, state, live)
        self._branch = branch
        self._force = force
        self._back = going_back
        self._url = server.server.url(ctx.app)
        self._may_replace: str | None = None

    def prepare(self) -> None:
        if not self.is_live():
            self._ctx.repository.deepen()
            self._may_replace = self._lease(self._state.live.revision)

    def _once(self) -> Result:
        sha, lease = self.revision, self._may_replace
        how = "" if lease is None else f", replacing {lease[:7]}"
        result = self._ctx.repository.push(
            self._url,
            sha,
            self._branch,
            env=self._server.git_environ(),
            what=f"push {sha[:7]} to {self._branch} of {self._ctx.app}{how}",
            lease=lease,
            watch=self.watch,
        )
        if (
            self._again() and not super()._again()
        ):  # somebody else was faster, or it came there otherwise
            self._may_replace = self._lease(self.server_ref())
        return result

    def _again(self) -> bool:
        """Overtaken before or, by a push that ran into ours, after the deploy: the branch has to
        hold what is deployed, since a rebuild takes it from there."""
        return super()._again() or self.said(answers.REJECTED) or self.said(answers.RACED)

    def _lease(self, live: str) -> str | None:
        """None when ours follows the live one, else the SHA that we may replace. Raises Refused."""
        repository, new = self._ctx.repository, self.revision
        if not live or live == new:
            return None
        if not repository.has(live):
            live = self.server_ref() or live
        known = repository.has(live)
        if known and repository.is_ancestor(live, new):
            return None
        if known and repository.is_ancestor(new, live):
            self._going_back(new[:7], live[:7])
        else:
            self._replacing(new[:7], live[:7], known=known)
        return live

    def _going_back(self, new: str, live: str) -> None:
        if self._back:
            return
        if self._ctx.settings.refuse_outdated:
            message = f"{new} is older than {live}, which is live."
            raise Refused(message, hint="Unset REFUSE_OUTDATED to go back on purpose.")
        self._ctx.console.warning(f"{new} is older than {live}, which is live: going back.")

    def _replacing(self, new: str, live: str, *, known: bool) -> None:
        if self._back:
            return
        if not self._force:
            how = "has diverged from" if known else "cannot be compared, for lack of history, with"
            message = f"{new} {how} {live}, which is live."
            hint = "Deploy a revision that contains it, or set FORCE_PUSH=true to replace it."
            raise Refused(message, hint=hint)
        self._ctx.console.warning(f"FORCE_PUSH: {live} is replaced by {new}.")

    def server_ref(self) -> str:
        """What the app's own repository holds; fetched, so that histories can be compared."""
        ref = f"refs/heads/{self._branch}"
        return self._ctx.repository.fetch(self._url, ref, self._server.git_environ())
