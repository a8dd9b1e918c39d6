"""The one place that runs programs, and the only importer of `sh`.

`sh` is used with the rules that were measured (docs/architecture.md, "Running programs"): stdin
always given, every exit code allowed and judged by us, a session of its own for each child, output
through pipes that we read ourselves, our own timeout: TERM to the group, grace, KILL.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sh

from ci_deploy.errors import DeployFailed, OutcomeUnknown, ToolMissing, Unreachable
from ci_deploy.ledger import Ledger
from ci_deploy.shell.cancellation import Cancellation

logging.getLogger("sh").setLevel(logging.CRITICAL)  # its log lines hold whole command lines

GRACE = 1.0  # seconds between TERM and KILL
SILENCE = 30.0  # seconds after which a silent child is mentioned
READ_LIMIT = 8 * 2**20  # bytes kept of what a read prints: servers are not trusted
KILLED = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
CUT = {128, 255}  # how git and ssh end when what they talk through is killed
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Command:
    """A program to run: argument list, what its environ has beside the allowed, its stdin."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | int = b""


@dataclass(frozen=True)
class Result:
    """How a program ended. `exit_code` is negative for a signal; `lines` are its last lines."""

    argv: tuple[str, ...]
    exit_code: int = 0
    out: bytes = b""
    err: bytes = b""
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    timed_out: bool = False
    planned: bool = False

    @property
    def text(self) -> str:
        """What it printed, without the last newline."""
        return self.out.decode(errors="replace").rstrip("\n")

    @property
    def errors(self) -> str:
        """What it printed on stderr."""
        return self.err.decode(errors="replace").strip()


class CommandFailed(DeployFailed):
    """A program ended with an exit code that was not expected."""

    def __init__(self, result: Result, what: str = "", *, shown: bool = False) -> None:
        name = what or Path(result.argv[0]).name
        ended = (
            f"was killed by {signal.Signals(-result.exit_code).name}"
            if result.exit_code < 0
            else f"failed with exit code {result.exit_code}"
        )
        lines = result.lines or tuple((result.errors or result.text).splitlines()[-10:])
        super().__init__(f"{name} {ended}.", lines=lines, shown=shown)
        self.result = result


