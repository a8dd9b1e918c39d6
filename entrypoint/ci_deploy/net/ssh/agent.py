"""A private ssh-agent with one key, which ssh-add reads from its stdin, in memory: we never write
it to disk."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from ci_deploy.errors import Problem, ToolMissing
from ci_deploy.net.ssh.keys import PrivateKey
from ci_deploy.process import limits
from ci_deploy.process.child import Child, drain
from ci_deploy.process.program import Command
from ci_deploy.process.runner import Runner

START_TIMEOUT = 20.0  # seconds


class Agent:
    """The ssh-agent of one run; `socket`, in `folder`, is the path of its socket. It ends with this
    process, even if that is killed (agent.sh, which then also removes `folder`'s parent)."""

    def __init__(self, runner: Runner, cleanup: ExitStack, folder: Path) -> None:
        self.socket = folder / "agent"
        self._private = folder.parent
        self._runner = runner
        self._cleanup = cleanup
        self._asked = folder / "asked"
        self._child: Child | None = None

    @property
    def alive(self) -> bool:
        """Whether the agent answers. A cancel on GitLab may kill it, or a part of it, before this
        process."""
        return self._child is not None and self._child.alive and listens(self.socket)

    def start(self, key: PrivateKey, passphrase: str) -> list[Problem]:
        """Start the agent and add the key, which `passphrase` decrypts. Returns the problems with
        the key or the passphrase, an empty list for none. Raises ToolMissing when the agent does
        not start or was killed, Unreachable when ssh-add hangs, Cancelled.
        """
        if key.encrypted and not passphrase:
            missing = "the key has a passphrase, so SSH_PRIVATE_KEY_PASSPHRASE is required."
            return [Problem("SSH_PRIVATE_KEY_PASSPHRASE", missing)]
        self._start()
        added = self._runner.read(
            ["ssh-add", "-q", "-"],
            env={
                "SSH_AUTH_SOCK": str(self.socket),
                "SSH_ASKPASS": str(Path(__file__).with_name("askpass.sh")),
                "SSH_ASKPASS_REQUIRE": "force",
                "DISPLAY": "none",
                "CI_DEPLOY_ASKED": str(self._asked),
                "CI_DEPLOY_ANSWER": passphrase,
            },
            stdin=key.text.encode(),
            ok=None,
        )
        if added.exit_code == 0:
            return []
        if not self.alive:  # then the failure says nothing about the key
            message = "ssh-agent has ended unexpectedly on this machine."
            raise ToolMissing(message, hint=limits.MORE_MEMORY)
        if key.encrypted and "invalid format" not in added.errors:
            said = f" (ssh-add: {added.errors.splitlines()[-1]})" if added.errors else ""
            wrong = f"the passphrase does not fit SSH_PRIVATE_KEY{said}."
            return [Problem("SSH_PRIVATE_KEY_PASSPHRASE", wrong)]
        if key.encrypted:  # the passphrase was right, or there would be no such answer
            message = (
                "ssh cannot read a key of this type in PKCS#8 (`BEGIN ENCRYPTED PRIVATE KEY`)."
            )
            remedy = (
                "Create a key that ssh can read with `ssh-keygen -t ed25519`, or remove "
                "the passphrase with `openssl pkey`."
            )
            return [Problem("SSH_PRIVATE_KEY", message, "", remedy)]
        reason = added.errors.splitlines()[-1:] or ["no reason given"]
        return [Problem("SSH_PRIVATE_KEY", f"ssh-add rejects the key: {reason[0]}")]

    def _start(self) -> None:
        """Start the process; it lives as long as we hold the other end of its stdin. Raises
        ToolMissing."""
        for path in (self.socket, self._asked):
            path.unlink(missing_ok=True)
        script = str(Path(__file__).with_name("agent.sh"))
        read, write = os.pipe()
        self._cleanup.callback(os.close, write)
        private = str(self._private)
        command = Command(["/bin/sh", script, str(self.socket), private], stdin=read)
        self._child = self._cleanup.enter_context(self._runner.serve(command))
        # Before the agent ends: if this process is killed in between, agent.sh removes the rest.
        self._cleanup.callback(shutil.rmtree, private, ignore_errors=True)
        until = time.monotonic() + START_TIMEOUT
        while not listens(self.socket):
            if time.monotonic() > until or not self._child.alive:
                late = f"no socket within {START_TIMEOUT:.0f} s"
                late = late if self._child.alive else "it ended without a message"
                said = drain(self._child.err).strip() or late
                message = f"ssh-agent did not start: {said}"
                raise ToolMissing(message, hint=limits.MORE_MEMORY)
            time.sleep(0.002)

    def key_name(self) -> str:
        """The key's fingerprint (`SHA256:…`), for messages; empty when the agent does not answer or
        has no key. Raises ToolMissing, Unreachable, Cancelled."""
        listed = self._runner.read(
            ["ssh-add", "-l"], env={"SSH_AUTH_SOCK": str(self.socket)}, ok=None
        )
        words = listed.text.split()
        return words[1] if listed.exit_code == 0 and len(words) > 1 else ""


def listens(path: Path) -> bool:
    """Whether a process listens on the Unix socket at `path`; its file exists earlier than that."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
