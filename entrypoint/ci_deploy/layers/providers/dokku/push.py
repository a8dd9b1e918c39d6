"""Deploys by `git push REVISION:refs/heads/BRANCH`, the default."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NoReturn

from ci_deploy.errors import DeployFailed, Refused
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context
from ci_deploy.run.order import Order, guard, order
from ci_deploy.state import Live

REMOTE = "remote:"  # prefix of the server's lines, which include the app's own output


class Push(DeployMethod):
    """Deploys by `git push`. A branch that holds a revision not contained in ours is replaced only
    with `--force-with-lease`."""

    method = "push"

    def __init__(
        self,
        ctx: Context,
        server: DokkuServer,
        state: State,
        live: Callable[[], Live],
        *,
        revision: str,
        branch: str,
        folder: str,
        force: bool = False,
        going_back: bool = False,
    ) -> None:
        """`branch`: the one that Dokku deploys; `going_back`: for a rollback, so the order of the
        revisions is not checked."""
        super().__init__(ctx, server, state, live, revision=revision, folder=folder, force=force)
        self.build_dir = folder
        self._branch = branch
        self._back = going_back
        self._url = server.server.url(ctx.app)
        self._may_replace: str | None = None
        self._there = False  # whether the branch holds the revision

    def is_kept(self) -> bool:
        if self._state.identity == self.revision:  # HEAD's, which is known already
            return True
        return self._server.ref(self._ctx.app, self._branch) == self.revision

    def is_there(self) -> bool:
        return self._there

    def prepare(self) -> None:
        repository, live = self._ctx.repository, self._state.live.revision
        if self.is_live() and self.server_ref() == self.revision:
            self._there = True
            return
        repository.deepen()
        there = live
        # (of an archive Dokku makes a commit of its own)
        foreign = self._state.method not in {"", self.method}
        known = live not in {"", self.revision} and repository.has(live)
        if foreign or not self._state.settled or (live and not known):
            there = self.server_ref()
        if live:
            self._guard(live)
        else:
            self._guard(there, f"which the branch {self._branch} on the server contains")
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
                message = f"not rolled back, since {there[:7]} was pushed meanwhile."
                raise Refused(message, hint="Roll back again if that is still wanted.")
            self._guard(there, f"which the branch {self._branch} on the server now contains")
            self._may_replace = self._lease(there)
        return result

    def _again(self) -> bool:
        """Whether another push has moved the branch, before our deploy or after it: the branch must
        hold what is deployed, since a rebuild uses it. Other refusals of git do not count: they
        would be the same after every attempt."""
        raced = self._not_moved() is not None and self.said(answers.RACED)
        return super()._again() or raced or any(map(answers.REJECTED.search, self._git_says()))

    def _git_says(self) -> Iterator[str]:
        """The lines that are git's own, not the server's."""
        return (line for line in self._lines if not line.startswith(REMOTE))

    def _not_moved(self) -> re.Match[str] | None:
        """Git's refusal to move the branch after the deploy."""
        return next(filter(None, map(answers.NOT_MOVED.search, self._git_says())), None)

    def _fail(self, result: Result) -> NoReturn:
        if (refused := self._not_moved()) and self.said(answers.DEPLOYED):
            said = filter(None, map(answers.WHY_NOT_MOVED.search, self._lines))
            why = next((match[1].strip() for match in said), refused["why"])
            where = f"but the branch {self._branch} on the server"
            message = f"{self.revision[:7]} was deployed, {where} could not be moved to it: {why}"
            _, hint = answers.reason([*self._git_says(), why], self._ctx.app)
            repair = f"Repair /home/dokku/{self._ctx.app} on the server, then run this job again."
            hint = hint or repair
            self.released = True
            raise DeployFailed(message, hint=hint, lines=result.lines)
        super()._fail(result)

    def _guard(self, live: str, what: str = "which is live") -> None:
        """Check the order of the revisions. Raises Refused."""
        found = order(self._ctx.repository, self.revision, live)
        if not self._back:
            guard(self._ctx, live, found, force=self._force, overwrites=True, what=what)

    def _lease(self, there: str) -> str | None:
        """None when our revision contains `there`, else `there`, which we may replace."""
        found = order(self._ctx.repository, self.revision, there)
        return None if found is Order.AFTER else there

    def server_ref(self) -> str:
        """The full SHA that the server's branch holds, empty if there is no such branch; fetched,
        for comparing histories. Raises Unreachable, ToolMissing."""
        ref = f"refs/heads/{self._branch}"
        return self._ctx.repository.fetch(self._url, ref, self._server.git_environ())
