"""The program of Docker hosts alone: no ssh, no job, and a stand-in for `docker` (standins/docker).

For what a real engine makes slow or hard to meet: every order of words from a job, an engine that
is away, a registry that has moved a tag.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ci_deploy.layers.providers.compose.hosts import host_program
from ci_deploy.layers.providers.docker.release import command_file, tar
from ci_deploy.settings.parsers import NOTHING
from standins.support import ROOT, until

APP, REPOSITORY = "shop", "registry.test/shop"
SERVICES: dict[str, Any] = {"app": {"image": f"{REPOSITORY}:${{DEPLOY_TAG}}", "env_file": [".env"]}}
FLAGS = "app tag env\n"


class Alone:
    """One host, in a directory."""

    def __init__(self, path: Path, name: str = "host") -> None:
        self.name = name
        self.path = path / name / "deploy"
        self.engine = path / name / "engine"
        self.path.mkdir(parents=True)
        self.engine.mkdir()
        self.state = self.path / ".ci-deploy/apps" / APP
        self.runs = 0
        file, program = host_program()
        self.program = self.path / ".ci-deploy" / file
        self.program.parent.mkdir()
        self.program.write_bytes(program)
        shutil.copy(ROOT / "standins/docker/program.py", self.engine)
        self._docker()
        empty: dict[str, Any] = {
            "images": {},
            "registry": {},
            "containers": {},
            "faults": [],
            "calls": [],
        }
        self.write({**empty, "logins": [], "pulls": {}, "number": 0})
        for tag in ("good1", "good2", "good3"):
            self.push(tag, "healthy")
        self.push("bad1", "unhealthy")

    def _docker(self) -> None:
        docker = self.engine / "docker"
        start = (
            f"import sys; sys.path.insert(0, {str(self.engine)!r}); import program; program.main()"
        )
        docker.write_text(f'#!/bin/sh\nexec {sys.executable} -IS -c "{start}" "$@"\n')
        docker.chmod(0o755)

    # --- the engine ---

    def read(self) -> dict[str, Any]:
        """What the engine knows."""
        data: dict[str, Any] = json.loads((self.engine / "state.json").read_text())
        return data

    def write(self, data: dict[str, Any]) -> None:
        """Let it know something else."""
        (self.engine / "state.test").write_text(json.dumps(data))
        (self.engine / "state.test").replace(self.engine / "state.json")

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Change what it knows, while no call of `docker` does."""
        with (self.engine / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self.read()
            yield data
            self.write(data)

    def push(self, tag: str, behaves: str, build: str = "") -> str:
        """Let the registry have an image; its id."""
        name, digest = f"{REPOSITORY}:{tag}", f"{tag}{build}"
        image = {"id": f"sha256:{digest}-id", "digest": f"sha256:{digest}", "behaves": behaves}
        with self.change() as data:
            data["registry"][name] = {"name": name, **image}
        return image["id"]

    def fault(self, match: str, **more: Any) -> None:
        """Let calls of `docker` fail; see `faults` of the stand-in."""
        with self.change() as data:
            data["faults"].append({"match": match, **more})

    def hold(self, match: str) -> None:
        """Let a call wait until `release`."""
        (self.engine / "hold").touch()
        self.fault(match, hold=str(self.engine / "hold"))

    def held(self) -> None:
        """Until one waits."""
        until((self.engine / "hold.held").exists)

    def release(self, *faults: Any) -> None:
        """Let it go on, with other faults for the next ones."""
        with self.change() as data:
            data["faults"] = list(faults)
        (self.engine / "hold.held").unlink(missing_ok=True)
        (self.engine / "hold").unlink(missing_ok=True)

    def running(self) -> dict[str, str]:
        """Containers that run → their image's id."""
        found = self.read()["containers"].items()
        return {name: each["image"] for name, each in found if each["status"] == "running"}

    def calls(self, words: str) -> int:
        """How many calls had these words."""
        return sum(words in call for call in self.read()["calls"])

    def check(self) -> None:
        """No call was made that the stand-in does not know."""
        unknown = self.engine / "unknown"
        assert not unknown.exists(), unknown.read_text()

    # --- the program ---

    def call(
        self, *words: str, stdin: bytes = b"", env: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[bytes]:
        """One of its functions, as ssh would call it."""
        path = f"{self.engine}:{os.environ['PATH']}"
        environ = {"PATH": path, "HOME": str(self.path), **env}
        argv = ["sh", str(self.program.relative_to(self.path)), *words]
        return subprocess.run(
            argv,
            cwd=self.path,
            env=environ,
            input=stdin,
            capture_output=True,
            timeout=30,
            check=False,
        )

    def parts(
        self,
        tag: str,
        services: dict[str, Any] | None = None,
        flags: str = FLAGS,
        before: tuple[str, ...] = (),
    ) -> dict[str, bytes]:
        """The files of a release."""
        compose = json.dumps({"services": services or SERVICES}, indent=2)
        texts = {
            "files/compose.yml": compose, "list": "compose.yml\n", "services": flags,
            "app.env": "", "tag.env": f'DEPLOY_TAG="{tag}"\n', "order": "0\n",
            "release.json": json.dumps({"id": f"{tag}-1", "tag": tag}) + "\n",
            **{f"before/{n}": command_file(("sh", "-c", c)) for n, c in enumerate(before, 1)},
        }  # fmt: skip
        return {name: text.encode() for name, text in texts.items()}

    def start(
        self, tag: str, parts: dict[str, bytes] | None = None, password: str = "", **settings: Any
    ) -> str:
        """Begin a run; its name. Settings are those of run.py."""
        self.runs += 1
        run = f"2026010{self.runs}T000000.000-test"
        wanted = {
            "token": "t0ken", "action": "deploy", "release": f"{tag}-1", "project": APP,
            "run_service": "app", "deploy_env": "production", "registry": "", "user": "",
            "lock_timeout": 60, "limit": 60, "steady": 0, "health_timeout": 0, "url": "",
            "url_timeout": 5, "min_free": 0, "refuse_outdated": "no", "gates": "no",
            "migrates": "no", "reject": "no", "recreate": "no", "patience": 300, "needs": "",
            "keep": 5, **settings,
        }  # fmt: skip
        files = {
            "run/settings": "".join(f"{key} {value}\n" for key, value in wanted.items()).encode(),
            "run/title": f"{wanted['action']} of {tag}\n".encode(),
            "run/meta": b"",
        }
        if wanted["action"] == "deploy":
            made = self.parts(tag) if parts is None else parts
            files |= {f"release/{name}": content for name, content in made.items()}
        done = self.call("stage", APP, run, stdin=f"{password}\n".encode() + tar(files))
        assert done.stdout == b"started\n", done
        return run

    def deploy(self, tag: str, parts: dict[str, bytes] | None = None, **settings: Any) -> str:
        """A whole run; how it ended."""
        return self.end(self.start(tag, parts, **settings))

    def end(self, run: str) -> str:
        """How a run ended."""
        file = self.state / "runs" / run / "outcome"
        until(file.exists, what=f"no end of {run}: {self.log(run)}")
        until(lambda: run not in self._alive())
        return file.read_text().strip()

    def log(self, run: str) -> str:
        """Its log."""
        return (self.state / "runs" / run / "log").read_text()

    def at(self, run: str, gate: str) -> None:
        """Until it waits at a gate."""
        until(lambda: self.log(run).endswith(f"gate {gate}\n"), what=self.log(run))

    def say(self, run: str, *words: str, text: str = "") -> None:
        """Words of the job."""
        self.call("tell", APP, run, text, *words)

    def kill(self) -> None:
        """SIGKILL all processes of this host, one that is held too."""
        until(lambda: not self._killed())
        self.release()

    def _killed(self) -> list[int]:
        found = self.processes()
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    def _alive(self) -> str:
        """The command lines of the runs that go on: one clears up after it has told its end."""
        lines = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                lines.append(Path(f"/proc/{pid}/cmdline").read_text())
        return "\n".join(lines)

    def processes(self) -> list[int]:
        """Of the detached runs: they work in our directory, where nobody else does."""
        found = []
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                if (proc / "cwd").readlink() == self.path and "Z" not in self._state(proc):
                    found.append(int(proc.name))
            except OSError:
                continue
        return found

    @staticmethod
    def _state(proc: Path) -> str:
        return (proc / "stat").read_text().rpartition(")")[2].split()[0]

    @property
    def current(self) -> str:
        """The tag of the release that is proven."""
        link = self.state / "current"
        return link.readlink().name.removesuffix("-1") if link.is_symlink() else ""

    def file(self, path: str) -> str:
        """A file of ours; empty when there is none."""
        file = self.state / path
        return file.read_text() if file.is_file() else ""

    def runs_only(self, tag: str) -> None:
        """This is proven and runs; nothing is open."""
        assert self.current == tag
        assert self.file("pending") == ""
        assert self.running() == {f"{APP}-app-1": f"sha256:{tag}-id"}
