"""Bringing code to Dokku, in whatever way, and finding out what that really did.

A push that deploys nothing can end with exit code 0 (wrong branch, "Everything up-to-date"), and
one that has deployed can end with an error: so the words count, and after them the server's report.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NoReturn

from ci_deploy.errors import DeployFailed, Locked, OutcomeUnknown, Unreachable
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.output.telling import Telling
from ci_deploy.process import limits
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context
from ci_deploy.state import Live

LOCK_PAUSE = 5.0  # seconds at most between two tries while somebody else deploys
BUILDS_PAUSE = 2.0  # seconds between two questions after running builds
LOCK_TOLD = 15.0  # seconds between two lines about it
FOLLOW_TIMEOUT = 120.0  # seconds to follow a deploy to which the connection was lost


class Code(ABC):
    """One way to bring a revision to the app."""

    way: ClassVar[str]
    build_dir = ""  # the directory of what is brought that Dokku has to build

    def __init__(
        self,
        ctx: Context,
        server: DokkuServer,
        state: State,
        live: Callable[[], Live],
        *,
        folder: str = "",
        force: bool = False,
    ) -> None:
        """`folder` of the repository that is the app, `force`: a diverged history is replaced."""
        self.folder = folder
        self._ctx = ctx
        self._force = force
        self._server = server
        self._state = state
        self._live = live
        self._told = -LOCK_TOLD  # when a line about the lock was last printed
        self._limit = "LOCK_TIMEOUT"  # what ends the waiting for it
        self.held_back = False  # it is only to be built
        self.begun = 0.0  # since when a try is under way, time.monotonic(); 0: none is
        self._naming = False  # it is doing so
        self.urls: list[str] = []  # what the server names at the end of a deploy
        self._followed = False  # the connection was lost, and the server says that it is deployed
        self._lines = Telling(answers.patterns())
        self.lines = Telling(answers.patterns())  # of all tries

    @property
    def revision(self) -> str:
        """The full SHA that is deployed."""
        return self._ctx.revision

    def is_live(self) -> bool:
        """Whether that is what the app has already: this revision, by this way, of this folder."""
        state = self._state
        same = state.live.revision == self.revision and state.settled
        return same and state.way == self.way and state.folder in {None, self.folder}

    def is_kept(self) -> bool:
        """Whether a rebuild of the live revision on the server would build it."""
        return True

    def is_there(self) -> bool:
        """Whether a rebuild would build it."""
        return self.is_live()

    @abstractmethod
    def prepare(self) -> None:
        """All that can be refused is refused here, before anything is touched.

        Raises Refused, SettingsError.
        """

    def run(self) -> bool:
        """Bring it, or build again what is there already; False when it was only planned.

        Raises DeployFailed, Locked, OutcomeUnknown, Refused.
        """
        if self.is_there():
            return self.rebuild("deploy again what is there")
        result = self._until_unlocked(self._once)
        if result.planned:
            return False
        if self._needs_rebuild():
            return self.rebuild("deploy what an earlier run has brought")
        return self._deployed(result)

    @abstractmethod
    def _once(self) -> Result:
        """Try it once, with any exit code."""

    def _needs_rebuild(self) -> bool:
        """Nothing was brought because it is there already, but it was not deployed."""
        return self.said(answers.UP_TO_DATE)

    def _succeeded(self, result: Result) -> bool:
        """Whether this is no failure."""
        return result.exit_code == 0

    def rebuild(self, why: str) -> bool:
        """`ps:rebuild` builds what the app's repository holds."""
        app = self._ctx.app
        result = self._until_unlocked(
            lambda: self._server.change(
                ["ps:rebuild", app], what=f"rebuild {app}: {why}", ok=None, watch=self.watch
            )
        )
        return not result.planned and self._deployed(result)

    def _deployed(self, result: Result) -> bool:
        """It is deployed only if the server has said so. Raises DeployFailed."""
        told = self.said(answers.SKIPPED if self.held_back else answers.DEPLOYED)
        if not told and not self._followed:
            self._fail(result)
        return True

    def _until_unlocked(self, once: Callable[[], Result]) -> Result:
        """Try until nobody else is in the way; never unlock."""
        until = time.monotonic() + self._ctx.settings.lock_timeout
        pause = 1.0
        if self._state.locked and not self._ctx.planning:
            self._wait_for_builds(until)
        while True:
            self._lines.clear()
            self.begun = time.monotonic()
            result = once()
            self.begun = 0.0
            if result.planned or self._succeeded(result):
                return result
            if not self._again():
                if self._lost(result):
                    self._follow(result)
                    return result
                self._fail(result)
            # (in time for another try, and to say that nothing has begun)
            last = self._ctx.runner.until - 2.0 - 2 * result.seconds
            if last < until:
                until, self._limit = last, "DEPLOY_TIMEOUT"
            self._wait_for_lock(until, pause)
            self._wait_for_builds(until)
            pause = min(LOCK_PAUSE, 2 * pause)

    def _again(self) -> bool:
        """Whether another try may go better: somebody else deploys now."""
        return self.said(answers.LOCKED)

    def _wait_for_builds(self, until: float) -> None:
        """A refused try empties the lock file, so that the running build could not be cancelled
        any more, and leaves a failed build in the server's short list: look before trying."""
        while self._server.running_builds(self._ctx.app):
            self._wait_for_lock(until, BUILDS_PAUSE)

    def _wait_for_lock(self, until: float, pause: float) -> None:
        app, left = self._ctx.app, until - time.monotonic()
        if left <= 0:
            message = f"another deploy of {app} has held its lock for too long ({self._limit})."
            raise Locked(message, hint="`ci-deploy unlock` shows whose it is. Deploy again later.")
        if time.monotonic() >= self._told + LOCK_TOLD:
            self._told = time.monotonic()
            waiting = f"another deploy of {app} is running; waiting, up to {left:.0f} s"
            self._ctx.console.indent(waiting)
        self._ctx.cancellation.sleep(min(pause, left))

    def watch(self, line: str) -> None:
        """Take a line that the server says."""
        self._lines.take(line)
        self.lines.take(line)
        if answers.DEPLOYED.search(line):
            self.urls, self._naming = [], True
        elif self._naming:
            found = answers.URL.match(line)
            self._naming = found is not None
            self.urls += [found["url"]] if found else []

    @property
    def building(self) -> bool:
        """Whether the server has begun to build what we have brought (it holds the lock then)."""
        return self.said(answers.BUILDING) and not self.said(answers.DEPLOYED)

    @property
    def deploying(self) -> bool:
        """Whether the server has begun to start what it has built, in any try."""
        return any(answers.DEPLOYING.search(line) for line in self.lines)

    @property
    def checked(self) -> str:
        """The process whose new container is not in its place yet, like `web.1`; empty when there
        is none. Nobody removes that container when the deploy is cancelled."""
        found = ""
        for line in self._lines:
            if match := answers.CHECKING.search(line):
                found = match["dyno"]
            elif answers.RENAMING.search(line):
                found = ""
        return found

    @property
    def was_held_back(self) -> bool:
        """Whether the server has built it, and not deployed it."""
        return self.said(answers.SKIPPED) and not self.said(answers.DEPLOYED)

    def said(self, pattern: re.Pattern[str]) -> bool:
        """Whether the server has said it, in the last try."""
        return any(pattern.search(line) for line in self._lines)

    def _fail(self, result: Result) -> NoReturn:
        """Say why, in the user's words."""
        message, hint = answers.reason(self._lines, self._ctx.app)
        if self.was_held_back and not message:
            message = "it was built, but deployments are disabled on the server (skip-deploy)."
            hint = f"On the server: `dokku ps:set {self._ctx.app} skip-deploy`, or --global."
        if not message and result.killed:
            message, hint = result.killed, limits.MORE_MEMORY
        if not message and self._lost(result):
            message, hint = (
                "git's session was cut, and Dokku has deployed nothing.",
                "Deploy again.",
            )
        if not message and result.exit_code == 0:
            message = "Dokku accepted it but deployed nothing."
        message = message or f"Dokku failed with exit code {result.exit_code}."
        raise DeployFailed(message, hint=hint, lines=result.lines)

    def _lost(self, result: Result) -> bool:
        """Whether the session was cut before the server gave a reason. That another session on the
        same connection still lives says nothing: a runner's cancel kills git's ssh before ours."""
        lost = self.said(answers.LOST) or result.exit_code in {255, limits.KILLED}
        return lost and not answers.reason(self._lines)[0]

    def _follow(self, result: Result) -> None:
        """See what becomes of the deploy. Raises OutcomeUnknown unless it ends well."""
        stands = self._server.connected()
        cut = "git's session was cut" if stands else "the connection was lost"
        self._ctx.console.indent(f"{cut} during the deploy; asking the server")
        until = min(time.monotonic() + FOLLOW_TIMEOUT, self._ctx.runner.until)
        before, quiet = self._state.live.revision, 0
        while quiet < 2 and time.monotonic() < until:
            try:
                self._server.reconnect()
                live = self._live()
            except Unreachable:
                self._ctx.cancellation.sleep(1.0)
                continue
            if live.revision == self.revision != before:
                self._followed = True
                return
            quiet = 0 if live.busy else quiet + 1  # it may have ended between two of the questions
            self._ctx.cancellation.sleep(3.0 if live.busy else 1.0)
        if stands and quiet:  # asked over the same connection: nothing of ours goes on there
            self._fail(result)
        raise OutcomeUnknown(f"{cut} during the deploy.", lines=result.lines)
