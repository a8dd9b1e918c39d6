"""A twin of GitHub's runner for container actions: its `docker run`, its parser, its cancel.

Written from the behaviour of actions/runner (ContainerActionHandler, ActionCommandManager,
FileCommandManager, ProcessInvoker), in our own code. What it copies: flags and mounts, a workspace
of uid 1001, environ names without values in argv, commands at the start of a line after blanks and
`##[…]` anywhere, stop-commands, masks, file commands, INT → 7.5 s → TERM → 2.5 s → KILL of the
docker client (which leaves a container running that does not heed signals).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from standins.engine import LABEL, docker

COMMANDS = {
    "set-output", "save-state", "add-mask", "add-matcher", "remove-matcher", "debug", "warning",
    "error", "notice", "group", "endgroup", "echo", "stop-commands", "set-env", "add-path",
}  # fmt: skip
SUMMARY_LIMIT = 1024 * 1024
TERM_AFTER, KILL_AFTER = 7.5, 2.5  # seconds, ProcessInvoker


@dataclass
class Parsed:
    """What the runner makes of a step's output."""

    log: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)  # by the old command
    masks: list[str] = field(default_factory=list)
    annotations: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    matchers: list[str] = field(default_factory=list)
    groups: int = 0
    stopped_by: str = ""

    def take(self, line: str) -> None:
        """One line of stdout or stderr."""
        command = self._v2(line) or self._v1(line)
        if command is None or (self.stopped_by and command[0] != self.stopped_by):
            self.log.append(self._masked(line))
            return
        self._obey(*command)

    def _known(self, name: str) -> bool:
        return name in COMMANDS or (bool(self.stopped_by) and name == self.stopped_by)

    def _v2(self, line: str) -> tuple[str, dict[str, str], str] | None:
        text = line.lstrip()
        if not text.startswith("::") or "::" not in text[2:]:
            return None
        head, _, data = text[2:].partition("::")
        name, _, properties = head.strip().partition(" ")
        return (name, _properties(properties, ","), _data(data)) if self._known(name) else None

    def _v1(self, line: str) -> tuple[str, dict[str, str], str] | None:
        start, end = line.find("##["), line.find("]")
        if start < 0 or end < start:
            return None
        name, _, properties = line[start + 3 : end].partition(" ")
        found = (name, _properties(properties, ";"), line[end + 1 :])
        return found if self._known(name) else None

    def _obey(self, name: str, properties: dict[str, str], data: str) -> None:
        if name == self.stopped_by:
            self.stopped_by = ""
        elif name == "stop-commands":
            self.stopped_by = data
        elif name == "set-output":
            self.outputs[properties.get("name", "")] = data
        elif name == "add-mask":
            self.masks += [part for part in data.splitlines() if part]
        elif name == "add-matcher":
            self.matchers.append(data)
        elif name in {"error", "warning", "notice"}:
            self.annotations.append((name, properties, self._masked(data)))
            self.log.append(self._masked(data))
        elif name == "group":
            self.groups += 1
            self.log.append(self._masked(data))
        elif name == "endgroup":
            self.groups -= 1

    def _masked(self, text: str) -> str:
        for mask in self.masks:
            text = text.replace(mask, "***")
        return text


