"""Chooses the app in the repository and its compose files, with at most one question."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import NamedTuple

from ci_deploy.commands import layout
from ci_deploy.commands.composed import candidates
from ci_deploy.commands.pipelines import ON_DOCKER
from ci_deploy.commands.questions import Questions
from ci_deploy.errors import UsageError
from ci_deploy.layers.providers.docker.settings import paths as compose_paths
from ci_deploy.settings.parsers import folder


class Place(NamedTuple):
    """The directory of the app; also its compose files, if they were chosen by an option or an
    answer. (Empty: `composed.candidates` finds them.)"""

    folder: str = ""  # relative to the repository's root, which is the empty string
    compose: str = ""  # relative to the app's directory, separated by spaces

    @property
    def shown(self) -> str:
        """The answer that a user would type: the compose files, else the directory, relative to the
        repository's root."""
        if not self.compose:
            return self.folder or "."
        return " ".join(posixpath.join(self.folder, each) for each in self.compose.split())


def ask_place(questions: Questions, top: Path, here: str, provider: str) -> Place:
    """Find the app, and ask if there are several apps or several compose files. `top`: the
    repository's root; `here`: the current directory relative to it, empty for the root; `provider`:
    empty if it is not known. Raises UsageError for --folder or --compose that do not fit."""
    on_docker = provider in ON_DOCKER
    if questions.given("compose") and not on_docker:
        why = f"not for {provider}" if provider else "so add --provider compose or swarm"
        raise UsageError(f"--compose is for Compose and Swarm, {why}.")
    folders = [here] if here else layout.folders(top, on_docker=on_docker)
    options = {questions.given("folder"), questions.given("compose")}
    if not questions.on_terminal or options != {None}:
        where = here or _folder(questions, top, folders)
        return Place(where, _compose(questions, top, where) if on_docker else "")
    places = [each for name in folders for each in _places(top, name, on_docker=on_docker)]
    if len(places) == 1:
        return places[0]
    what = "compose file" if any(each.compose for each in places) else "directory"
    which = f"The app's {what} ({' or '.join(each.shown for each in places)})"

    def chosen(text: str) -> Place:
        return _chosen(top, places, text, on_docker=on_docker)

    return chosen(questions.ask("folder", which, "", lambda text: chosen(text).shown))


def _places(top: Path, where: str, *, on_docker: bool) -> list[Place]:
    return [Place(where, each) for each in _rivals(top, where, on_docker)] or [Place(where)]


def _rivals(top: Path, where: str, on_docker: bool) -> tuple[str, ...]:
    root = top / where
    return candidates(root, layout.files(root))[1] if on_docker else ()


def _chosen(top: Path, places: list[Place], text: str, *, on_docker: bool) -> Place:
    """What an answer means. Raises ValueError for what is no place."""
    if known := next((each for each in places if each.shown.split() == text.split()), None):
        return known
    if on_docker and text.split() and all((top / each).is_file() for each in text.split()):
        names = compose_paths(text)
        above = [each.folder for each in places if f"{names[0]}/".startswith(f"{each.folder}/")]
        where = max(above, key=len, default=posixpath.dirname(names[0]))
        return Place(where, " ".join(posixpath.relpath(each, where or ".") for each in names))
    where = _directory(top, text, "a directory or compose file" if on_docker else "a directory")
    if rivals := _rivals(top, where, on_docker):
        message = (
            f"`{text}` has several compose files: name one, like `{Place(where, rivals[0]).shown}`."
        )
        raise ValueError(message)
    return Place(where)


def _directory(top: Path, text: str, what: str = "a directory") -> str:
    inside = ".." not in text.split("/") and not text.startswith("/")
    if not (text and inside and (top / text).is_dir()):
        message = f"`{text}` is not {what} of the repository, whose root is `.`."
        raise ValueError(message)
    return folder(text)


def _folder(questions: Questions, top: Path, folders: list[str]) -> str:
    """The app's directory by its option, or the only one."""
    if questions.given("folder") is None and len(folders) == 1:
        return folders[0]
    which = f"The app's directory ({' or '.join(each or '.' for each in folders)})"
    return folder(questions.ask("folder", which, "", lambda text: _directory(top, text) or "."))


def _compose(questions: Questions, top: Path, where: str) -> str:
    """The compose files by their option; asks if there are several candidates."""
    rivals = _rivals(top, where, on_docker=True)
    if not (rivals or questions.given("compose")):
        return ""

    def check(text: str) -> str:
        names = compose_paths(text)
        missing = [each for each in names if not (top / where / each).is_file()]
        if missing or not names:
            listed = ", ".join(f"`{each}`" for each in missing) or "an empty text"
            message = f"{listed} is not a file in {top / where}."
            if missing[1:]:
                message = f"{listed} are not files in {top / where}."
            raise ValueError(message)
        return " ".join(names)

    return questions.ask("compose", f"The compose file ({' or '.join(rivals)})", "", check)
