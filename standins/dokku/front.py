"""The public side of an app: one port that never changes, in front of the current web processes.

What nginx does on a real Dokku. It reads the list of upstream ports for each connection, so a
switch is one file that is replaced, and connections that were accepted before stay as they are.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import threading
from pathlib import Path

BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
    b"Connection: close\r\n\r\nBad Gateway\n"
)


def main() -> int:
    """Listen on a free port, write it to a file, forward for ever."""
    address, directory = sys.argv[1], Path(sys.argv[2])
    listener = socket.create_server((address, 0), backlog=128)
    draft = directory / "front.port.new"
    draft.write_text(str(listener.getsockname()[1]), encoding="ascii")
    draft.replace(directory / "front.port")
    turn = itertools.count()
    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            return 1
        threading.Thread(target=serve, args=(client, directory, next(turn)), daemon=True).start()


def serve(client: socket.socket, directory: Path, turn: int) -> None:
    """Forward one connection, or answer as nginx does when nobody is behind it."""
    with client, contextlib.suppress(OSError):
        upstream = connect(directory, turn)
        if upstream is None:
            client.settimeout(5)
            client.recv(65536)
            client.sendall(BAD_GATEWAY)
            return
        with upstream:
            back = threading.Thread(target=copy, args=(upstream, client), daemon=True)
            back.start()
            copy(client, upstream)
            back.join()


def connect(directory: Path, turn: int) -> socket.socket | None:
    """Connect to one of the current web processes."""
    try:
        ports = (directory / "upstream").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    if not ports:
        return None
    with contextlib.suppress(OSError):
        return socket.create_connection(("127.0.0.1", int(ports[turn % len(ports)])), timeout=60)
    return None


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy one direction until its end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