class Child:
    """A running program, and the pipes that we read."""

    def __init__(
        self,
        command: Command,
        program: str,
        environ: Mapping[str, str],
        *,
        merge: bool,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        self.argv = tuple(command.argv)
        self.started = self.heard = time.monotonic()
        self.ended: float | None = None
        self.timed_out = False
        self.sinks: dict[int, Callable[[bytes], None]] = {}
        self.out, out_write = os.pipe()
        self.err, err_write = (-1, -1) if merge else os.pipe()
        stdin = _readable(command.stdin) if isinstance(command.stdin, bytes) else command.stdin
        try:
            start: Any = sh.Command(program)  # its overloads do not know descriptors for _in
            self.process = start(
                *self.argv[1:],
                _in=stdin,
                _out=out_write,
                _err=out_write if merge else err_write,
                _env=dict(environ),
                _bg=True,
                _bg_exc=False,
                _new_session=True,
                _tty_out=False,
                _ok_code=range(-64, 256),
                _no_pipe=True,
                _log_msg=lambda *_: "child",
                _preexec_fn=before_exec,
            )
        except BaseException:
            self._close(self.out, self.err)
            raise
        finally:
            self._close(out_write, err_write, stdin)
        try:
            self.pidfd = os.pidfd_open(self.process.pid)
        except OSError:  # an old kernel, or a seccomp profile
            self.pidfd = -1

    @staticmethod
    def _close(*fds: int) -> None:
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    @property
    def alive(self) -> bool:
        """Whether it still runs (looks, does not wait)."""
        if self.ended is None and not self.process.is_alive():
            self.ended = time.monotonic()
        return self.ended is None

    def signal(self, signum: int) -> None:
        """Signal it and what it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signum)

    def reap(self) -> int:
        """Wait for a program that has ended, and close what belongs to it."""
        self.process.wait()
        self._close(self.out, self.err, self.pidfd)
        self.out = self.err = self.pidfd = -1
        return int(self.process.exit_code)


def _readable(data: bytes) -> int:
    """A descriptor from which `data` can be read: in memory, so that no secret is on disk."""
    fd = os.memfd_create("stdin")
    with os.fdopen(os.dup(fd), "wb") as stream:
        stream.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Runner:
    """Runs programs: `read` asks, `change` changes something. That is what makes `plan` true."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        ledger: Ledger,
        cancellation: Cancellation,
        show: Callable[..., contextlib.AbstractContextManager[Any]],
        silent: Callable[[float], None],
        path: str = "",
    ) -> None:
        """`environ`: all that a child gets. `show` opens a relay into the log, `silent` is told
        every 30 s for how many seconds a program has run without a word."""
        own = str(Path(sys.prefix, "bin"))
        self._path = os.pathsep.join(filter(None, (own, STANDARD_PATH, path)))
        self.environ = {**environ, "PATH": self._path}
        self.ledger = ledger
        self.cancellation = cancellation
        self.until = float("inf")  # the deadline of the whole run, time.monotonic()
        self._show = show
        self._silent = silent
        self._running: list[Child] = []
        cancellation.on_cancel = self._cancelled

    # --- what layers call ---

    def find(self, name: str) -> str:
        """The absolute path of a program. Raises ToolMissing."""
        program = shutil.which(name, path=self._path)
        if program is None:
            message = f"`{name}` is not installed."
            raise ToolMissing(message, hint=f"Use the ci-deploy image, or install {name}.")
        return program

    def read(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 60.0,
        ok: Sequence[int] | None = (0,),
    ) -> Result:
        """Run a program that changes nothing, and take its output.

        Raises CommandFailed for an exit code that is not in `ok` (None: every code is), Unreachable
        when it takes longer than `timeout` seconds, ToolMissing, Cancelled.
        """
        return self.read_all([Command(argv, env or {}, stdin)], timeout=timeout, ok=ok)[0]

    def read_all(
        self,
        commands: Sequence[Command],
        *,
        timeout: float = 60.0,
        ok: Sequence[int] | None = (0,),
    ) -> list[Result]:
        """The same for several programs at once; started from here, that is the main thread."""
        self.cancellation.check()
        children = [self._start(command) for command in commands]
        printed = [(bytearray(), bytearray()) for _ in children]
        for child, (out, err) in zip(children, printed, strict=True):
            child.sinks = {child.out: _into(out), child.err: _into(err)}
        self._pump(children, timeout)
        results = [
            self._finish(child, out=bytes(out), err=bytes(err))
            for child, (out, err) in zip(children, printed, strict=True)
        ]
        self._judge(results)
        for result in results:
            if result.timed_out:
                message = f"{result.argv[0]} did not answer within {timeout:.0f} s."
                raise Unreachable(message)
            if ok is not None and result.exit_code not in ok:
                raise CommandFailed(result)
        return results

    def change(
        self,
        argv: Sequence[str],
        *,
        what: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes | int = b"",
        timeout: float = float("inf"),
        ok: Sequence[int] | None = (0,),
        watch: Callable[[str], None] | None = None,
        prefix: str = "",
        quiet: bool = False,
    ) -> Result:
        """Run a program that changes something; its output goes into the log as it comes.

        `what` says the change in words. When planning nothing runs and the result is `planned`.
        `watch` sees each line as shown. `quiet` keeps the output out of the log. Raises
        CommandFailed, OutcomeUnknown after `timeout` seconds, ToolMissing, Cancelled.
        """
        if not self.ledger.announce(what):
            return Result(tuple(argv), planned=True)
        self.cancellation.check()
        with self._show(prefix=prefix, watch=watch, quiet=quiet) as relay:
            child = self._start(Command(argv, env or {}, stdin), merge=True)
            child.sinks = {child.out: relay.feed}
            self._pump([child], timeout, talk=not quiet)
            relay.close()
            result = self._finish(child, lines=tuple(relay.tail))
        self._judge([result])
        if result.timed_out:
            message = f"{what}: no end after {result.seconds:.0f} s, so it was stopped."
            raise OutcomeUnknown(message, lines=result.lines, shown=not quiet)
        if ok is not None and result.exit_code not in ok:
            raise CommandFailed(result, what, shown=not quiet)
        return result

    @contextlib.contextmanager
    def serve(self, command: Command) -> Iterator[Child]:
        """A program that runs beside the others (ssh master, agent) until the block is left."""
        child = self._start(command, before_exec=_dying_with_parent())
        self._running.remove(child)  # a cancel leaves it alone: it is needed for the last questions
        try:
            yield child
        finally:
            self._stop([child])
            child.reap()

    # --- how it is done ---

    def _start(
        self,
        command: Command,
        *,
        merge: bool = False,
        before_exec: Callable[[], None] | None = None,
    ) -> Child:
        arguments: Sequence[object] = command.argv  # `sh` drops None and False without a word
        if not all(isinstance(each, str) and "\0" not in each for each in arguments):
            message = f"{command.argv[0]}: every argument has to be a text without NUL"
            raise TypeError(message)
        environ = {**self.environ, **command.env}
        program = self.find(command.argv[0])
        child = Child(command, program, environ, merge=merge, before_exec=before_exec)
        self._running.append(child)
        return child

    def _pump(self, children: Sequence[Child], timeout: float, *, talk: bool = False) -> None:
        """Read what they print until all have ended, `timeout` passes or we are cancelled."""
        deadline = min(time.monotonic() + timeout, self.until)
        with selectors.DefaultSelector() as selector:
            for child in children:
                for fd in child.sinks:
                    selector.register(fd, selectors.EVENT_READ, child)
                if child.pidfd >= 0:
                    selector.register(child.pidfd, selectors.EVENT_READ, None)
            if not self.cancellation.leaving:
                selector.register(self.cancellation, selectors.EVENT_READ, None)
            while not self._all_done(children, selector):
                if self.cancellation.pending:
                    self._stop(children, GRACE - (time.monotonic() - self.cancellation.at))
                    return
                left = min(deadline - time.monotonic(), self.cancellation.left())
                if left <= 0:
                    for child in children:
                        child.timed_out = child.alive
                    self._stop(children)
                    return
                for key, _ in selector.select(min(left, self._next_look(children))):
                    if key.data is not None:
                        self._take(key.fd, key.data, selector)
                    elif key.fileobj is not self.cancellation:
                        selector.unregister(key.fd)
                if talk:
                    self._mention_silence(children)

    @staticmethod
    def _take(fd: int, child: Child, selector: selectors.BaseSelector) -> None:
        if data := os.read(fd, 65536):
            child.heard = time.monotonic()
            child.sinks[fd](data)
        else:
            selector.unregister(fd)

    @staticmethod
    def _all_done(children: Sequence[Child], selector: selectors.BaseSelector) -> bool:
        """All have ended and all they printed is read. What a grandchild prints more than 2 s after
        its parent's end is not waited for."""
        open_pipes = {key.data for key in selector.get_map().values() if key.data is not None}
        now = time.monotonic()
        return all(
            not child.alive and (child not in open_pipes or now - (child.ended or now) > 2.0)
            for child in children
        )

    @staticmethod
    def _next_look(children: Sequence[Child]) -> float:
        """How long select may sleep: without pidfd the end of a child has to be looked for."""
        if any(child.ended is not None or child.pidfd < 0 for child in children):
            return 0.02
        return 1.0

    def _mention_silence(self, children: Sequence[Child]) -> None:
        now = time.monotonic()
        for child in children:
            if child.alive and now - child.heard >= SILENCE:
                child.heard = now
                self._silent(now - child.started)

    def _stop(self, children: Sequence[Child], grace: float = GRACE) -> None:
        """TERM to each group, `grace` seconds, KILL."""
        for child in children:
            if child.alive:
                child.signal(signal.SIGTERM)
        until = time.monotonic() + max(0.0, grace)
        while any(child.alive for child in children):
            if time.monotonic() > until:
                for child in children:
                    child.signal(signal.SIGKILL)
            time.sleep(0.005)

    def _finish(self, child: Child, **printed: Any) -> Result:
        """The result of a child that has ended."""
        child.alive  # noqa: B018 - notes the time of the end
        seconds = (child.ended or time.monotonic()) - child.started
        code = child.reap()
        if child in self._running:
            self._running.remove(child)
        return Result(child.argv, code, seconds=seconds, timed_out=child.timed_out, **printed)

    def _judge(self, results: Sequence[Result]) -> None:
        """GitLab's cancel kills the children before it signals us: wait a moment for our signal."""
        self.cancellation.check()
        codes = {result.exit_code for result in results if not result.timed_out}
        if self.cancellation.leaving or not codes & (KILLED | CUT):
            return
        if not self.cancellation.awaited(1.0 if codes & KILLED else 0.5) and codes & KILLED:
            self.cancellation.cancel(signal.SIGTERM)
        self.cancellation.check()

    def stop(self) -> None:
        """End whatever still runs; the last line of defence before the process ends."""
        self._stop(self._running)

    def _cancelled(self) -> None:
        if not self.cancellation.leaving:
            for child in list(self._running):
                child.signal(signal.SIGTERM)


def _into(buffer: bytearray) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        buffer.extend(data[: max(0, READ_LIMIT - len(buffer))])

    return take


def _dying_with_parent() -> Callable[[], None]:
    """Ask the kernel to end a helper when we are killed: nobody else would (prctl(2))."""
    import ctypes

    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGTERM)
