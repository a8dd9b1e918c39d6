"""DEPLOY_TIMEOUT holds for all that a run does, connecting too."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for


@contextlib.contextmanager
def _silent(first: bytes = b"", *, hang_up: bool = False) -> Iterator[int]:
    """The port of a server that accepts, says `first`, and then nothing; or hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.sendall(first)
                    connection.close() if hang_up else held.append(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in held:
            connection.close()
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("command", ["deploy", "doctor", "run"])
@pytest.mark.parametrize(
    ("first", "hang_up"),
    [(b"", False), (b"SSH-2.0-OpenSSH_9.6\r\n", False), (b"", True)],
    ids=["silent", "stalls in the key exchange", "hangs up"],
)
def test_deadline_holds_while_connecting(
    dokku: DokkuStandIn, checkout: Checkout, command: str, first: bytes, hang_up: bool
) -> None:
    """It took 35 to 61 seconds with a limit of 5 (faults J2)."""
    words = ["run", "--", "true"] if command == "run" else [command]
    with _silent(first, hang_up=hang_up) as port:
        env = settings_for(dokku, DOKKU_HOST=f"dokku@127.0.0.1:{port}", DEPLOY_TIMEOUT="3")
        done = run("ci-deploy", *words, cwd=checkout.path, env=env)
    assert done.code == 11, done.output
    assert done.seconds < 3 + 5
