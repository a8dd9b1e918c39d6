"""Deploys code to Dokku by any method, and finds out what really happened.

A push that deploys nothing can end with exit code 0 (wrong branch, "Everything up-to-date"), and
one that has deployed can end with an error: so the messages count, then the server's report.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, NoReturn

from ci_deploy.errors import DeployFailed, Locked, OutcomeUnknown, Unreachable
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.output.excerpt import Excerpt
from ci_deploy.process import limits
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context
from ci_deploy.run.lock_wait import LockWait
from ci_deploy.state import Live

LOCK_PAUSE = 5.0  # maximum seconds between two attempts while another job deploys
BUILDS_PAUSE = 2.0  # seconds between two queries for running builds
FOLLOW_TIMEOUT = 120.0  # seconds to follow a deploy to which the connection was lost


class DeployMethod(ABC):
    """The deployment of one revision to the app by one method, which is the subclass: `Push`,
    `Archive` or `Image`. `choose_method` makes it, `run` deploys."""

    method: ClassVar[str]
    build_dir = ""  # the directory, within what is sent, that Dokku has to build

    def __init__(
        self,
        ctx: Context,
        server: DokkuServer,
        state: State,
        live: Callable[[], Live],
        *,
        revision: str,
        folder: str = "",
        force: bool = False,
    ) -> None:
        """`state`: the app's before this run; `live` asks what runs now. `revision`: the full SHA
        to deploy; `folder`: the app's directory in the repository, empty for its root; `force`:
        FORCE_PUSH, so a diverged history is replaced."""
        self.revision = revision
        self.folder = folder
        self._ctx = ctx
        self._force = force
        self._server = server
        self._state = state
        self._live = live
        self.held_back = False  # whether it is only built, not released
        self.begun = 0.0  # start of the present attempt, time.monotonic(); 0: none
        self._naming = False  # whether the next lines may be URLs
        self.unstarted: dict[str, None] = {}  # the process types that are scaled to 0, in order
        self.urls: list[str] = []  # the URLs that the server prints after a deploy
        self._followed = False  # the connection was lost, but the revision was found live
        self._lines = Excerpt(answers.patterns())  # of the last attempt
        self.deploying = False  # the server has begun to start the build, in any attempt
        self.released = False  # the server has released it, although the attempt failed

    def is_live(self) -> bool:
        """Whether the app ran this revision at the start, deployed by this method and of this
        folder, and Dokku records it as deployed."""
        state = self._state
        same = state.live.revision == self.revision and state.settled
        return same and state.method == self.method and state.folder in {None, self.folder}

    def is_kept(self) -> bool:
        """Whether a rebuild on the server (`ps:rebuild`) would build this revision again. Asked
        when it is live: if not, it is deployed again. False only for a push, when the server's
        branch holds another commit. Raises Unreachable."""
        return True

    @property
    def doubt(self) -> str:
        """For a revision that is live: a warning if the user may want something newer, as with an
        image by tag; empty for no doubt."""
        return ""

    def is_there(self) -> bool:
        """Whether the server's copy of the code is this revision, so that `ps:rebuild` deploys it;
        known after `prepare`."""
        return self.is_live()

    @abstractmethod
    def prepare(self) -> None:
        """Check, before anything is changed, that the revision may replace the live one and that
        the server supports the method; gets ready what is to be sent.

        Raises Refused, SettingsError, ToolMissing, Unreachable.
        """

    def run(self) -> bool:
        """Deploy the code, or rebuild it if the server has it; False when only planning.

        Raises DeployFailed, Locked, OutcomeUnknown, Refused.
        """
        if self.is_there():
            return self.rebuild("redeploy the code that is on the server")
        result = self._until_unlocked(self._once)
        if result.planned:
            return False
        if self._needs_rebuild():
            return self.rebuild("deploy the code that the server has already")
        return self._deployed(result)

    @abstractmethod
    def _once(self) -> Result:
        """Make one attempt; any exit code is returned."""

    def _needs_rebuild(self) -> bool:
        """Whether git sent nothing: the server has the code already, but has not deployed it."""
        return self.said(answers.UP_TO_DATE)

    def _succeeded(self, result: Result) -> bool:
        """Whether the result is not a failure."""
        return result.exit_code == 0

    def rebuild(self, why: str) -> bool:
        """Build and deploy what the app's repository on the server contains (`ps:rebuild`); `why`
        is for the log. False when only planning. Raises like `run`."""
        app = self._ctx.app
        result = self._until_unlocked(
            lambda: self._server.change(
                ["ps:rebuild", app], what=f"rebuild {app}: {why}", ok=None, watch=self.watch
            )
        )
        return not result.planned and self._deployed(result)

    def _deployed(self, result: Result) -> bool:
        """Return True if the server has reported the deploy. Raises DeployFailed."""
        told = self.said(answers.SKIPPED if self.held_back else answers.DEPLOYED)
        if not told and not self._followed:
            self._fail(result)
        return True

    def _until_unlocked(self, once: Callable[[], Result]) -> Result:
        """Try until no other deploy is in the way; never unlock. Raises Locked, DeployFailed,
        OutcomeUnknown."""
        wait, pause = LockWait(self._ctx), 1.0
        if self._state.locked and not self._ctx.planning:
            self._wait_for_builds(wait)
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
            wait.reserve(2.0 + 2 * result.seconds)  # another attempt, and the report
            self._wait_for_lock(wait, pause)
            self._wait_for_builds(wait)
            pause = min(LOCK_PAUSE, 2 * pause)

    def _again(self) -> bool:
        """Whether another attempt may succeed: another job is deploying now."""
        return self.said(answers.LOCKED)

    def _wait_for_builds(self, wait: LockWait) -> None:
        """Wait while a build runs: a refused attempt would empty the lock file, so that the running
        build could not be cancelled any more, and would add a failed build to the server's short
        list."""
        while self._server.running_builds(self._ctx.app):
            self._wait_for_lock(wait, BUILDS_PAUSE)

    def _wait_for_lock(self, wait: LockWait, pause: float) -> None:
        app = self._ctx.app
        words = f"{app} is locked, by another deploy or manually; waiting, up to {wait.left:.0f} s"
        message = f"{app} was still locked, by another deploy or manually, when {wait.limit} ended."
        hint = "`ci-deploy unlock` shows who holds the lock. Run this job again later."
        if self._again() and not self.said(answers.LOCKED):
            words = f"another push to {app} came first; trying again, for up to {wait.left:.0f} s"
            message = f"other pushes to {app} still came first when {wait.limit} ended."
            hint = "Run this job again later."
        wait.pause(words, pause, partial(Locked, message, hint=hint))

    def watch(self, line: str) -> None:
        """Take a line of the server's output, not redacted; it sets `deploying`, `unstarted` and
        `urls`, and is kept for `said`."""
        self._lines.take(line)
        self.deploying = self.deploying or answers.DEPLOYING.search(line) is not None
        if "(count=0)" in line and (off := answers.UNSTARTED.search(line)):
            self.unstarted[off["process"]] = None
        if answers.DEPLOYED.search(line):
            self.urls, self._naming = [], True
        elif self._naming:
            found = answers.URL.match(line)
            self._naming = found is not None
            self.urls += [found["url"]] if found else []

    @property
    def building(self) -> bool:
        """Whether the server has begun to build our code in the last attempt (and holds the lock),
        and has not reported it as deployed."""
        return self.said(answers.BUILDING) and not self.said(answers.DEPLOYED)

    @property
    def checked(self) -> str:
        """The process (like `web.1`) whose new container was started but has not replaced the old
        one; empty for none. Dokku does not remove that container when the deploy is cancelled."""
        found = ""
        for line in self._lines:
            if match := answers.CHECKING.search(line):
                found = match["dyno"]
            elif answers.RENAMING.search(line):
                found = ""
        return found

    @property
    def was_held_back(self) -> bool:
        """Whether the server has built the code in the last attempt and not released it, since
        skip-deploy is set."""
        return self.said(answers.SKIPPED) and not self.said(answers.DEPLOYED)

    def said(self, pattern: re.Pattern[str]) -> bool:
        """Whether a line of the last attempt's output contains a match of `pattern`."""
        return any(pattern.search(line) for line in self._lines)

    def _fail(self, result: Result) -> NoReturn:
        """Raise DeployFailed with the reason, for the user."""
        message, hint = answers.reason(self._lines, self._ctx.app)
        if self.was_held_back and not message:
            message = "the code was built, but deployments are disabled (skip-deploy)."
            hint = f"Enable them on the server: `dokku ps:set {self._ctx.app} skip-deploy`"
            hint += ", or `dokku ps:set --global skip-deploy`."
        if not message and result.killed:
            message, hint = result.killed, limits.MORE_MEMORY
        if not message and self._lost(result):
            message, hint = (
                "the ssh session of the deploy was lost, and the server reports no new deploy.",
                "Run this job again.",
            )
        if not message and result.exit_code == 0:
            message = "Dokku accepted the code but deployed nothing."
        message = message or f"Dokku failed with exit code {result.exit_code}."
        raise DeployFailed(message, hint=hint or answers.REPAIR, lines=result.lines)

    def _lost(self, result: Result) -> bool:
        """Whether the session was cut before the server gave a reason. Another session on the same
        connection may still be alive: a runner's cancel kills git's ssh before ours."""
        lost = self.said(answers.LOST) or result.exit_code in {255, limits.KILLED}
        return lost and not answers.reason(self._lines)[0]

    def _follow(self, result: Result) -> None:
        """Follow a deploy after a lost connection. Raises OutcomeUnknown or DeployFailed on
        failure."""
        stands = self._server.connected()
        cut = "the ssh session was lost" if stands else "the connection was lost"
        self._ctx.console.indent(f"{cut} during the deploy; asking the server what is live")
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
            quiet = 0 if live.busy else quiet + 1  # it may have ended between two of the queries
            self._ctx.cancellation.sleep(3.0 if live.busy else 1.0)
        if stands and quiet:  # over the same connection: nothing of ours runs there any more
            self._fail(result)
        raise OutcomeUnknown(f"{cut} during the deploy.", lines=result.lines)
