"""Bringing the code to Dokku by `git push`, and finding out what the push really did.

A push that deploys nothing can end with exit code 0 (wrong branch, "Everything up-to-date"), and
one that has deployed can end with an error: so the words count, and after them the server's report.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NoReturn

from ci_deploy.context import Context
from ci_deploy.errors import DeployFailed, Locked, OutcomeUnknown, Refused, Unreachable
from ci_deploy.layers.base import Live
from ci_deploy.shell.program import Result
from ci_deploy.tools.dokku import answers
from ci_deploy.tools.dokku.server import DokkuServer
from ci_deploy.tools.git import GitSettings

LOCK_PAUSE = 15.0  # seconds between two tries while somebody else deploys
FOLLOW_TIMEOUT = 120.0  # seconds to follow a deploy to whose push the connection was lost


class Push:
    """One deploy by push."""

    def __init__(
        self,
        ctx: Context,
        server: DokkuServer,
        wanted: GitSettings,
        branch: str,
        live: Callable[[], Live],
    ) -> None:
        self._ctx = ctx
        self._server = server
        self._wanted = wanted
        self._branch = branch or "master"
        self._live = live
        self._url = server.server.url(ctx.app)
        self._lines: list[str] = []
        self._may_replace: str | None = None

    def prepare(self) -> None:
        """All that can be refused is refused here, before anything is touched.

        Raises Refused, SettingsError.
        """
        before = self._ctx.before or Live()
        if before.revision != self._ctx.revision:
            self._ctx.repository.deepen()
            self._may_replace = self._lease(before.revision)

    def run(self) -> bool:
        """Push, or build again what is there already; False when it was only planned.

        Raises DeployFailed, Locked, OutcomeUnknown, Refused.
        """
        before = self._ctx.before or Live()
        if before.revision == self._ctx.revision:
            return self._rebuild("deploy the same revision again")
        result = self._push()
        if result.planned:
            return False
        if self._said(answers.UP_TO_DATE):
            return self._rebuild("deploy what an earlier push has brought")
        if not self._said(answers.DEPLOYED):
            self._fail(result)
        return True

    def _push(self) -> Result:
        """Push until it is neither locked out nor overtaken by somebody else's."""
        lease = self._may_replace
        until = time.monotonic() + self._ctx.settings.lock_timeout
        compared = False
        while True:
            result = self._push_once(lease)
            if result.exit_code == 0:
                return result
            if self._said(answers.LOCKED):
                self._wait_for_lock(until)
            elif self._said(answers.REJECTED) and not compared:
                compared, lease = True, self._lease(self._server_ref())
            else:
                self._fail(result)

    def _push_once(self, lease: str | None) -> Result:
        sha = self._ctx.revision
        how = "" if lease is None else f", replacing {lease[:7]}"
        self._lines.clear()
        return self._ctx.repository.push(
            self._url,
            sha,
            self._branch,
            env=self._server.git_environ(),
            what=f"push {sha[:7]} to {self._branch} of {self._ctx.app}{how}",
            lease=lease,
            watch=self._lines.append,
        )

    def _rebuild(self, why: str) -> bool:
        """`ps:rebuild` builds what the deploy branch holds."""
        app = self._ctx.app
        self._lines.clear()
        result = self._server.change(
            ["ps:rebuild", app], what=f"rebuild {app}: {why}", ok=None, watch=self._lines.append
        )
        if result.exit_code:
            self._fail(result)
        return not result.planned

    # --- how the revisions relate ---

    def _lease(self, live: str) -> str | None:
        """None when ours follows the live one, else the SHA that we may replace. Raises Refused."""
        repository, new = self._ctx.repository, self._ctx.revision
        if not live or live == new:
            return None
        if not repository.has(live):
            live = self._server_ref() or live
        known = repository.has(live)
        if known and repository.is_ancestor(live, new):
            return None
        if known and repository.is_ancestor(new, live):
            self._going_back(new[:7], live[:7])
        else:
            self._replacing(new[:7], live[:7], known=known)
        return live

    def _going_back(self, new: str, live: str) -> None:
        if self._ctx.settings.refuse_outdated:
            message = f"{new} is older than {live}, which is live."
            raise Refused(message, hint="Unset REFUSE_OUTDATED to go back on purpose.")
        self._ctx.console.warning(f"{new} is older than {live}, which is live: going back.")

    def _replacing(self, new: str, live: str, *, known: bool) -> None:
        if not self._wanted.force_push:
            how = "has diverged from" if known else "cannot be compared, for lack of history, with"
            message = f"{new} {how} {live}, which is live."
            hint = "Deploy a revision that contains it, or set FORCE_PUSH=true to replace it."
            raise Refused(message, hint=hint)
        self._ctx.console.warning(f"FORCE_PUSH: {live} is replaced by {new}.")

    def _server_ref(self) -> str:
        """What the app's own repository holds; fetched, so that histories can be compared."""
        ref = f"refs/heads/{self._branch}"
        return self._ctx.repository.fetch(self._url, ref, self._server.git_environ())

    # --- when it does not work ---

    def _wait_for_lock(self, until: float) -> None:
        """Somebody else deploys: wait, never unlock."""
        app, left = self._ctx.app, until - time.monotonic()
        if left <= 0:
            waited = self._ctx.settings.lock_timeout
            message = f"another deploy of {app} has held the lock for more than {waited} s."
            raise Locked(message, hint="Deploy again later, or raise LOCK_TIMEOUT.")
        self._ctx.console.indent(f"another deploy of {app} is running; waiting up to {left:.0f} s")
        self._ctx.cancellation.sleep(min(LOCK_PAUSE, left))

    def _fail(self, result: Result) -> NoReturn:
        """Say why, in the user's words."""
        message, hint = answers.reason(self._lines)
        if not message and (self._said(answers.LOST) or result.exit_code == 255):
            self._follow(result)
        if not message and result.exit_code == 0:
            message = "Dokku has taken the push, but it has deployed nothing."
        message = message or f"git push failed with exit code {result.exit_code}."
        raise DeployFailed(message, hint=hint, lines=result.lines)

    def _follow(self, result: Result) -> NoReturn:
        """The connection was lost in the middle: see what becomes of the deploy."""
        self._ctx.console.indent("the connection was lost during the deploy; asking the server")
        until = time.monotonic() + FOLLOW_TIMEOUT
        while time.monotonic() < until:
            try:
                self._server.reconnect()
                live = self._live()
            except Unreachable:
                continue  # reconnect has tried for a while
            if live.revision == self._ctx.revision or not live.busy:
                break
            self._ctx.cancellation.sleep(3.0)
        message = "the connection was lost during the deploy."
        raise OutcomeUnknown(message, lines=result.lines)

    def _said(self, pattern: re.Pattern[str]) -> bool:
        return any(pattern.search(line) for line in self._lines)
