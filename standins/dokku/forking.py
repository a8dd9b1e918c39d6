"""Commands that are handed over a socket, each served by a fork of the process that has it.

The client (`fork_client.pl`) sends its words, its environment and its stdin, stdout and stderr;
it gets the exit status, and ends as the fork did.
"""

from __future__ import annotations

import os
import platform
import selectors
import shutil
import socket
import sys
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SENDMSG = {"x86_64": 46, "aarch64": 211}  # Linux's number of the call, which Perl has no name for

folder: Path | None = None
"""Where the sockets are, in a process that was forked from the fork server; else None."""


def client(directory: Path, name: str) -> list[str]:
    """The command that hands its further arguments to a socket; none where it cannot run."""
    perl, number = shutil.which("perl"), SENDMSG.get(platform.machine())
    script = Path(__file__).with_name("fork_client.pl")
    there = perl and number and sys.platform == "linux"
    return [str(perl), str(script), str(directory), name, str(number)] if there else []


@contextmanager
def listening(directory: Path, name: str) -> Iterator[socket.socket]:
    """A socket of this name; a socket's path must be short, so that it is made from inside."""
    before = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(directory)
        server.bind(f"{name}.new")
        server.listen(64)
        Path(f"{name}.new").rename(name)
        os.chdir(before)
        yield server
    (directory / name).unlink(missing_ok=True)


def serve(server: socket.socket, act: Callable[[list[str]], int], end: int) -> None:
    """Serve all who come, each in a fork that does `act` with its words, until there is something
    to read at the descriptor `end`."""
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == end:
                    return
                if key.data is None:
                    caller, _address = server.accept()
                    pid = _fork(caller, act, selector)
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, caller))
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _tell_end(*key.data)


def _fork(
    caller: socket.socket, act: Callable[[list[str]], int], selector: selectors.BaseSelector
) -> int:
    """Serve one client in a process of its own; its id."""
    if pid := os.fork():  # one that is slow to say what it wants holds nobody up
        return pid
    code = 70
    try:
        size, streams, _flags, _address = socket.recv_fds(caller, 8, 3)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        selector.close()
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", closefd=False)
            for number, mode in enumerate("rww")
        )
        data = caller.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        parent, count, *rest = map(os.fsdecode, data.split(b"\0"))
        words, environ = rest[: int(count)], rest[int(count) :]
        os.environ.clear()
        os.environ.update(dict(pair.split("=", 1) for pair in environ))
        os.environ["STANDIN_CLIENT"] = parent
        code = act(words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _tell_end(pid: int, caller: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        caller.sendall(status.to_bytes(4, "big"))
    caller.close()
