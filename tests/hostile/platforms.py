"""What CI platforms make of a log and of output files: nobody else's words may have an effect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ci_deploy.report.outputs import OUTPUTS
from standins.support import Done

REPORT = "deploy-report.json"
FILES = {REPORT, "deploy.env", "deploy-annotations.json", "deploy-junit.xml"}  # of ours
OUR_COMMANDS = {"group", "endgroup", "add-mask", "stop-commands"}
OUR_NOTES = re.compile(r"(error|warning|notice) title=")


def parsed_by_github(text: str) -> dict[str, str]:
    """As actions/runner reads it: `name<<delimiter`, lines, the delimiter; else `name=value`."""
    found, waiting = dict[str, str](), re.split(r"\r\n|\n|\r", text)
    while waiting:
        line = waiting.pop(0)
        name, heredoc, delimiter = line.partition("<<")
        if heredoc and "=" not in name:
            value = []
            while (part := waiting.pop(0)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
        elif line:
            name, _, found[name] = line.partition("=")
    return found


@dataclass(frozen=True)
class Platform:
    """`env`: the variables of a job; `parse`: what is wrong with what it would read."""

    env: Mapping[str, str]
    parse: Callable[[Done], list[str]]

    def wrong(self, done: Done) -> list[str]:
        """What somebody else's words have changed."""
        found = [f"a log command: {line!r}" for line in _commands(done.output)]
        if re.search(r"\x1b\][^\n]|\x1b\[\d*[A-HJ]", done.output):
            found.append("an escape sequence")
        return found + self.parse(done)


def _commands(log: str) -> list[str]:
    """Lines that some platform obeys, and that are not ours."""
    found, token = [], ""
    for line in log.splitlines():
        command = re.match(r"\s*::([^:]*)::(.*)", line)
        if re.search(r"##(vso|teamcity)?\[|section_(start|end):\d+:(?!ci_deploy_)", line):
            found.append(line)
        elif command and not OUR_NOTES.match(command[1]):
            if command[1] == "stop-commands":
                token = command[2]
            elif command[1] not in {*OUR_COMMANDS, token}:
                found.append(line)
    return found


def platforms(workspace: Path, aside: Path) -> dict[str, Platform]:
    """Those that have parsers of their own; `aside`: a directory for files of the runner."""
    paths = {name: aside / name for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    there = {path.name for path in workspace.iterdir()}

    def github(_done: Done) -> list[str]:
        outputs = parsed_by_github(paths["GITHUB_OUTPUT"].read_bytes().decode(errors="replace"))
        wrong = [f"the outputs {[*outputs]}"] if [*outputs] != [*OUTPUTS] else []
        return wrong + ["a variable"] * bool(paths["GITHUB_ENV"].read_text())

    def gitlab(done: Done) -> list[str]:
        known = {f"DEPLOYED_{name.upper().replace('-', '_')}" for name in OUTPUTS}
        lines = (done.workspace / "deploy.env").read_text().splitlines()
        names = {line.partition("=")[0] for line in lines}
        return [f"the variables {names}"] if names - known or len(names) != len(lines) else []

    def circleci(done: Done) -> list[str]:
        report = json.loads((done.workspace / REPORT).read_text())
        more = {path.name for path in done.workspace.iterdir()} - there - FILES
        return ["the report"] * (report["app"] != "hello") + [f"a file {name}" for name in more]

    for path in paths.values():
        path.touch()
    of_github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(workspace)}
    return {
        "GitHub": Platform({**of_github, **{n: str(path) for n, path in paths.items()}}, github),
        "GitLab": Platform({"GITLAB_CI": "true", "CI_PROJECT_DIR": str(workspace)}, gitlab),
        "CircleCI": Platform(
            {"CIRCLECI": "true", "CIRCLE_WORKING_DIRECTORY": str(workspace)}, circleci
        ),
    }
