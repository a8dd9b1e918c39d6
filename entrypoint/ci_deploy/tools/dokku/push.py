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
from ci_deploy.tools.order import Order, guard, order

REMOTE = "remote:"  # begins what the server says, the app's own words among it
PUSHED = "git-push"  # the deploy source of a push


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
        """`going_back`: an older revision is wanted."""
        super().__init__(ctx, server, state, live, force=force)
        self._branch = branch
        self._back = going_back
        self._url = server.server.url(ctx.app)
        self._may_replace: str | None = None
        self._there = False  # the branch holds it

    def is_there(self) -> bool:
        return self._there

    def prepare(self) -> None:
        repository, live = self._ctx.repository, self._state.live.revision
        if self.is_live() and self.server_ref() == self.revision:
            self._there = True
            return
        repository.deepen()
        there = live
        foreign = self._state.source not in {"", PUSHED}  # a commit of Dokku's own, of an archive
        known = live not in {"", self.revision} and repository.has(live)
        if foreign or not self._state.settled or (live and not known):
            there = self.server_ref()
        self._guard(live or there)
        self._may_replace = self._lease(there)

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
        overtaken = self._again() and not super()._again()
        if overtaken and (there := self.server_ref()):
            if self._back:
                message = f"{there[:7]} was deployed meanwhile: it stays."
                raise Refused(message, hint="Roll back again if that is still wanted.")
            self._guard(there)
            self._may_replace = self._lease(there)
        return result

    def _again(self) -> bool:
        """Overtaken before or, by a push that ran into ours, after the deploy: the branch has to
        hold what is deployed, since a rebuild takes it from there."""
        return super()._again() or any(
            pattern.search(line)
            for line in self._lines
            for pattern in (answers.REJECTED, answers.RACED)
            if not line.startswith(REMOTE)
        )

    def _guard(self, live: str) -> None:
        """Raises Refused."""
        found = order(self._ctx.repository, self.revision, live)
        if not self._back:
            guard(self._ctx, live, found, force=self._force, overwrites=True)

    def _lease(self, there: str) -> str | None:
        """None when ours follows what is there, else what is there: that we may replace."""
        found = order(self._ctx.repository, self.revision, there)
        return None if found is Order.AFTER else there

    def server_ref(self) -> str:
        """What the app's own repository holds; fetched, so that histories can be compared."""
        ref = f"refs/heads/{self._branch}"
        return self._ctx.repository.fetch(self._url, ref, self._server.git_environ())
