"""The forced command: what sshd runs instead of what the client asked for, as on a real Dokku."""

from __future__ import annotations

import io
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import faults, recording
from .host import Host
from .output import DokkuError
from .parsing import split
from .pids import remember
from .registry import find

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNKNOWN = 127_000  # not an exit code: `run` may return any


def main() -> int:
    """Serve one remote command: `main ROOT KEY`, the command in `SSH_ORIGINAL_COMMAND`."""
    root, key = Path(sys.argv[1]), sys.argv[2]
    prepare_process()
    host = Host(root)
    raw = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    words = split(raw, host.version)
    os.environ["STANDIN_SSHD"] = str(faults.sshd())
    remember(root, os.getpid())
    started = time.monotonic()
    identity = recording.begin(root, key, raw, words)
    time.sleep(_seconds(host, words))
    code = guarded(host, lambda: serve(host, words))
    unknown = code == UNKNOWN
    code = 1 if unknown else code
    recording.end(root, identity, code, time.monotonic() - started, unknown=unknown)
    return code


def _seconds(host: Host, words: Sequence[str]) -> float:
    """How long the command takes: a report of one property is quicker than all of it."""
    known, name = host.settings.seconds, words[0] if words else ""
    one = known.get(f"{name} {words[-1]}") if words else None
    return known.get(name, host.settings.delay) if one is None else one


def prepare_process() -> None:
    """Make output lossless, and let `SIGQUIT` (`builds:cancel`) leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")


def guarded(host: Host, act: Callable[[], int]) -> int:
    """Run a command or a hook; print failures as Dokku does."""
    try:
        return act()
    except DokkuError as error:
        for line in error.message.splitlines():
            host.console.warn(line)
        return error.code
    except BrokenPipeError:
        # Nobody listens any more; the interpreter must not try to flush either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141


def serve(host: Host, words: Sequence[str]) -> int:
    """Find the command and run it."""
    name, arguments = global_options(host, words)
    host.command = name
    push = ("push",) if name == "git-receive-pack" else ()
    app = arguments[0].strip("'/") if arguments else ""
    faults.strike(host, "connect", *push, command=" ".join([name, *arguments]), app=app)
    handler = find(host, name)
    if handler is None:
        host.console.warn(f"`{' '.join([name, *arguments])}` is not a dokku command.")
        host.console.warn("See `dokku help` for a list of available commands.")
        return UNKNOWN
    return handler(host, arguments) or 0


def global_options(host: Host, words: Sequence[str]) -> tuple[str, list[str]]:
    """Apply the options in front of the command (docs deployment/remote-commands.md).

    `--force` and `--quiet` count wherever they stand; `--app NAME` becomes the first argument.
    """
    host.force = "--force" in words
    host.console.quiet = "--quiet" in words
    rest = list(words)
    app: list[str] = []
    while rest and rest[0].startswith("--") and rest[0] != "--version":
        if rest.pop(0) == "--app":
            app = rest[:1]
            rest = rest[1:]
    name = rest[0] if rest else ""
    name = {"": "help", "-v": "version", "--version": "version"}.get(name, name)
    return name, [*app, *rest[1:]]
