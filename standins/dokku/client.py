"""A client that does what anybody types: plain ssh and plain git, nothing clever."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .server import DokkuStandIn

HELLO = Path(__file__).parents[2] / "examples" / "hello"
AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}

Result = subprocess.CompletedProcess[str]


class Client:
    """Somebody's machine; `multiplex` keeps one connection open, to save time."""

    def __init__(self, standin: DokkuStandIn, home: Path, *, multiplex: bool = True) -> None:
        self.standin = standin
        self.config = home / "ssh_config"
        lines = [
            f'IdentityFile "{standin.private_key_path}"',
            f'UserKnownHostsFile "{standin.known_hosts_path}"',
            f"Port {standin.port}",
            f"User {standin.user}",
            "BatchMode yes",
            "IdentitiesOnly yes",
            "KexAlgorithms curve25519-sha256",
            *([f'ControlPath "{home}/mux"', "ControlMaster auto"] if multiplex else []),
            *(["ControlPersist 60"] if multiplex else []),
        ]
        home.mkdir(parents=True, exist_ok=True)
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        ssh = f"ssh -F '{self.config}'"
        self.environ = {**os.environ, **AUTHOR, "GIT_SSH_COMMAND": ssh, "LC_ALL": "C.UTF-8"}

    def command(self, text: str) -> list[str]:
        """Return the local command for a remote one."""
        return ["ssh", "-F", str(self.config), self.standin.host, "--", text]

    def dokku(self, text: str, stdin: bytes = b"") -> Result:
        """Run a Dokku command."""
        done = subprocess.run(
            self.command(text), input=stdin, capture_output=True, check=False, env=self.environ
        )
        return Result(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()
        )

    def git(self, repo: Path, *arguments: str) -> Result:
        """Run git in a working copy."""
        return subprocess.run(
            ["git", *arguments],
            cwd=repo,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def push(self, repo: Path, app: str, refs: str = "main:main", *flags: str) -> Result:
        """Push to an app."""
        return self.git(repo, "push", *flags, self.standin.git_url(app), refs)

    def begin_push(self, repo: Path, app: str, refs: str) -> subprocess.Popen[bytes]:
        """Push to an app; comes back at once."""
        argv = ["git", "push", "-q", self.standin.git_url(app), refs]
        return subprocess.Popen(argv, cwd=repo, env=self.environ, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """End the kept connection."""
        subprocess.run(
            ["ssh", "-F", self.config, "-O", "exit", self.standin.host],
            capture_output=True,
            check=False,
        )


def new_repo(client: Client, path: Path, files: Mapping[str, str] | None = None) -> Path:
    """Make a working copy: of the hello app, or of these files."""
    if files is None:
        shutil.copytree(HELLO, path, ignore=shutil.ignore_patterns("__pycache__"))
    path.mkdir(exist_ok=True)
    client.git(path, "init", "--quiet", "--initial-branch=main")
    commit(client, path, files or {})
    return path


def commit(client: Client, repo: Path, files: Mapping[str, str]) -> str:
    """Write files, commit everything, and return the revision."""
    for name, text in files.items():
        target = repo / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(0o755 if text.startswith("#!") else 0o644)
    client.git(repo, "add", "--all")
    # Two tests with the same files in the same second would have the same commit.
    message = f"change {secrets.token_hex(4)}"
    client.git(repo, "commit", "--quiet", "--allow-empty", "--message", message)
    return client.git(repo, "rev-parse", "HEAD").stdout.strip()
