"""A program to run, and how it ended."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from ci_deploy.errors import DeployFailed, OutcomeUnknown, ToolMissing, Unreachable
from ci_deploy.process import limits

Stdin = bytes | int | Path  # a descriptor is closed when the program has it
READ_LIMIT = 8 * 2**20  # bytes kept of what a read prints: servers are not trusted
STANDS = {  # after a timeout of programs of which only our own end was stopped
    "ssh": "; it may still run on the server.",
    "git": "; what the push has begun on the server may continue.",
}
Timeout = float | Callable[[], float]  # seconds, or a function that returns the deadline


@dataclass(frozen=True)
class Command:
    """A program to run, with its arguments. Making one raises TypeError for an argument that is not
    text, or contains NUL: a bug."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # besides the runner's variables
    stdin: bytes | int | Path = b""  # its content, a descriptor, or the path of a file
    cwd: Path | None = None  # the working directory; None: that of this process
    limit: int = READ_LIMIT  # bytes of its output that a read keeps

    def __post_init__(self) -> None:
        arguments: Sequence[object] = self.argv  # `sh` drops None and False silently
        if not all(isinstance(each, str) and "\0" not in each for each in arguments):
            message = f"{self.argv[0]}: every argument must be text without NUL"
            raise TypeError(message)


class Change(NamedTuple):
    """A command that changes something outside this process, and how the log shows it."""

    command: Command
    what: str  # its text in the log, and the subject of its errors; empty: announced before
    prefix: str = ""  # the beginning of each line of its output in the log
    quiet: bool = False  # its output stays out of the log
    watch: Callable[[str], None] | None = None  # gets each line, not redacted

    def done(self, result: Result, ok: Sequence[int] | None) -> None:
        """Judge how the command ended. Raises OutcomeUnknown after a timeout, CommandFailed for an
        exit code that is not in `ok` (None: every code is)."""
        if result.timed_out:
            stands = STANDS.get(self.command.argv[0], ", so it was stopped.")
            name = self.what or result.name
            message = f"{name}: not finished after {result.seconds:.0f} s{stands}"
            raise OutcomeUnknown(message, lines=result.lines, shown=not self.quiet)
        if ok is not None and result.exit_code not in ok:
            raise CommandFailed(result, self.what, shown=not self.quiet)


class Filter(Protocol):
    """Separates markers, which a program prints for ci-deploy, from the rest of its output."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the output; returns those that are for the log so far."""

    def rest(self) -> bytes:
        """The bytes for the log that were held back; called when the program has ended."""

    def deadline(self) -> float:
        """The time by which the program has to end (time.monotonic()); called repeatedly."""


class Result(NamedTuple):
    """How a program ended. A read fills `out` and `err`; a change, whose output is in the log,
    fills `lines`."""

    argv: tuple[str, ...]
    exit_code: int = 0  # negative for a signal
    out: bytes = b""
    err: bytes = b""
    lines: tuple[str, ...] = ()  # the last lines of its output, redacted
    seconds: float = 0.0  # how long it ran
    timed_out: bool = False  # it was stopped at its timeout or at the run's deadline
    planned: bool = False  # `plan`: it was announced, not run

    @property
    def name(self) -> str:
        """The program's name for messages; for a command on a server, the server's host."""
        words, program = self.argv, Path(self.argv[0]).name
        return words[words.index("--") - 1] if program == "ssh" and "--" in words else program

    @property
    def text(self) -> str:
        """Its stdout, decoded, without newlines at the end."""
        return self.out.decode(errors="replace").rstrip("\n")

    @property
    def errors(self) -> str:
        """Its stderr, decoded and stripped."""
        return self.err.decode(errors="replace").strip()

    @property
    def killed(self) -> str:
        """The sentence that the program, or one that git had started, was killed on this machine;
        else empty (`limits.killed`)."""
        lines = self.lines or self.errors.splitlines()
        return limits.killed(Path(self.argv[0]).name, self.exit_code, lines)

    def answered(self, ok: Sequence[int] | None) -> None:
        """Check the result of a read. Raises Unreachable when the program timed out, CommandFailed
        when its exit code is not in `ok` (None: every code is), ToolMissing when git has hit a
        limit of this machine."""
        if self.timed_out:
            message = f"{self.name} did not answer within {self.seconds:.0f} s."
            raise Unreachable(message)
        if self.argv[0] == "git" and self.killed:  # what it printed until then is no answer
            raise ToolMissing(self.killed, hint=limits.MORE_MEMORY)
        if ok is not None and self.exit_code not in ok:
            failed = CommandFailed(self)
            raise (limits.said(failed.lines) if self.argv[0] == "git" else None) or failed


class CommandFailed(DeployFailed):
    """A program ended with an exit code that was not expected, or a `save` at the run's deadline.
    `what` is the text of the change, or the program's name; `result` is how it ended."""

    def __init__(self, result: Result, what: str = "", *, shown: bool = False) -> None:
        name = what or Path(result.argv[0]).name
        known = {signum.value: signum.name for signum in signal.Signals}
        ended = (
            f"was killed by {known.get(-result.exit_code, f'signal {-result.exit_code}')}"
            if result.exit_code < 0
            else f"failed with exit code {result.exit_code}"
        )
        if result.timed_out:
            ended = f"was stopped after {result.seconds:.0f} s (DEPLOY_TIMEOUT)"
        lines = result.lines or tuple((result.errors or result.text).splitlines()[-10:])
        hint = limits.MORE_MEMORY if result.exit_code == limits.KILLED else ""
        super().__init__(f"{name} {ended}.", hint=hint, lines=lines, shown=shown)
        self.what, self.result = name, result


def find(name: str, path: str) -> str:
    """The absolute path of the program `name`, found in `path`: directories joined with `:`. Raises
    ToolMissing."""
    program = shutil.which(name, path=path)
    if program is None:
        message = f"`{name}` is not installed."
        raise ToolMissing(message, hint=f"Use the ci-deploy image, or install {name}.")
    return program
