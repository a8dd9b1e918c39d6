"""Chooses the compose file, and reads from its text which images the pipeline has to build and how.
(The image has no YAML parser.)"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ci_deploy.layers.providers.docker.files import COMPOSE
from ci_deploy.layers.providers.docker.settings import DEFAULT_FILES, FOR_PRODUCTION

OTHERWISE = re.compile(r"dev|test|local|override|example|sample|debug|e2e|docs|\bci\b")
# Images that can be pushed: with a registry or a Docker Hub account in the name.
IMAGE = re.compile(r"^\s*image:\s*[\"']?(\S+?/\S+?):\$\{?DEPLOY_TAG", re.M)
EXTENSION = re.compile(r"^x-[\w-]+:.*\n(?:(?: +.*)?\n)*", re.M)  # `x-app: &app` and its text
SERVICE = re.compile(r"([\w.-]+):(?:\s+&[\w-]+)?\s*(?:#.*)?")
SAFE = re.compile(r"[\w./-]+")


class Image(NamedTuple):
    """An image to build. Fields that the compose file does not set are empty."""

    name: str  # without its tag
    context: str = ""  # a directory of the repository
    dockerfile: str = ""
    target: str = ""

    @property
    def registry(self) -> str:
        """The registry; empty if it is a variable."""
        first = self.name.partition("/")[0]
        return "" if "$" in first else first if re.search(r"[.:]", first) else "docker.io"

    @property
    def path(self) -> str:
        """The name in the registry."""
        first, _, rest = self.name.partition("/")
        return rest if re.search(r"[$.:]", first) else self.name


class Composed(NamedTuple):
    """The chosen compose files and what they mean for the pipeline."""

    files: tuple[str, ...] = ()  # relative to the app's directory
    rivals: tuple[str, ...] = ()  # several candidates: none was chosen
    images: tuple[Image, ...] = ()  # those with the tag DEPLOY_TAG
    services: tuple[tuple[str, str], ...] = ()  # the app's own, each with its build context

    def service_of(self, path: str) -> tuple[str, str]:
        """The service whose image is built from what holds a path of the repository, and its build
        context; empty if no service is known."""
        holding = [each for each in self.services if _holds(each[1], path)]
        nearest = max((len(context) for _, context in holding), default=0)
        found = dict([each for each in holding if len(each[1]) == nearest] or self.services)
        name = next((usual for usual in ("app", "web") if usual in found), next(iter(found), ""))
        return name, found.get(name, "") if holding else ""


def composed(root: Path, folder: str, paths: Iterable[str], wanted: Sequence[str] = ()) -> Composed:
    """What the compose files of the app in `folder` say; `paths`: the app's files; `wanted`: the
    files given by --compose."""
    files, rivals = (tuple(wanted), ()) if wanted else _choose(root / folder, list(paths))
    texts = [(root / folder / name).read_text(errors="replace") for name in files]
    where = posixpath.join(folder, posixpath.dirname(files[0])) if files else ""
    images: dict[str, Image] = {}
    blocks: dict[str, str] = {}
    for text in texts:
        services = _services(text)
        for block in (*services.values(), *EXTENSION.findall(text)):
            for found in IMAGE.findall(block):
                image = _image(found, block, where)
                images[found] = images[found] if found in images and not image.context else image
        blocks |= {key: blocks.get(key, "") + block for key, block in services.items()}
        for found in IMAGE.findall(text):
            images.setdefault(found, Image(found))
    return Composed(files, rivals, tuple(images.values()), tuple(_own(blocks, where)))


def _holds(context: str, path: str) -> bool:
    return context == "." or f"{path}/".startswith(f"{context}/")


def _choose(root: Path, paths: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The chosen files, and the candidates if there are several."""
    names = [path for path in paths if COMPOSE.fullmatch(posixpath.basename(path))]
    folders = sorted({posixpath.dirname(path) for path in names}, key=lambda f: (bool(f), f))
    found = [_of_folder(root, [p for p in names if posixpath.dirname(p) == f]) for f in folders]
    found = [each for each in found if each]
    if folders[:1] == [""] and found:
        return (found[0][0], ()) if len(found[0]) == 1 else ((), _flat(found[0]))
    choices = [choice for each in found for choice in each]
    return (choices[0], ()) if len(choices) == 1 else ((), _flat(choices))


def _flat(choices: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(" ".join(each) for each in choices)


def _of_folder(root: Path, paths: list[str]) -> list[tuple[str, ...]]:
    """The candidates in one directory; each is a value of COMPOSE_FILE."""
    by_name = {posixpath.basename(path): path for path in paths}
    usual = next((by_name[name] for name in DEFAULT_FILES if name in by_name), "")
    if posixpath.basename(usual) in FOR_PRODUCTION:
        return [(usual,)]
    if prod := [path for name, path in by_name.items() if "prod" in name]:
        return [(usual, each) if usual and _adds(root / each) else (each,) for each in prod]
    others = [path for name, path in by_name.items() if not OTHERWISE.search(name)]
    return [(usual,)] if usual else [(each,) for each in others]


def _adds(path: Path) -> bool:
    """Whether a file is an override: one of its services has neither image nor build."""
    blocks = _services(path.read_text(errors="replace"))
    return any(not re.search(r"\b(image|build|extends):|<<:", each) for each in blocks.values())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _services(text: str) -> dict[str, str]:
    """The text of each service, with the text of merged aliases (`<<: *app`)."""
    shared = dict(re.findall(r"^x-[\w-]+:\s*&([\w-]+).*\n((?:(?: +.*)?\n)*)", f"{text}\n", re.M))
    found: dict[str, str] = {}
    inside, indent, name = False, -1, ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if _indent(line) == 0:
            inside, indent, name = line.startswith("services:"), -1, ""
        elif inside:
            indent = _indent(line) if indent < 0 else indent
            if _indent(line) == indent and (match := SERVICE.fullmatch(line.strip())):
                name = match[1]
                found[name] = ""
            elif name:
                found[name] += f"{line}\n"
                for alias in re.findall(r"<<:\s*\[?\s*\*([\w-]+)", line):
                    found[name] += shared.get(alias, "")
    return found


def _image(name: str, block: str, where: str) -> Image:
    """The image with the `build` settings of its service."""
    build = re.search(r"^( *)build:[ \t]*(\S.*)?\n((?:\1 +.*\n)*)", f"{block}\n", re.M)
    if not build:
        return Image(name)
    inline = (build[2] or "").strip()
    said = dict(re.findall(r"\b(context|dockerfile|target):\s*[\"']?([^\s,}\"']+)", build[0]))
    if inline and not inline.startswith(("{", "&", "#")):
        said["context"] = inline.strip("\"'")
    context = posixpath.normpath(posixpath.join(where, said.get("context", ".")))
    if context.startswith("..") or not all(map(SAFE.fullmatch, (context, *said.values()))):
        return Image(name)
    return Image(name, context, said.get("dockerfile", ""), said.get("target", ""))


def _own(blocks: Mapping[str, str], where: str) -> Iterator[tuple[str, str]]:
    """The services with an image of the app or a build, each with its build context."""
    for name, block in blocks.items():
        if IMAGE.search(block) or "build:" in block:
            yield name, _image(name, block, where).context
