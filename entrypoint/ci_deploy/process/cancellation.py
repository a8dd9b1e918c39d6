"""Cancellation: SIGINT, SIGTERM and SIGHUP become a flag that loops check.

Nothing is ever raised from the signal handler: an exception between fork and exec would run our own
clean-up in the forked child. The handler sets the flag, wakes the loops and passes the signal on to
the running children.
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
CUT = {128, 255}  # exit codes of git and ssh when their connection is killed


class Phases:
    """The time limits of a cancel, in seconds. Before the signal: OURS or PERHAPS, if children got
    theirs first. After it: STOP, then LEAVE, whose last parts are reserved for TRUTH and RESTORE.
    GONE limits all of it, from the signal on. The runners of GitLab and GitHub send KILL ten
    seconds after their first signal; GitHub's second signal, TERM, comes after 7.5."""

    OURS = 1.0  # to wait for our own signal when a signal has ended a child
    PERHAPS = 0.5  # to wait for our own signal when a child has lost its connection
    STOP = 1.0  # between TERM and KILL for our children
    LEAVE = 3.0  # for everything after STOP, first for `interrupted`: stopping work on the server
    TRUTH = 1.0  # of LEAVE: reserved for asking what is live, whatever hangs before it
    RESTORE = 1.0  # of LEAVE: reserved for restores and notices
    GONE = 4.8  # by then the process and its private directory are gone, whatever hangs


class Cancellation:
    """Whether the run is cancelled (`signum`: the first signal, SIGHUP counting as SIGTERM, 0 for
    none; `at`: its time.monotonic()), and
    how many seconds the run still has (`left`). `cli.run` makes one object per process."""

    def __init__(self) -> None:
        self.signum = 0
        self.at = 0.0
        self.private: list[Path] = []  # directories to remove even when there is no time left
        self.on_cancel: Callable[[], None] = lambda: None
        self._last_moment: Callable[[int], None] = lambda _code: None
        self._owner = os.getpid()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        weakref.finalize(self, _close, self._read, self._write).atexit = False
        self.until = float("inf")  # the deadline of the whole run, time.monotonic()
        self._leaving_until: float | None = None
        self._grace: float | None = None  # after `finish`: the seconds that remain after a cancel

    def install(self, last_moment: Callable[[int], None]) -> None:
        """Handle SIGNALS in this process (as PID 1, the kernel would ignore SIGTERM).

        `last_moment` is called once, with the exit code (128 + the signal), when the first comes.
        """
        self._last_moment = last_moment
        for signum in SIGNALS:
            signal.signal(signum, self._handle)

    def fileno(self) -> int:
        """A descriptor that becomes readable on cancel, for select()."""
        return self._read

    def cancel(self, signum: int) -> None:
        """Cancel the run as the signal `signum` does: set the flag, wake up whoever waits, call
        `on_cancel`. Only the first signal is recorded; `on_cancel` is called for each."""
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
            os.kill(os.getpid(), signum)  # so that it ends by the signal
            os._exit(128 + signum)
        self.cancel(signal.SIGTERM if signum == signal.SIGHUP else signum)

    @property
    def pending(self) -> bool:
        """Whether the run is cancelled but its last phase (`leave`) has not begun: work must stop
        now."""
        return bool(self.signum) and self._leaving_until is None

    def check(self) -> None:
        """Raise Cancelled if the run is cancelled, except in its last phase (`leave`)."""
        if self.pending:
            raise self.error()

    def error(self) -> Cancelled:
        """The Cancelled error for the signal that has come. Call it only after one."""
        name = signal.Signals(self.signum).name
        return Cancelled(f"cancelled ({name}).", signum=self.signum)

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, but not beyond the deadline. Raises Cancelled at once on a cancel,
        except in the last phase."""
        if self.pending:
            raise self.error()
        if self._leaving_until is None:
            self._wait(max(0.0, min(seconds, self.left())))
            self.check()
        else:
            time.sleep(max(0.0, min(seconds, self.left())))

    def awaited(self, seconds: float) -> bool:
        """Wait up to `seconds` for a signal, since a child may get it before us; returns whether
        one has come, now or earlier."""
        self._wait(seconds)
        return bool(self.signum)

    def _wait(self, seconds: float) -> None:
        look = select.poll()  # `select` takes no descriptor beyond 1,023, and we may inherit many
        look.register(self._read, select.POLLIN)
        look.poll(math.ceil(seconds * 1000))

    def suspect(self, codes: set[int]) -> None:
        """Raise Cancelled if the exit `codes` of children come from a cancel: GitLab's runner kills
        them before it signals us. A child that died of one of SIGNALS always counts (after up to
        OURS seconds for our own signal), a lost connection only if our own signal comes within
        PERHAPS seconds. Does nothing in the last phase (`leave`)."""
        self.check()
        if self.leaving or not codes & (KILLED | CUT):
            return
        if not self.awaited(Phases.OURS if codes & KILLED else Phases.PERHAPS) and codes & KILLED:
            self.cancel(signal.SIGTERM)
        self.check()

    def leave(self, seconds: float = Phases.LEAVE) -> None:
        """Begin the last phase of a run: at most `seconds` remain for stopping work on the server,
        asking what is live, restores and notices. `check` raises nothing any more."""
        self._leaving_until = time.monotonic() + seconds

    @contextlib.contextmanager
    def reserve(self, seconds: float) -> Iterator[None]:
        """Context manager: if the last phase (`leave`) has begun, it ends `seconds` earlier for the
        block (`left`), so that a server that hangs leaves time for what follows. No effect before
        that phase: the run's deadline stays."""
        until = self._leaving_until
        if until is not None:
            self._leaving_until = until - seconds
        try:
            yield
        finally:
            if until is not None:
                self._leaving_until = until

    def finish(self, seconds: float = Phases.LEAVE) -> None:
        """To be called when only notices and the summary remain: a cancel, even one that has come
        already, then begins the last phase of `seconds` instead of interrupting them."""
        self._grace = seconds
        if self.pending:
            self.leave(seconds)

    @property
    def leaving(self) -> bool:
        """Whether the run is in its last phase (`leave` was called)."""
        return self._leaving_until is not None

    def left(self) -> float:
        """Seconds until the run's deadline or the end of its last phase, whichever is earlier; the
        limit for everything that waits, connects or runs. Never negative."""
        leaving = float("inf") if self._leaving_until is None else self._leaving_until
        return max(0.0, min(self.until, leaving) - time.monotonic())


def _close(*descriptors: int) -> None:
    for each in descriptors:
        os.close(each)
