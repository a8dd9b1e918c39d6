"""A jump host in front of a stand-in: a second OpenSSH server that lets connections through."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standins.dokku.server import DokkuStandIn
from standins.dokku.sshd import Sshd, make_keys
from standins.support import settings_for


@contextmanager
def jump_host(folder: Path) -> Iterator[Sshd]:
    """A host that lets our key through to others, with a host key of its own."""
    folder.mkdir()
    make_keys(folder)
    shutil.copy(folder / "client.pub", folder / "authorized_keys")
    own = folder / "host_ed25519"
    own.unlink()
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(own)]
    subprocess.run(argv, input=b"y\n", check=True)
    server = Sshd(folder, "127.0.0.1", 0, max_startups="10", max_sessions=10)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def through(jump: Sshd, dokku: DokkuStandIn, *, before: int = 0, behind: int = 0) -> dict[str, str]:
    """Settings that lead to the server through the jump host; `before`, `behind`: the port of what
    stands in front of the one or of the other."""
    own = (jump.directory / "host_ed25519.pub").read_text().split()[:2]
    before, behind = before or jump.port, behind or dokku.port
    pins = f"[127.0.0.1]:{before} {' '.join(own)}\n"
    pins += dokku.known_hosts.replace(f"[{dokku.host}]:{dokku.port}", "behind")
    lines = f"""Host bastion
  HostName 127.0.0.1
  Port {before}
  User {dokku.user}
Host behind
  HostName {dokku.host}
  Port {behind}
  HostKeyAlias behind
  ProxyJump bastion
"""
    where = {"DOKKU_HOST": f"{dokku.user}@behind", "SSH_CONFIG": lines, "SSH_SERVER_HOSTKEYS": pins}
    return settings_for(dokku, **where)