def _data(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def _properties(text: str, separator: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in text.split(separator) if "=" in part)
    return {name: _data(value.replace("%3A", ":").replace("%2C", ",")) for name, _, value in pairs}


def file_command(text: str) -> dict[str, str]:
    """EnvFileKeyValuePairs: `name=value`, or a heredoc; anything else fails the step."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
        elif heredoc >= 0:
            delimiter, value = line[heredoc + 2 :], []
            for part in lines:
                if part == delimiter:
                    break
                value.append(part)
            else:
                message = f"Matching delimiter not found '{delimiter}'"
                raise ValueError(message)
            found[line[:heredoc]] = "\n".join(value)
        else:
            message = f"Invalid format '{line}'"
            raise ValueError(message)
    return found


@dataclass
class Step:
    """How a step ended."""

    code: int
    raw: str
    parsed: Parsed
    outputs: dict[str, str]
    summary: str
    seconds: float
    container_left: bool = False
    signalled: float = 0.0  # when a cancel began (`time.time`)


class GitHubRunner:
    """Runs our image as a step of a job."""

    def __init__(self, image: str, network: str, workspace: Path, folder: Path) -> None:
        self.image = image
        self.network = network
        self.workspace = workspace
        self.folder = folder
        for name in ("_temp", "home", "workflow", "file_commands"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def start(
        self,
        inputs: Mapping[str, str],
        *,
        event: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Running:
        """Start the step; each declared input that is not given arrives as an empty text."""
        for folder in (self.workspace, *self.workspace.rglob("*")):
            os.chown(folder, 1001, 1001, follow_symlinks=False)
        (self.folder / "workflow/event.json").write_text(json.dumps(event or {}))
        files = {name: f"/github/file_commands/{name}_{secrets.token_hex(4)}" for name in _FILES}
        for path in files.values():
            (self.folder / "file_commands" / Path(path).name).touch()
        environ = {
            **{f"INPUT_{name.replace(' ', '_').upper()}": text for name, text in inputs.items()},
            **_VARIABLES,
            **(variables or {}),
            **files,
        }
        return Running(self, environ, files)


_FILES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE")
_VARIABLES = {
    "HOME": "/github/home",
    "GITHUB_ACTIONS": "true",
    "CI": "true",
    "GITHUB_WORKSPACE": "/github/workspace",
    "GITHUB_EVENT_PATH": "/github/workflow/event.json",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REPOSITORY": "acme/hello",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_API_URL": "https://api.github.com",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_RUN_NUMBER": "12",
    "GITHUB_ACTOR": "jane",
    "RUNNER_TEMP": "/github/runner_temp",
    "ACTIONS_RUNTIME_TOKEN": "runtime-token-of-the-job",
}


class Running:
    """A step that runs."""

    def __init__(
        self, runner: GitHubRunner, environ: Mapping[str, str], files: Mapping[str, str]
    ) -> None:
        self.runner = runner
        self.files = files
        self.name = f"ci-deploy-twin-{secrets.token_hex(4)}"
        self.lines: list[str] = []
        self.started = time.monotonic()
        mounts = {
            runner.folder / "_temp": "/github/runner_temp",
            runner.folder / "home": "/github/home",
            runner.folder / "workflow": "/github/workflow",
            runner.folder / "file_commands": "/github/file_commands",
            runner.workspace: "/github/workspace",
        }
        argv = ["docker", "run", "--name", self.name, "--label", LABEL]
        argv += ["--workdir", "/github/workspace", "--rm"]
        argv += [part for name in environ for part in ("-e", name)]
        argv += ["-v", "/var/run/docker.sock:/var/run/docker.sock"]
        argv += [part for old, new in mounts.items() for part in ("-v", f"{old}:{new}")]
        argv += ["--network", runner.network, "--entrypoint", "ci-deploy", runner.image]
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def wait_for(self, text: str, seconds: float = 40.0) -> None:
        """Until a line has `text`."""
        until = time.monotonic() + seconds
        while not any(text in line for line in self.lines):
            assert time.monotonic() < until, "\n".join(self.lines)
            assert self.process.poll() is None, "\n".join(self.lines)
            time.sleep(0.02)

    def cancel(self) -> Step:
        """As the runner cancels; then whether a container is left behind."""
        self.started, signalled = time.monotonic(), time.time()
        for signum, patience in ((signal.SIGINT, TERM_AFTER), (signal.SIGTERM, KILL_AFTER)):
            self.process.send_signal(signum)
            try:
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            self.process.kill()
        seconds = time.monotonic() - self.started
        step = self.done()
        step.seconds, step.signalled = seconds, signalled
        step.container_left = bool(docker("ps", "-q", "-f", f"name={self.name}").stdout.strip())
        docker("rm", "--force", self.name, check=False)
        return step

    def done(self, timeout: float = 120.0) -> Step:
        """Wait for the end, and make of the output what the runner makes of it."""
        code = self.process.wait(timeout)
        self._reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()
        parsed = Parsed()
        for line in self.lines:
            parsed.take(line)
        texts = {
            name: (self.runner.folder / "file_commands" / Path(path).name).read_text()
            for name, path in self.files.items()
        }
        summary = texts["GITHUB_STEP_SUMMARY"]
        assert len(summary.encode()) <= SUMMARY_LIMIT
        assert not texts["GITHUB_ENV"]
        assert not texts["GITHUB_PATH"]
        return Step(
            code,
            "\n".join(self.lines),
            parsed,
            file_command(texts["GITHUB_OUTPUT"]),
            summary,
            time.monotonic() - self.started,
        )


def log_without_colour(step: Step) -> str:
    """The log as a person reads it."""
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(step.parsed.log))
