"""A real OpenSSH server with keys and a configuration of its own, on a high port."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from . import processes

KEY_TYPES = ("ed25519", "ecdsa", "rsa")
# Quick to make, and still accepted by every client.
BITS = {"rsa": ("-b", "2048")}
CONNECTION = re.compile(r"^Connection from \S+ port (\d+) ", re.MULTILINE)
START_TIMEOUT = 30.0


def find_sshd() -> str:
    """Return where sshd is: it insists on being called by an absolute path."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found:
        message = "sshd is not installed (Debian: apt-get install openssh-server)"
        raise RuntimeError(message)
    return str(Path(found).resolve())


def make_keys(directory: Path) -> None:
    """Put the host keys and one client key there, those that are missing."""
    made = Path(_keys().name)
    for path in made.iterdir():
        if not (directory / path.name).exists():
            shutil.copy(path, directory / path.name)


@cache
def _keys() -> TemporaryDirectory[str]:
    """Make them, once for all stand-ins of this process: an RSA key takes half a second."""
    folder = TemporaryDirectory(prefix="standin-keys-")
    wanted = [(f"host_{kind}", kind) for kind in KEY_TYPES] + [("client", "ed25519")]
    for name, kind in wanted:
        path = Path(folder.name, name)
        argv = ["ssh-keygen", "-q", "-t", kind, *BITS.get(kind, ()), "-N", "", "-f", path]
        subprocess.run(argv, stdin=subprocess.DEVNULL, check=True)
    return folder


def fingerprint(public_key: Path) -> str:
    """Return `SHA256:…` of a key."""
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", public_key], capture_output=True, text=True, check=True
    )
    return shown.stdout.split()[1]


class Sshd:
    """The server process."""

    def __init__(
        self, directory: Path, bind: str, port: int, *, max_startups: str, max_sessions: int
    ) -> None:
        self.directory = directory
        self.bind = bind
        self.port = port
        self.max_startups = max_startups
        self.max_sessions = max_sessions
        self.log = directory / "sshd.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; with port 0 on any free port."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
        self.log.touch()
        chosen = bool(self.port)
        for _ in range(1 if chosen else 5):
            self.port = self.port if chosen else _free_port(self.bind)
            if self._try():
                return
        message = f"sshd did not start:\n{self.log.read_text(encoding='utf-8')}"
        raise RuntimeError(message)

    def stop(self) -> None:
        """End it and every connection, with whatever runs on them."""
        if not self._process:
            return
        pids = processes.children(self._process.pid)
        self._process.kill()
        self._process.wait()
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 9)
        self._process = None

    def connections(self) -> list[int]:
        """Return the client's port of each TCP connection so far, in their order."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [int(port) for port in CONNECTION.findall(text)]

    def _try(self) -> bool:
        config = self.directory / "sshd_config"
        config.write_text(self._config(), encoding="utf-8")
        start = self.log.stat().st_size
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [find_sshd(), "-D", "-e", "-f", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            if b"Server listening" in self.log.read_bytes()[start:]:
                return True
            time.sleep(0.005)
        self._process.kill()
        self._process.wait()
        return False

    def _config(self) -> str:
        keys = [f'HostKey "{self.directory}/host_{kind}"' for kind in KEY_TYPES]
        lines = [
            f"Port {self.port}",
            f"ListenAddress {self.bind}",
            *keys,
            *(f'HostCertificate "{path}"' for path in self.directory.glob("host_*-cert.pub")),
            f'AuthorizedKeysFile "{self.directory}/authorized_keys"',
            f"MaxStartups {self.max_startups}",
            f"MaxSessions {self.max_sessions}",
            "AuthenticationMethods publickey",
            # What OpenSSH 9 would choose takes a client a tenth of a second, whatever is tested.
            "KexAlgorithms curve25519-sha256",
            "LogLevel VERBOSE",
            # bash reads the user's ~/.bashrc when sshd starts it, unless it thinks it is a child
            "SetEnv SHLVL=1",
            "PermitRootLogin yes",
            "PidFile none",
            "PrintMotd no",
            "StrictModes no",
            "UseDNS no",
            "UsePAM no",
        ]
        return "\n".join(lines) + "\n"


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
