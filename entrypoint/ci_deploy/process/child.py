"""Running child processes: reads their output, and stops them."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ci_deploy.process.cancellation import Cancellation, Phases
from ci_deploy.process.program import READ_LIMIT, Timeout

SILENCE = 30.0  # seconds after which a silent child is mentioned
LEFTOVERS = 2.0  # seconds to read on after a child's end, while a grandchild holds the pipe


class Child:
    """A program that the runner has started. `process` is the `sh.RunningCommand`; `out` and `err`
    are descriptors of the pipes with its output (-1: none); `sinks` maps each to the function that
    gets what is read from it. `timed_out`: it was stopped at a deadline."""

    def __init__(self, argv: Sequence[str], process: Any, out: int, err: int) -> None:
        self.argv = tuple(argv)
        self.process = process
        self.out, self.err = out, err
        self.started = self.heard = time.monotonic()
        self.ended: float | None = None
        self.timed_out = False
        self.sinks: dict[int, Callable[[bytes], object]] = {}
        try:
            self.pidfd = os.pidfd_open(process.pid)
        except OSError:  # an old kernel, or a seccomp profile
            self.pidfd = -1

    @property
    def alive(self) -> bool:
        """Whether the program still runs; does not wait."""
        if self.ended is None and not self.process.is_alive():
            self.ended = time.monotonic()
        return self.ended is None

    @property
    def seconds(self) -> float:
        """How many seconds the program has run, until now or until its end."""
        return (time.monotonic() if self.alive else self.ended or self.started) - self.started

    def signal(self, signum: int) -> None:
        """Signal the program's process group: it and what it has started, except what has left the
        group. Does nothing when the group is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signum)

    def reap(self) -> int:
        """Wait for the program's end, close its descriptors, and return its exit code: negative for
        a signal."""
        self.process.wait()
        close(self.out, self.err, self.pidfd)
        self.out = self.err = self.pidfd = -1
        return int(self.process.exit_code)


def readable(data: bytes | int | Path) -> int:
    """A descriptor to read `data` from: bytes, the file at a path, or a descriptor, which is
    returned. Bytes stay in memory (memfd_create(2)), so that no secret is on disk."""
    if isinstance(data, int):
        return data
    if isinstance(data, Path):
        return os.open(data, os.O_RDONLY)
    fd = os.memfd_create("stdin")
    with os.fdopen(os.dup(fd), "wb") as stream:
        stream.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def drain(fd: int) -> str:
    """Read, as text, what is in the pipe `fd` now, without waiting; invalid UTF-8 is replaced."""
    os.set_blocking(fd, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(fd, 65536):
            data += chunk
    return data.decode(errors="replace")


def dying_with_parent() -> Callable[[], None]:
    """A function for a new child to call before its program starts. The kernel then sends the child
    SIGTERM when this process dies (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes

    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGTERM)


def seclude() -> None:
    """Hide the environ and memory of this process from now on from other processes of this user,
    and from a root without CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_PERFMON (prctl(2),
    PR_SET_DUMPABLE)."""
    import ctypes

    ctypes.CDLL(None).prctl(4, 0)


def close(*fds: int) -> None:
    """Close descriptors; -1 stands for none."""
    for fd in fds:
        if fd >= 0:
            os.close(fd)


def stop(children: Sequence[Child], grace: float = Phases.STOP) -> None:
    """Send TERM to the process groups of those children that still run, and KILL when these have
    ended, at most `grace` seconds later, so that nothing of their groups is left. Returns when all
    have ended."""
    running = [child for child in children if child.alive]
    for child in running:
        child.signal(signal.SIGTERM)
    until = time.monotonic() + max(0.0, grace)
    while any(child.alive for child in running) and time.monotonic() < until:
        time.sleep(0.001)
    for child in running:
        child.signal(signal.SIGKILL)
    while any(child.alive for child in running):
        time.sleep(0.001)


class Pump:
    """Reads the output of children until they end, a deadline passes or the run is cancelled.
    `silent` is called with the seconds that a child has run, when it has been silent for 30 s."""

    def __init__(self, cancellation: Cancellation, silent: Callable[[float], None]) -> None:
        self._cancellation = cancellation
        self._silent = silent

    def run(
        self,
        children: Sequence[Child],
        timeout: Timeout,
        until: float,
        *,
        talk: bool = False,
    ) -> None:
        """Read until all children have ended. Those that run longer than `timeout` seconds (or
        beyond the deadline that it returns), beyond `until` (time.monotonic()) or beyond the last
        phase of a cancel are stopped and marked as timed out; a cancel stops all. `talk`: call
        `silent` for children that print nothing."""
        if not callable(timeout):
            until = min(until, time.monotonic() + timeout)
        with selectors.DefaultSelector() as selector:
            self._register(children, selector)
            while not _all_done(children, selector):
                if self._cancellation.pending:
                    return stop(children, Phases.STOP - (time.monotonic() - self._cancellation.at))
                deadline = min(until, timeout()) if callable(timeout) else until
                left = min(deadline - time.monotonic(), self._cancellation.left())
                if left <= 0:
                    for child in children:
                        child.timed_out = child.alive
                    stop(children)
                    return _take_last_words(selector)
                for key, _ in selector.select(min(left, _next_look(children))):
                    if key.data is not None:
                        _take(key.fd, key.data, selector)
                    elif key.fileobj is not self._cancellation:
                        selector.unregister(key.fd)
                if talk:
                    self._mention_silence(children)
        return None

    def _register(self, children: Sequence[Child], selector: selectors.BaseSelector) -> None:
        for child in children:
            for fd in child.sinks:
                selector.register(fd, selectors.EVENT_READ, child)
            if child.pidfd >= 0:
                selector.register(child.pidfd, selectors.EVENT_READ, None)
        if not self._cancellation.leaving:
            selector.register(self._cancellation, selectors.EVENT_READ, None)

    def _mention_silence(self, children: Sequence[Child]) -> None:
        now = time.monotonic()
        for child in children:
            if child.alive and now - child.heard >= SILENCE:
                child.heard = now
                self._silent(now - child.started)


def _take(fd: int, child: Child, selector: selectors.BaseSelector) -> None:
    if data := os.read(fd, 65536):
        child.heard = time.monotonic()
        child.sinks[fd](data)
    else:
        selector.unregister(fd)


def _take_last_words(selector: selectors.BaseSelector) -> None:
    """Read once more after a timeout: a program may have answered in time while this machine
    stalled. One read takes all that a pipe holds."""
    for key, _ in selector.select(0):
        if key.data is not None:
            _take(key.fd, key.data, selector)


def _all_done(children: Sequence[Child], selector: selectors.BaseSelector) -> bool:
    """Whether all have ended and everything that they printed is read."""
    reading = {key.data for key in selector.get_map().values() if key.data is not None}
    late = time.monotonic() - LEFTOVERS
    return all(
        not child.alive and (child not in reading or (child.ended or late) < late)
        for child in children
    )


def _next_look(children: Sequence[Child]) -> float:
    """Seconds that select may sleep: without a pidfd, the end of a child must be polled for."""
    if any(child.ended is not None or child.pidfd < 0 for child in children):
        return 0.02
    return 1.0


def kept(buffer: bytearray, limit: int = READ_LIMIT) -> Callable[[bytes], None]:
    """A sink (`Child.sinks`) that appends output to `buffer` until that has `limit` bytes."""

    def take(data: bytes) -> None:
        buffer.extend(data[: max(0, limit - len(buffer))])

    return take
