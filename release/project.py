"""What is released and where to, and how this tool calls programs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGETS = ("dokku", "compose", "swarm", "heroku", "full")
PLATFORMS = ("linux/amd64", "linux/arm64")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
VERSION_FILE = "entrypoint/ci_deploy/__init__.py"
_VERSION = re.compile(r'^__version__ = "(.*)"$', re.M)


class Refused(Exception):
    """The release must not go on; the message says why and what to do."""


@dataclass(frozen=True)
class Project:
    """The checkout and what its pyproject.toml says: a fork publishes under its own names."""

    root: Path
    version: str
    repository: str
    images: str
    gitlab: str
    gitlab_images: str
    pins: Mapping[str, str]
    digests: Mapping[str, str]

    @property
    def registries(self) -> tuple[str, str]:
        """Where every image is: built for the first, copied to the second."""
        return self.images, self.gitlab_images

    @property
    def tag(self) -> str:
        """The tag on GitHub; on GitLab it is the bare version, as its catalog wants it."""
        return f"v{self.version}"


def load(root: Path) -> Project:
    """The project in this directory."""
    ours: dict[str, Any] = _toml(root)["tool"]["ci-deploy"]
    return Project(
        root=root,
        version=_VERSION.findall((root / VERSION_FILE).read_text(encoding="utf-8"))[0],
        repository=ours["repository"],
        images=ours["images"],
        gitlab=ours["gitlab"],
        gitlab_images=ours["gitlab-images"],
        pins=ours["pins"],
        digests=ours.get("digests", {}),
    )


def set_version(project: Project, version: str) -> None:
    """Write the version where the package has it."""
    path = project.root / VERSION_FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(_VERSION.sub(f'__version__ = "{version}"', text), encoding="utf-8")


def write_digests(project: Project, digests: Mapping[str, str]) -> None:
    """Add the table that only the commit of a release has."""
    if project.digests:
        raise Refused("pyproject.toml has digests already")
    path = project.root / "pyproject.toml"
    lines = ["", "# The images of this release.", "[tool.ci-deploy.digests]"]
    lines += [f'{target} = "{digests[target]}"' for target in TARGETS]
    path.write_text(path.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")


def run(
    project: Project, *argv: str, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> str:
    """What a program prints; what it complains of goes to the log. When it fails, all fails."""
    try:
        done = subprocess.run(
            argv,
            cwd=project.root,
            input=stdin,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise Refused(f"{argv[0]} is not installed") from None
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise Refused(f"`{shlex.join(argv)}` ended with {done.returncode}")
    return done.stdout


def variable(name: str) -> str:
    """A variable of the environ that has to be there."""
    value = os.environ.get(name, "")
    if not value:
        raise Refused(f"the variable {name} is not set")
    return value


def _toml(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
