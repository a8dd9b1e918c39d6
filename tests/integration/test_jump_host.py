"""A server behind a jump host (ProxyJump in SSH_CONFIG), with two real OpenSSH servers."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from standins.dokku.jump import jump_host, through
from standins.dokku.server import DokkuStandIn
from standins.dokku.sshd import Sshd
from standins.support import ROOT, Checkout, run, settings_for


@pytest.fixture
def jump(tmp_path: Path, dokku: DokkuStandIn) -> Iterator[Sshd]:
    """A host on which the same key is known."""
    with jump_host(tmp_path / "jump") as server:
        yield server


def test_server_behind_a_jump_host_is_deployed_to(
    jump: Sshd, dokku: DokkuStandIn, checkout: Checkout
) -> None:
    done = run("deploy", cwd=checkout.path, env=through(jump, dokku))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert len(jump.connections()) == 1  # as many as to the server itself


def test_jump_host_that_is_not_there_is_named_and_nothing_was_reached(
    jump: Sshd, dokku: DokkuStandIn, checkout: Checkout
) -> None:
    jump.stop()
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=through(jump, dokku))
    assert done.code == 11, done.output
    assert f"port {jump.port}: Connection refused" in done.output


def test_jump_host_that_refuses_the_key_is_no_network_trouble(
    jump: Sshd, dokku: DokkuStandIn, checkout: Checkout
) -> None:
    (jump.directory / "authorized_keys").write_text("")
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=through(jump, dokku))
    assert done.code == 12, done.output
    assert f"{dokku.user}@127.0.0.1, on the way to behind, rejects the key." in done.output


def test_host_key_of_a_jump_host_is_pinned_beside_that_of_the_server(
    jump: Sshd, dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """The line to set would have replaced the one of the server."""
    env = through(jump, dokku)
    own, _, rest = env["SSH_SERVER_HOSTKEYS"].partition("\n")
    done = run("ci-deploy", "doctor", cwd=checkout.path, env={**env, "SSH_SERVER_HOSTKEYS": rest})
    assert done.code == 12, done.output
    assert f"behind (as [127.0.0.1]:{jump.port}) presents the host key" in done.output
    assert f"add to SSH_SERVER_HOSTKEYS the line:\n  {own}" in done.output

    lost = {**env, "SSH_SERVER_HOSTKEYS": own}
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=lost)
    assert done.code == 12, done.output
    assert "add to SSH_SERVER_HOSTKEYS the line:\n  behind ssh-ed25519 " in done.output


def test_server_that_a_jump_host_cannot_reach_is_unreachable(
    jump: Sshd, dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = through(jump, dokku)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
        env["SSH_CONFIG"] = env["SSH_CONFIG"].replace(f"Port {dokku.port}", f"Port {nobody}")
        done = run("ci-deploy", "doctor", cwd=checkout.path, env=env)
    assert done.code == 11, done.output
    assert "behind cannot be reached: its jump host cannot or may not reach it." in done.output


class Connect(BaseHTTPRequestHandler):
    """An HTTP proxy that only knows CONNECT, as Tailscale's and wireproxy's."""

    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        host, _, port = self.path.partition(":")
        if not self.headers.get("Host"):
            return self.send_error(400)
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nVia: vpn\r\n\r\n")
            back = threading.Thread(target=_copy, args=(there, self.connection), daemon=True)
            back.start()
            _copy(self.connection, there)
            back.join(5)
        self.close_connection = True
        return None

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_server_behind_a_proxy_of_a_vpn_is_deployed_to(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """The very lines of the documentation, with other addresses."""
    page = (ROOT / "docs/private-servers.md").read_text()
    block = r"```text\n(Host dokku.internal\n(?:.+\n)*?  ProxyCommand python.*\n)"
    [lines] = re.findall(block, page)
    with ThreadingHTTPServer(("127.0.0.1", 0), Connect) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        lines = lines.replace("'tailscale',1055", f"'127.0.0.1',{proxy.server_port}")
        lines = lines.replace("100.101.102.103", f"{dokku.host}\n  Port {dokku.port}")
        pins = dokku.known_hosts.replace(f"[{dokku.host}]:{dokku.port}", "dokku.internal")
        where = {"DOKKU_HOST": f"{dokku.user}@dokku.internal", "SSH_CONFIG": lines}
        env = settings_for(dokku, **where, SSH_SERVER_HOSTKEYS=pins)
        done = run("deploy", cwd=checkout.path, env=env)
        proxy.shutdown()
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
