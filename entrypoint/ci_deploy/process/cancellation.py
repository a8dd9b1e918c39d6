"""The job's cancel button: SIGINT and SIGTERM, turned into a flag that loops look at.

Nothing is ever raised from the signal handler: an exception between fork and exec would run our
own clean-up in the forked child. The handler sets the flag, wakes the loops and passes the signal
on to the running children.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from ci_deploy.errors import Cancelled

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED = {-signum for signum in SIGNALS}  # exit codes of children
CUT = {128, 255}  # how git and ssh end when what they talk through is killed


class Phases:
    """The seconds after the signal: first STOP, then LEAVE, whose last parts are kept for TRUTH and
    RESTORE. GONE is the limit of all, counted from the signal.

    GitLab's and GitHub's runners kill ten seconds (some 7.5) after their first signal.
    """

    STOP = 1.0  # our children have had TERM; then they get KILL
    LEAVE = (
        3.0  # for all that follows: what was begun on the server is stopped first (`interrupted`);
    )
    TRUTH = 1.0  # of them so much stays for the question what is live, whatever hangs before it,
    RESTORE = 1.0  # and so much for restores and notices
    GONE = 4.8  # then the process and its private directory are gone, whatever hangs


class Cancellation:
    """Has the user cancelled, and how much time is left to leave cleanly."""

    def __init__(self) -> None:
        self.signum = 0
        self.at = 0.0
        self.private: list[Path] = []  # what has to be removed even when there is no time left
        self.on_cancel: Callable[[], None] = lambda: None
        self._last_moment: Callable[[int], None] = lambda _code: None
        self._owner = os.getpid()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        weakref.finalize(self, _close, self._read, self._write).atexit = False
        self.until = float("inf")  # the deadline of the whole run, time.monotonic()
        self._leaving_until: float | None = None
        self._grace: float | None = None  # seconds that a cancel leaves at once

    def install(self, last_moment: Callable[[int], None]) -> None:
        """Take over the signals of this process (Python as PID 1 would ignore SIGTERM).

        `last_moment` is called with the exit code once, when the first of them comes.
        """
        self._last_moment = last_moment
        for signum in SIGNALS:
            signal.signal(signum, self._handle)

    def fileno(self) -> int:
        """Readable once cancelled, for select()."""
        return self._read

    def cancel(self, signum: int) -> None:
        """Set the flag; only the first signal counts."""
        if not self.signum:
            if self._grace is not None:
                self.leave(self._grace)
            self.signum, self.at = signum, time.monotonic()
            os.write(self._write, b"!")
            self._last_moment(128 + signum)
        self.on_cancel()

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked child that has not yet become its program
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)  # so that its end tells of a kill
            os._exit(128 + signum)
        self.cancel(signal.SIGTERM if signum == signal.SIGHUP else signum)

    @property
    def pending(self) -> bool:
        """Cancelled, and not yet leaving: work has to stop now."""
        return bool(self.signum) and self._leaving_until is None

    def check(self) -> None:
        """Raise Cancelled if the user has cancelled."""
        if self.pending:
            raise self.error()

    def error(self) -> Cancelled:
        """What to raise after having stopped."""
        name = signal.Signals(self.signum).name
        return Cancelled(f"cancelled ({name}).", signum=self.signum)

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake up on cancel. Raises Cancelled."""
        if self.pending:
            raise self.error()
        if self._leaving_until is None:
            self._wait(max(0.0, min(seconds, self.left())))
            self.check()
        else:
            time.sleep(max(0.0, min(seconds, self.left())))

    def awaited(self, seconds: float) -> bool:
        """Whether the signal has come, or comes within `seconds` (our child may be hit first)."""
        self._wait(seconds)
        return bool(self.signum)

    def _wait(self, seconds: float) -> None:
        look = select.poll()  # `select` knows no descriptor beyond 1,023, and we may inherit many
        look.register(self._read, select.POLLIN)
        look.poll(math.ceil(seconds * 1000))

    def suspect(self, codes: set[int]) -> None:
        """How children have ended. GitLab's cancel kills them before it signals us, so after some
        codes our own signal is waited for a moment. Raises Cancelled."""
        self.check()
        if self.leaving or not codes & (KILLED | CUT):
            return
        if not self.awaited(1.0 if codes & KILLED else 0.5) and codes & KILLED:
            self.cancel(signal.SIGTERM)
        self.check()

    def leave(self, seconds: float) -> None:
        """From now on work may go on for `seconds`: restores, questions, notices."""
        self._leaving_until = time.monotonic() + seconds

    @contextlib.contextmanager
    def reserve(self, seconds: float) -> Iterator[None]:
        """While leaving, keep the last `seconds` for what comes after this block: a server that
        hangs must not take all the time."""
        until = self._leaving_until
        if until is not None:
            self._leaving_until = until - seconds
        try:
            yield
        finally:
            if until is not None:
                self._leaving_until = until

    def finish(self, seconds: float) -> None:
        """Only notices are on their way: a cancel (it may have come) does not interrupt them any
        more, but leaves them `seconds`."""
        self._grace = seconds
        if self.pending:
            self.leave(seconds)

    @property
    def leaving(self) -> bool:
        """In the last seconds of a cancelled run."""
        return self._leaving_until is not None

    def left(self) -> float:
        """Seconds that are left of the run, or after a cancel to leave: the one deadline for all
        that waits, connects, asks or runs."""
        leaving = float("inf") if self._leaving_until is None else self._leaving_until
        return max(0.0, min(self.until, leaving) - time.monotonic())


def _close(*descriptors: int) -> None:
    for each in descriptors:
        os.close(each)
