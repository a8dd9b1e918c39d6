"""Finds the apps in a repository (`folders`), and the framework of an app (`framework`), by the
files that build tools look for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

from ci_deploy.layers.applications.django import Django
from ci_deploy.layers.applications.rails import Rails
from ci_deploy.layers.providers.docker.files import COMPOSE

DEPTH = 4  # `apps/shop/src/manage.py`; Heroku's Python buildpack looks one directory less deep
# Directories with code of others, or with code that is not deployed.
SKIPPED = {
    *("node_modules", "vendor", "site-packages", "venv", "env", "build", "dist", "target", "tmp"),
    *("doc", "docs", "test", "tests", "spec", "example", "examples", "samples", "fixtures"),
}
# Directories whose Dockerfile builds the directory above them.
FOR_OTHERS = {"docker", "deploy", "deployment", "infra", "ops", "compose", "config", "bin"}
BUILT = {"Procfile", "Dockerfile", "app.json"}  # a directory with one of these is an app
PACKAGES = {
    *("Gemfile", "requirements.txt", "pyproject.toml", "setup.py", "Pipfile"),
    *("package.json", "composer.json", "go.mod", "mix.exs", "pom.xml", "build.gradle"),
    *("Cargo.toml", "deno.json"),
}


class Framework(NamedTuple):
    """The framework of an app; all fields are empty if none was found."""

    name: str = ""  # of the layer, like `rails`
    at: str = ""  # the sub-directory with its files; empty for the app's directory itself
    rivals: tuple[str, ...] = ()  # `at (Name)` of several at the same depth: none was chosen


def files(root: Path) -> list[str]:
    """The paths of the project's own files, relative to `root`, with at most DEPTH parts, those
    with the fewest first. Left out: hidden directories, those in SKIPPED, Python environments,
    other repositories, and what cannot be read."""
    return sorted(_walk(root, "", DEPTH), key=lambda path: (path.count("/"), path))


def folders(root: Path, *, on_docker: bool) -> list[str]:
    """The directories that look like apps, sorted, relative to `root`, which is the empty string.
    The root is the only one if it has a Procfile, Dockerfile, app.json or framework, or on Docker
    hosts a compose file, and if no directory looks like an app."""
    found = files(root)
    frameworks = {at for at, _ in _frameworks(root, found)}
    built = {posixpath.dirname(path) for path in found if posixpath.basename(path) in BUILT}
    composed = any("/" not in path and COMPOSE.fullmatch(path) for path in found)
    if (composed and on_docker) or "" in built | frameworks:
        return [""]
    built = {each for each in built if posixpath.basename(each) not in FOR_OTHERS}
    listed = {folder for path in found if (folder := _packaged(path)) is not None}
    homes = {_home(at, built | listed) for at in frameworks} | built | (listed & {""})
    return sorted(homes) or [""]


def framework(root: Path) -> Framework:
    """The framework (Django or Rails) of the app in the directory `root`: the one whose files are
    least deep. If several directories at that depth have one, only `rivals` is set."""
    found = sorted(_frameworks(root, files(root)), key=lambda each: (_depth(each[0]), each[0]))
    near = [each for each in found if _depth(each[0]) == _depth(found[0][0])]
    if len({at for at, _ in near}) > 1:
        return Framework(rivals=tuple(f"{at} ({name.capitalize()})" for at, name in near))
    return Framework(near[0][1], near[0][0]) if near else Framework()


def _depth(folder: str) -> int:
    return len(Path(folder).parts)


def _walk(root: Path, below: str, depth: int) -> Iterator[str]:
    try:
        entries = list(os.scandir(root / below))
    except OSError:
        return
    for entry in entries:
        path = posixpath.join(below, entry.name)
        if entry.is_dir(follow_symlinks=False):
            if depth > 1 and _own(entry):
                yield from _walk(root, path, depth - 1)
        elif entry.is_file():
            yield path


def _own(entry: os.DirEntry[str]) -> bool:
    """Whether a directory is the project's own: not a Python environment or another repository."""
    if entry.name.startswith(".") or entry.name in SKIPPED:
        return False
    return not any(os.path.lexists(f"{entry.path}/{name}") for name in ("pyvenv.cfg", ".git"))


def _frameworks(root: Path, found: list[str]) -> Iterator[tuple[str, str]]:
    """The directory and name of each framework."""
    for path in found:
        folder, name = posixpath.split(path)
        if name == "manage.py" and Django.detected(root / folder):
            yield folder, Django.name
        above, name = posixpath.split(folder)
        if path.endswith("config/application.rb") and Rails.detected(root / above):
            yield above, Rails.name


def _packaged(path: str) -> str | None:
    """The directory whose packages a file lists; None if it lists none."""
    folder, name = posixpath.split(path)
    if posixpath.basename(folder) == "requirements":
        return posixpath.dirname(folder)
    return folder if name in PACKAGES else None


def _home(at: str, marked: Set[str]) -> str:
    """The nearest directory, going up, in which a build could start."""
    while at and at not in marked:
        at = posixpath.dirname(at)
    return at
