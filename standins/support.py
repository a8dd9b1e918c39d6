"""What tests share: checkouts, and running the installed commands as a CI job would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standins.dokku.server import DokkuStandIn

ROOT = Path(__file__).parents[1]
BIN = Path(sys.prefix, "bin")
HELLO = ROOT / "examples/hello"


class Checkout:
    """A git repository with an app, as CI has checked it out."""

    def __init__(self, path: Path, files: Mapping[str, str] | Path = HELLO) -> None:
        self.path = path
        if isinstance(files, Path):
            shutil.copytree(files, path, ignore=shutil.ignore_patterns("__pycache__"))
            files = {}
        path.mkdir(exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.head = self.commit("Say hello", files)

    def git(self, *arguments: str) -> str:
        """A git command in it."""
        who = ["-c", "user.name=Jane", "-c", "user.email=jane@example.com"]
        alone = ["-c", "maintenance.auto=false", "-c", "gc.auto=0"]  # nothing goes on behind us
        argv = ["git", "-C", str(self.path), *who, *alone, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str, files: Mapping[str, str] | None = None) -> str:
        """Write files, commit everything; the full SHA."""
        for name, text in (files or {}).items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.head = self.git("rev-parse", "HEAD")
        return self.head


@dataclass
class Done:
    """How a command ended."""

    code: int
    output: str
    seconds: float
    workspace: Path
    errors: str = ""
    cpu: float = 0.0
    report: dict[str, Any] = field(default_factory=dict)

    def outputs(self) -> dict[str, str]:
        """GitLab's dotenv file."""
        lines = (self.workspace / "deploy.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def until(
    true: Callable[[], object], seconds: float = 30.0, what: str = "", pause: float = 0.02
) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what or "it did not become true"
        time.sleep(pause)


def alive(pid: int) -> bool:
    """Whether this process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def settings_for(server: DokkuStandIn, **more: str) -> dict[str, str]:
    """The settings that a deploy to the stand-in needs."""
    return {
        "APP_NAME": "hello",
        "DOKKU_HOST": f"{server.user}@{server.host}:{server.port}",
        "SSH_PRIVATE_KEY": server.private_key,
        "SSH_SERVER_HOSTKEYS": server.known_hosts,
        **more,
    }


class Run:
    """An installed command that runs; `done()` waits for its end. `through`: what starts it."""

    def __init__(
        self,
        command: str,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        through: Sequence[str] = (),
    ) -> None:
        self.workspace = cwd
        self.started = time.monotonic()
        (cwd / "deploy-report.json").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*through, BIN / command, *arguments],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for(self, text: str, seconds: float = 60.0) -> str:
        """Read until the output has `text`; what was read."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        seen = b""
        until = time.monotonic() + seconds
        while text.encode() not in seen:
            assert time.monotonic() < until, f"no {text!r} in: {seen.decode()}"
            ended = self.process.poll() is not None  # its last words are in the pipe then
            seen += self.process.stdout.read() or b""
            assert not ended or text.encode() in seen, seen.decode()
            time.sleep(0.01)
        os.set_blocking(self.process.stdout.fileno(), True)
        return seen.decode()

    def signal(self, signum: signal.Signals) -> None:
        """Signal it as a runner does."""
        self.process.send_signal(signum)

    def done(self, timeout: float = 90.0) -> Done:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=timeout)
        seconds = time.monotonic() - self.started
        done = Done(
            self.process.returncode, out.decode(), seconds, self.workspace, errors=err.decode()
        )
        report = self.workspace / "deploy-report.json"
        if report.is_file() and (text := report.read_text()):
            done.report = json.loads(text)
        return done


def run(command: str, *arguments: str, cwd: Path, env: Mapping[str, str]) -> Done:
    """Run an installed command to its end."""
    return Run(command, *arguments, cwd=cwd, env=env).done()
