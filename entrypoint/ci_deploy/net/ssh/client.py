"""ssh: a private agent, pinned host keys, and one multiplexed connection per server.

The key goes from the setting to the agent through memory: we never write it to disk. Every remote
command, and git's push, is a session on that connection. Sources: ssh_config(5) of OpenSSH 9.2 and
10.0; the design is in docs/architecture.md ("ssh").
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ci_deploy.errors import (
    DeployError,
    Problem,
    SettingsError,
    ToolMissing,
    Unauthorized,
    Unreachable,
)
from ci_deploy.net.ssh import Surroundings
from ci_deploy.net.ssh.agent import Agent
from ci_deploy.net.ssh.host_key_types import HostKeyTypes, ShownKeys
from ci_deploy.net.ssh.host_keys import HostKeys, WrongHostKey, host_keys, mismatch
from ci_deploy.net.ssh.keys import PrivateKey, private_key
from ci_deploy.net.ssh.server import Server
from ci_deploy.process import limits
from ci_deploy.process.child import Child, drain
from ci_deploy.process.program import Command, Stdin
from ci_deploy.process.runner import Runner
from ci_deploy.settings import setting, settings

CONNECT_TIMEOUT = 15  # seconds
REFUSED_HOST_KEY = (
    "Host key verification failed|host key is known|IDENTIFICATION HAS|no matching host key type"
)
CUT = "kex_exchange_identification: "  # ssh's error if the connection ends before the handshake
SESSIONS = 8  # sshd's MaxSessions is 10 by default


@settings
class SshSettings:
    """How to reach a server by ssh."""

    private_key: PrivateKey = setting(
        "SSH_PRIVATE_KEY",
        "Private key for ssh: its text, base64 of it, or the path of a file",
        secret=True,
        text=True,
        parse=private_key,
    )
    passphrase: str = setting(
        "SSH_PRIVATE_KEY_PASSPHRASE", "Passphrase of SSH_PRIVATE_KEY", default="", secret=True
    )
    host_keys: HostKeys | None = setting(
        "SSH_SERVER_HOSTKEYS",
        "Host keys of the server: known_hosts lines or SHA256 fingerprints",
        default=None,
        aliases=("SSH_KNOWN_HOSTS",),
        text=True,
        parse=host_keys,
    )
    host_key_checking: str = setting(
        "SSH_HOST_KEY_CHECKING",
        "`accept-new` trusts an unknown host key (not recommended)",
        default="strict",
        choices=("strict", "accept-new"),
    )
    ssh_config: str = setting(
        "SSH_CONFIG",
        "Lines for ssh_config: Host, HostName, Port, ProxyJump, ProxyCommand",
        default="",
        text=True,
        literal=True,
    )


class Ssh:
    """All ssh connections of one run, one per server; a provider makes one object. `let_in`: the
    command that authorizes a key on a server, for the hint of an error; empty for none."""

    def __init__(self, ctx: Surroundings, settings: SshSettings, let_in: str = "") -> None:
        self._let_in = f" ({let_in})" if let_in else ""
        self._runner: Runner = ctx.runner
        self._console = ctx.console
        self._cleanup = ctx.cleanup
        self._wanted = settings
        self._looking = ctx.command == "doctor"
        self._dir = ctx.private_dir / "ssh"
        self._masters: dict[Server, Child] = {}
        self._sockets: dict[Server, str] = {}
        self._pins = settings.host_keys or HostKeys()
        # What is pinned is checked even with accept-new.
        self._trusting = settings.host_key_checking == "accept-new" and not any(self._pins)
        self._types = HostKeyTypes(self._pins, settings.ssh_config)
        self._comes_through = lambda text: ctx.console.redactor.text(text) == text
        self._config = self._dir / "config"
        self._agent = Agent(ctx.runner, ctx.cleanup, self._dir)
        self._shown = ShownKeys(self._dir / "offered")

    # --- before any connection ---

    def prepare(self) -> list[Problem]:
        """Write ssh's configuration, start the agent and add the key. Returns problems with the key
        or its passphrase, an empty list for none. Raises ToolMissing, Unreachable, Cancelled."""
        self._dir.mkdir(mode=0o700)
        self._write_config()
        return self._agent.start(self._wanted.private_key, self._wanted.passphrase)

    def _write_config(self) -> None:
        for name, pins in zip(("known_hosts", "fingerprints"), self._pins, strict=True):
            write_private(self._dir / name, "".join(f"{pin}\n" for pin in pins))
        script = Path(__file__).with_name("known_hosts.sh")
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "accept-new" if self._trusting else "yes",
            "UserKnownHostsFile": f'"{self._dir}/known_hosts"',
            "GlobalKnownHostsFile": "/dev/null",
            "KnownHostsCommand": f'/bin/sh "{script}" "{self._dir}" %H %t %K %f',
            "CheckHostIP": "no",
            "HashKnownHosts": "no",
            "UpdateHostKeys": "no",
            "IdentityAgent": f'"{self._agent.socket}"',
            "IdentityFile": "none",
            "PreferredAuthentications": "publickey",
            "ForwardAgent": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "RequestTTY": "no",
            "ConnectTimeout": str(CONNECT_TIMEOUT),
            "ConnectionAttempts": "1",
            "ServerAliveInterval": "15",
            "ServerAliveCountMax": "4",
            "ControlMaster": "no",
            "LogLevel": "ERROR",
        }
        options |= self._types.general
        lines = "".join(f"  {name} {value}\n" for name, value in options.items())
        # The first value wins in ssh_config, so ours come first.
        write_private(self._config, f"Host *\n{lines}\n{self._wanted.ssh_config}\n")

    # --- the connection ---

    def open(self, server: Server) -> None:
        """Start connecting, without waiting: `ready` waits. The connection is closed when the run
        ends. Raises ToolMissing when ssh is not installed."""
        self._socket(server).unlink(missing_ok=True)
        self._shown.connecting(server)
        words = self._ssh(server, "-M", "-N", "-T", *self._types.option(server))
        master = self._runner.serve(Command([*words, server.host]))
        self._masters[server] = self._cleanup.enter_context(master)

    def ready(self, server: Server, *, again: bool = True) -> None:
        """Wait until the connection is up and authenticated; starts it if it does not run. An
        Unreachable server is tried up to eight times within 45 s (once if not `again`, and in
        `doctor`), a rejected key or host key only once. Warns when accept-new has trusted a host
        key. Raises Unreachable, Unauthorized, ToolMissing, SettingsError, Cancelled."""
        from ci_deploy.net.retry import retry

        def attempt() -> None:
            if not self.alive(server):
                if not self._agent.alive:  # a cancel on GitLab kills it before us
                    self._agent.start(self._wanted.private_key, self._wanted.passphrase)
                self.open(server)
            try:
                self._await(server)
            except WrongHostKey:
                offer = self._shown.last(server)
                if not offer or not self._types.another(server, offer):
                    raise
                attempt()

        retry(
            attempt,
            on=Unreachable,
            sleep=self._runner.cancellation.sleep,
            attempts=8 if again and not self._looking else 1,
            first=0.5,
            most=8.0,
            within=45.0,
            left=self._runner.cancellation.left,
            say=lambda error, seconds: self._console.indent(
                f"{error} Trying again in {seconds:.0f} s."
            ),
        )
        if self._trusting and (offer := self._shown.last(server)):
            self._console.warning(
                "SSH_HOST_KEY_CHECKING=accept-new: the server's identity was not checked. "
                f"Pin its host key: SSH_SERVER_HOSTKEYS='{offer.line(server)}'"
            )

    def alive(self, server: Server) -> bool:
        """Whether the ssh process of the connection runs; it may still be connecting (`ready` waits
        for that)."""
        return server in self._masters and self._masters[server].alive

    def _await(self, server: Server) -> None:
        master, socket = self._masters[server], self._socket(server)
        started, left = time.monotonic(), self._runner.cancellation.left
        until = started + min(CONNECT_TIMEOUT + 15, left())
        while not socket.exists():
            if not master.alive:
                raise self._failure(server, drain(master.err))
            if time.monotonic() > until or left() <= 0:
                seconds = time.monotonic() - started
                message = f"{server} did not complete the login within {seconds:.0f} s."
                raise Unreachable(message)
            self._runner.cancellation.sleep(0.004)

    def command(self, server: Server, words: Sequence[str], stdin: Stdin = b"") -> Command:
        """The command that runs `words` on the server, as a session on its connection. `stdin`: the
        content, the path of a file or a descriptor."""
        return Command([*self._ssh(server, "-T"), server.host, "--", quoted(words)], stdin=stdin)

    @contextlib.contextmanager
    def hidden(self, server: Server, words: Sequence[str]) -> Iterator[Command]:
        """Context manager: yields a command like `command`, for words with secrets. They are in a
        private file (RemoteCommand) instead of ssh's argv, so they must not contain newlines."""
        path = self._dir / f"hidden{len(list(self._dir.iterdir()))}"
        line = quoted(words).replace("%", "%%")
        write_private(path, f"Host *\n  RemoteCommand {line}\n\n{self._config.read_text()}")
        try:
            yield Command([*self._ssh(server, "-T", config=path), server.host])
        finally:
            path.unlink()

    def git_environ(self, server: Server) -> dict[str, str]:
        """The environment variables by which git uses the connection. `exec` saves a process, which
        costs a second of a cancel; stderr is reopened, or ssh would make git's non-blocking."""
        ssh = shlex.join(["ssh", "-F", str(self._config), "-S", str(self._socket(server))])
        return {"GIT_SSH_COMMAND": f"exec {ssh} 2>/dev/fd/2", "GIT_SSH_VARIANT": "ssh"}

    def _ssh(self, server: Server, *options: str, config: Path | None = None) -> list[str]:
        user = ["-l", server.user] if server.user else []
        port = ["-p", str(server.port)] if server.port != 22 else []  # SSH_CONFIG may name one
        return [
            "ssh", "-F", str(config or self._config), "-S", str(self._socket(server)),
            *port, *user, *options,
        ]  # fmt: skip

    def _socket(self, server: Server) -> Path:
        """The socket's path, kept short: of the 107 bytes that it may have, ssh needs 17 itself."""
        return self._dir / self._sockets.setdefault(server, f"m{len(self._sockets)}")

    # --- what went wrong ---

    def _failure(self, server: Server, text: str) -> DeployError:
        """The error for ssh's own message, with what the user has to do."""
        lines = tuple(line for line in text.splitlines() if line.strip())
        last = lines[-1] if lines else "ssh gave no reason"
        if limit := limits.said([last]):
            return limit
        if "KnownHostsCommand failed" in text:
            hint = "With `--cap-drop ALL`, run as a user other than root: `docker run --user 1000`."
            return ToolMissing(f"ssh cannot run the host key check: {last}", hint=hint)
        # A server without any other type of host key may just close the connection.
        if re.search(REFUSED_HOST_KEY, text) or (not lines and self._types.option(server)):
            offers = self._types.offers(server, self._shown.last(server))
            key, pins, among = self._agent.key_name(), self._wanted.host_keys, len(self._sockets)
            through = self._comes_through
            return mismatch(server, offers, pins, through, key=key, among=among, said=last)
        # A jump host's error comes before the one of the connection through it.
        on_the_way = lines[-2] if len(lines) > 1 and lines[-1].startswith(CUT) else ""
        if "Permission denied" in text or "Too many authentication failures" in text:
            message = f"{server} rejects the key{f' for user {server.user}' * bool(server.user)}."
            add = f"on the server{self._let_in}, or check SSH_PRIVATE_KEY and the user"
            if on_the_way:
                message = f"{on_the_way.split(': ')[0]}, on the way to {server}, rejects the key."
                add = "to authorized_keys there, or check SSH_PRIVATE_KEY and SSH_CONFIG"
            if not (ours := self._agent.key_name()):  # it was killed in the middle of the handshake
                message = f"{server}: the ssh-agent on this machine no longer has the key."
                return Unreachable(message, hint=limits.MORE_MEMORY)
            return Unauthorized(message, hint=f"Our key is {ours}: add it {add}.")
        if "configuration option" in text or "Bad " in last:
            bad = next((line for line in lines if "Bad " in line), last)  # that names the option
            return SettingsError(Problem("SSH_CONFIG", f"ssh does not accept it: {bad}"))
        if "No user exists for uid" in text:
            hint = "Run the container as a user that its /etc/passwd has, or as root."
            return ToolMissing(f"ssh cannot run: {last}", hint=hint)
        reason = (on_the_way or last).removeprefix("ssh: ").rstrip(".\r")
        reason = reason.replace(
            "stdio forwarding failed", "its jump host cannot or may not reach it"
        )
        return Unreachable(f"{server} cannot be reached: {reason}.")


def write_private(path: Path, text: str) -> None:
    """Write `text` to the file at `path`, which is created with mode 0600. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def quoted(words: Sequence[str]) -> str:
    """Quote words as one command line for the POSIX shell of an ssh server."""
    return shlex.join(words)
