"""Answers quick commands from a process that has everything loaded, by forking.

To start Python and load the modules takes longer than most answers do, which a real Dokku has not
to pay in this form; its own cost of a command is `Settings.delay`. What git asks for is answered
here too: like sshd's own children it is a session, with the hook in it. Whatever else builds, runs
or streams something is started in the usual way.
"""

from __future__ import annotations

import os
import platform
import selectors
import shutil
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from . import (  # noqa: F401
    apps,
    builds,
    config,
    git,
    network,
    plugins,
    properties,
    ps,
    services,
    shell,
    transport,
)

NAME = "nursery"
SENDMSG = {"x86_64": 46, "aarch64": 211}  # Linux's number of the call, which Perl has no name for
# What the launcher sends here: patterns of a shell's `case`, for the whole command.
QUICK = (
    "version", r"urls\ *", "plugin:list", r"apps:exists\ *", r"apps:create\ *", r"*:report\ *",
    r"ps:inspect\ *", r"builds:list\ *",
    r"config:export\ *", r"config:set\ *--no-restart\ *", r"config:unset\ *--no-restart\ *",
    *(rf"{kind}:{word}\ *" for kind in ("postgres", "mysql", "redis")
      for word in ("exists", "create", "link", "links")),
    r"*:app-links\ *", r"git-receive-pack\ *", r"git-upload-pack\ *", r"ps:scale\ *",
    r"builds:list\ *",
)  # fmt: skip
LONG = (r"ps:scale\ *=*",)  # not these of them: they start processes


def client(root: Path) -> list[str]:
    """The command that hands another one to us; none where Perl is missing."""
    perl, number = shutil.which("perl"), SENDMSG.get(platform.machine())
    script = Path(__file__).with_name("nursery_client.pl")
    return [perl, str(script), str(root), str(number)] if perl and number else []


def main() -> int:
    """Serve until somebody ends it: `main ROOT`."""
    root = Path(sys.argv[1])
    os.chdir(root)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
        server.bind(f"{NAME}.new")
        server.listen(64)
        Path(f"{NAME}.new").rename(NAME)
        selector.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    client, _address = server.accept()
                    pid = _fork(client, root, selector)
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, client))
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _tell_end(*key.data)


def _fork(client: socket.socket, root: Path, selector: selectors.BaseSelector) -> int:
    """Serve one client in a process of its own; its id."""
    if pid := os.fork():  # one that is slow to say what it wants holds nobody up
        return pid
    code = 70
    try:
        size, streams, _flags, _address = socket.recv_fds(client, 8, 3)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        selector.close()
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
        data = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        parent, count, *rest = map(os.fsdecode, data.split(b"\0"))
        words, environ = rest[: int(count)], rest[int(count) :]
        os.environ.clear()
        os.environ.update(dict(pair.split("=", 1) for pair in environ))
        os.environ["STANDIN_CLIENT"] = parent
        sys.argv = [NAME, str(root), *words]
        code = shell.main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _tell_end(pid: int, client: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        client.sendall(status.to_bytes(4, "big"))
    client.close()
