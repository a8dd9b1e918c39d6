"""Runs programs; the only importer of `sh`.

The rules for `sh` were measured (docs/architecture.md, "Running programs"): stdin is always given,
every exit code is allowed and judged here, each child has its own session, output comes through
pipes that we read ourselves, and a timeout sends TERM to the group, then KILL.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sh

from ci_deploy.errors import DeployFailed, ToolMissing
from ci_deploy.files import replaced
from ci_deploy.process import limits, programs, threads
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.process.child import Child, Pump, close, dying_with_parent, kept, readable, stop
from ci_deploy.process.program import Change, Command, CommandFailed, Filter, Result, Timeout, find

logging.getLogger("sh").setLevel(logging.CRITICAL)  # its log lines hold whole command lines

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Runner:
    """Runs the programs of one run. A `read` changes nothing; a `change` is announced first, and
    `plan` only records it. A cancel stops both."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        change_log: ChangeLog,
        cancellation: Cancellation,
        show: Callable[..., contextlib.AbstractContextManager[Any]],
        silent: Callable[[float], None],
        path: str = "",
    ) -> None:
        """`environ`: each child's variables besides those of `programs`. `show` opens a sanitizer
        into the log. `silent` gets, every 30 s, the seconds that a silent program has run."""
        own = str(Path(sys.prefix, "bin"))
        self._path = os.pathsep.join(filter(None, (own, STANDARD_PATH, path)))
        self.environ = {**environ, "PATH": self._path}
        self.change_log = change_log
        self.cancellation = cancellation
        self.debug: Callable[[str], None] = lambda _: None  # gets each command line
        self._show = show
        self._pump = Pump(cancellation, silent)
        self._running: list[Child] = []
        cancellation.on_cancel = self._cancelled

    @property
    def until(self) -> float:
        """The deadline of the whole run, time.monotonic()."""
        return self.cancellation.until

    @until.setter
    def until(self, when: float) -> None:
        self.cancellation.until = when

    # --- what layers call ---

    def find(self, name: str) -> str:
        """The absolute path of a program: ours, the system's or in `path`. Raises ToolMissing."""
        return find(name, self._path)

    def read(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 60.0,
        ok: Sequence[int] | None = (0,),
    ) -> Result:
        """Run a program that changes nothing; the result has its output (`out`, `err`).

        Raises CommandFailed for an exit code that is not in `ok` (None: every code is), Unreachable
        after `timeout` seconds or at the run's deadline, ToolMissing, Cancelled.
        """
        return self.read_all([Command(argv, env or {}, stdin)], timeout=timeout, ok=ok)[0]

    def read_all(
        self,
        commands: Sequence[Command],
        *,
        timeout: float = 60.0,
        ok: Sequence[int] | None = (0,),
        beside: Change | None = None,
    ) -> list[Result]:
        """Like `read` for several programs at once; returns their results in the same order, last
        that of `beside`: a change made meanwhile and judged like a read; none when planning."""
        self.cancellation.check()
        if beside and self.change_log.announce(beside.what):
            commands = [*commands, beside.command]
        children = [self._start(command) for command in commands]
        printed = [(bytearray(), bytearray()) for _ in children]
        for command, child, (out, err) in zip(commands, children, printed, strict=True):
            child.sinks = {child.out: kept(out, command.limit), child.err: kept(err)}
        self._pump.run(children, timeout, self.until)
        results = [
            self._finish(child, out=bytes(out), err=bytes(err))
            for child, (out, err) in zip(children, printed, strict=True)
        ]
        self._judge(results, ok)
        for result in results:
            result.answered(ok)
        return results

    def change(
        self,
        argv: Sequence[str],
        *,
        what: str,
        env: Mapping[str, str] | None = None,
        stdin: bytes | int | Path = b"",
        cwd: Path | None = None,
        timeout: Timeout = float("inf"),
        ok: Sequence[int] | None = (0,),
        watch: Callable[[str], None] | None = None,
        prefix: str = "",
        quiet: bool = False,
    ) -> Result:
        """Run a program that changes something; its output goes into the log as it comes.

        `what` describes the change; when planning, nothing runs and the result is `planned`.
        `watch` gets each line before redaction; `quiet` keeps the output out of the log. `timeout`:
        seconds, or a function that returns the deadline and is called repeatedly. Raises what
        `read` does, but OutcomeUnknown instead of Unreachable.
        """
        command = Command(argv, env or {}, stdin, cwd)
        change = Change(command, what, prefix, quiet=quiet, watch=watch)
        return self.change_all([change], timeout=timeout, ok=ok)[0]

    def change_all(
        self,
        changes: Sequence[Change],
        *,
        timeout: Timeout = float("inf"),
        ok: Sequence[int] | None = (0,),
    ) -> list[Result]:
        """Like `change` for several at once; returns their results. Each runs to its end, even when
        another fails; then the first error is raised."""
        announced = [self.change_log.announce(change.what) for change in changes]
        if not all(announced):
            return [Result(tuple(change.command.argv), planned=True) for change in changes]
        for change in changes:
            self.find(change.command.argv[0])  # nothing is started when one of them is missing
        with contextlib.ExitStack() as stack:
            children, sanitizers = [], []
            for change in changes:
                shown = self._show(prefix=change.prefix, watch=change.watch, quiet=change.quiet)
                sanitizers.append(stack.enter_context(shown))
                children.append(self._start(change.command, merge=True))
                children[-1].sinks = {children[-1].out: sanitizers[-1].feed}
            talk = not all(change.quiet for change in changes)
            self._pump.run(children, timeout, self.until, talk=talk)
            for sanitizer in sanitizers:
                sanitizer.close()
            results = [
                self._finish(child, lines=tuple(sanitizer.tail))
                for child, sanitizer in zip(children, sanitizers, strict=True)
            ]
        self._judge(results, ok)
        for change, result in zip(changes, results, strict=True):
            change.done(result, ok)
        return results

    def change_filtered(self, change: Change, output_filter: Filter) -> Result:
        """Run a program whose output contains markers; the log gets only what the filter returns.

        Any exit code is returned; `timed_out` is set when the deadline of the filter or of the run
        has ended the program. Its stderr is only in `err`. Raises ToolMissing, Cancelled.
        """
        if not self.change_log.announce(change.what):
            return Result(tuple(change.command.argv), planned=True)
        with self._show(prefix=change.prefix, watch=change.watch, quiet=change.quiet) as sanitizer:
            show = lambda data: sanitizer.feed(output_filter.feed(data))  # noqa: E731
            result = self._listen(change.command, show, output_filter.deadline)
            sanitizer.feed(output_filter.rest())
            sanitizer.close()
        return result._replace(lines=tuple(sanitizer.tail))

    def save(self, command: Command, path: Path, *, what: str) -> Result:
        """Announce and run a program; its stdout goes to a new private file (`files.replaced`).
        Raises CommandFailed (also at the deadline), ToolMissing, OSError, Cancelled."""
        if not self.change_log.announce(what):
            return Result(tuple(command.argv), planned=True)
        with replaced(path) as file:
            result = self._listen(command, file.write, float("inf"))
            if result.exit_code or result.timed_out:
                raise CommandFailed(result, what)
        return result

    @contextlib.contextmanager
    def serve(self, command: Command) -> Iterator[Child]:
        """Context manager: runs a program (ssh, agent, lock) until the block or this process ends;
        a cancel does not stop it."""
        child = self._start(command, before_exec=dying_with_parent())
        self._running.remove(child)  # a cancel does not stop it: the last questions need it
        try:
            yield child
        finally:
            stop([child])
            child.reap()

    # --- how it is done ---

    def _start(
        self,
        command: Command,
        *,
        merge: bool = False,
        before_exec: Callable[[], None] | None = None,
    ) -> Child:
        """Start a program; `merge` sends stderr to stdout, so that the order of the lines is
        kept."""
        self.debug(f"$ {' '.join(command.argv)}")
        start: Any = sh.Command(self.find(command.argv[0]))  # the overloads know no descriptors
        threads.room(3)  # that `sh` starts
        out, out_write = os.pipe()
        err, err_write = (-1, -1) if merge else os.pipe()
        stdin = readable(command.stdin)
        try:
            process = start(
                *command.argv[1:],
                _in=stdin,
                _out=out_write,
                _err=out_write if merge else err_write,
                _env={**programs.environ(self.environ, command.argv), **command.env},
                _bg=True,
                _bg_exc=False,
                _new_session=True,
                _cwd=None if command.cwd is None else str(command.cwd),
                _tty_out=False,
                _ok_code=range(-64, 256),
                _no_pipe=True,
                _log_msg=lambda *_: "child",
                _preexec_fn=before_exec,
            )
        except sh.ForkException as error:  # its text is the child's whole traceback
            close(out, err)
            said = str(error).strip().splitlines()[-1]
            raise ToolMissing(f"{command.argv[0]} cannot be started: {said}") from None
        except BaseException as error:
            close(out, err)
            if "values to unpack" in str(error):  # `sh` reads nothing from a fork that was killed
                self.cancellation.suspect({-signal.SIGTERM})
                message = f"{command.argv[0]} was killed before it had begun, on this machine."
                raise DeployFailed(message, hint=limits.MORE_MEMORY) from None
            raise
        finally:
            close(out_write, err_write, stdin)
        child = Child(command.argv, process, out, err)
        self._running.append(child)
        return child

    def _listen(
        self, command: Command, take: Callable[[bytes], object], timeout: Timeout
    ) -> Result:
        """Run a program whose stdout goes to `take`; its stderr is kept."""
        self.cancellation.check()
        errors = bytearray()
        child = self._start(command)
        child.sinks = {child.out: take, child.err: kept(errors)}
        self._pump.run([child], timeout, self.until, talk=True)
        result = self._finish(child, err=bytes(errors))
        self._judge([result])
        return result

    def _finish(self, child: Child, **printed: Any) -> Result:
        """The result of a child that has ended."""
        seconds = child.seconds
        code = child.reap()
        self._running.remove(child)
        return Result(child.argv, code, seconds=seconds, timed_out=child.timed_out, **printed)

    def _judge(self, results: Sequence[Result], expected: Sequence[int] | None = ()) -> None:
        """Check whether an exit code is a sign of a cancel; one that the caller has `expected` is
        not."""
        codes = {result.exit_code for result in results if not result.timed_out}
        self.cancellation.suspect(codes - set(expected or ()))

    def stop(self) -> None:
        """Stop all programs that still run, except those of `serve`; waits for their end."""
        stop(self._running)

    def _cancelled(self) -> None:
        if not self.cancellation.leaving:
            for child in list(self._running):
                child.signal(signal.SIGTERM)
