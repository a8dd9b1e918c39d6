"""Chooses the compose files of an app, and finds the images that the pipeline has to build."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ci_deploy.commands.builds import Image, Tagged, image_of, not_pushable, tagged
from ci_deploy.commands.compose_yaml import (
    REMOTE,
    NotReadable,
    Reader,
    Services,
    join,
    mapping,
    outside,
)
from ci_deploy.layers.providers.docker.files import COMPOSE
from ci_deploy.layers.providers.docker.settings import DEFAULT_FILES, FOR_PRODUCTION
from ci_deploy.settings.lines import text_of

OTHERWISE = re.compile(r"dev|test|local|override|example|sample|debug|e2e|docs|\bci\b")


class Doubt(NamedTuple):
    """Why the pipeline may build an image differently than Compose, or does not build it."""

    service: str  # its name, or several joined by " and "; empty if the doubt is about no service
    reason: str  # one or several clauses, or a sentence if `service` is empty
    image: Image | None = None  # None: no line of the pipeline builds it


class Composed(NamedTuple):
    """The chosen compose files of an app and what they mean for the pipeline; `composed` makes one.
    All fields are empty if the app has no compose file."""

    files: tuple[str, ...] = ()  # relative to the app's directory
    rivals: tuple[str, ...] = ()  # several candidates, values of COMPOSE_FILE: none was chosen
    images: tuple[Image, ...] = ()  # those whose tag contains DEPLOY_TAG, if they can be pushed
    services: tuple[tuple[str, str], ...] = ()  # the app's own, each with its build context
    doubts: tuple[Doubt, ...] = ()
    unread: str = ""  # a sentence: why the files could not be read

    def service_of(self, path: str) -> tuple[str, str]:
        """(name, build context) of the service whose image contains the repository's `path`. If no
        image is known to contain it, the context is empty, and the service is `app`, `web` or the
        first; the name is empty if there is no service."""
        holding = [each for each in self.services if _holds(each[1], path)]
        nearest = max((len(context) for _, context in holding), default=0)
        found = dict([each for each in holding if len(each[1]) == nearest] or self.services)
        name = next((usual for usual in ("app", "web") if usual in found), next(iter(found), ""))
        return name, found.get(name, "") if holding else ""


def candidates(root: Path, paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(chosen, candidates) for the app in the directory `root`: the compose files to use together,
    relative to `root`, and no candidates; or no files, and the values of COMPOSE_FILE to choose
    from. Both are empty without a compose file. `paths`: the app's files, relative to `root`."""
    names = [path for path in paths if COMPOSE.fullmatch(posixpath.basename(path))]
    folders = sorted({posixpath.dirname(path) for path in names}, key=lambda f: (bool(f), f))
    found = [_of_folder(root, [p for p in names if posixpath.dirname(p) == f]) for f in folders]
    found = [each for each in found if each]
    if folders[:1] == [""] and found:
        return (found[0][0], ()) if len(found[0]) == 1 else ((), _flat(found[0]))
    choices = [choice for each in found for choice in each]
    return (choices[0], ()) if len(choices) == 1 else ((), _flat(choices))


def composed(top: Path, folder: str, paths: Sequence[str], wanted: Sequence[str] = ()) -> Composed:
    """Read the compose files of the app in `folder`, a directory relative to the repository's root
    `top`: those given by --compose (`wanted`), else the ones that `candidates` chooses among
    `paths`; all are relative to `folder`. If they are not valid YAML, the result has `files` and
    `unread` only; if there are several candidates, `rivals` only. Raises OSError for a file that
    cannot be read."""
    files, rivals = (tuple(wanted), ()) if wanted else candidates(top / folder, paths)
    names = [join(folder, name) for name in files]
    reader = Reader(top)
    try:
        services = reader.project(names, posixpath.dirname(names[0]) if names else "")
    except NotReadable as error:
        return Composed(files, rivals, unread=str(error))
    images, doubts = _images(services, top, folder)
    doubts += [Doubt("", reason) for reason in reader.unread]
    return Composed(
        files, rivals, tuple(images.values()), tuple(_own(services, images)), tuple(doubts)
    )


def _images(services: Services, top: Path, folder: str) -> tuple[dict[Tagged, Image], list[Doubt]]:
    """The images by their name and tag, and the doubts about them."""
    users: dict[Tagged, list[str]] = {}
    for key, service in services.items():
        if known := tagged(service):
            users.setdefault(known, []).append(key)
    images: dict[Tagged, Image] = {}
    doubts = []
    for (name, tag), keys in users.items():
        if why := not_pushable(name):
            doubts.append(Doubt(keys[0], f"the pipeline does not build its image: {why}"))
            continue
        builds = {key: services[key]["build"] for key in keys if "build" in services[key]}
        found = [image_of(name, tag, build, top) for build in builds.values()]
        image, reasons = found[0] if found else _unbuilt(name, tag, top / folder, len(users) == 1)
        if len({each for each, _ in found}) > 1:
            reasons += (f"the services {' and '.join(builds)} build it differently",)
        if not image.path:
            reasons += (f"the job needs the variables in its name, {name}",)
        first = next(iter(images.values()), image)
        if image.registry != first.registry:
            reasons += (f"the job does not log in to {image.registry or 'its registry'}",)
        images[name, tag] = image
        if reasons:
            doubts.append(Doubt(" and ".join(builds or keys), "; ".join(reasons), image))
    return images, doubts


def _unbuilt(name: str, tag: str, root: Path, is_only: bool) -> tuple[Image, tuple[str, ...]]:
    """An image of which no service says how it is built: by the app's Dockerfile. Each of several
    images has a stage of its name there."""
    path = root / "Dockerfile"
    if not path.is_file():
        return Image(name, tag=tag), (
            "the compose file has no `build` for it, and there is no Dockerfile",
        )
    stage = name.rpartition("/")[2]
    text = text_of(path.read_bytes())
    if is_only:
        return Image(name, tag=tag), ()
    if re.search(rf"(?im)^\s*FROM\s.*\sAS\s+{re.escape(stage)}\s*$", text):
        return Image(name, target=stage, tag=tag), ()
    return Image(name, tag=tag), ("the compose file has no `build` for it",)


def _own(services: Services, images: Mapping[Tagged, Image]) -> Iterator[tuple[str, str]]:
    """The services with an image of the app or a build, each with its build context."""
    for name, service in services.items():
        if (known := tagged(service)) and known in images:
            yield name, images[known].context
        elif context := service.get("build", {}).get("context"):
            yield name, "" if REMOTE.match(context) or outside(context) else context


def _holds(context: str, path: str) -> bool:
    return context == "." or f"{path}/".startswith(f"{context}/")


def _flat(choices: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(" ".join(each) for each in choices)


def _of_folder(root: Path, paths: list[str]) -> list[tuple[str, ...]]:
    """The candidates in one directory; each is a value of COMPOSE_FILE."""
    by_name = {posixpath.basename(path): path for path in paths}
    usual = next((by_name[name] for name in DEFAULT_FILES if name in by_name), "")
    if posixpath.basename(usual) in FOR_PRODUCTION:
        return [(usual,)]
    if prod := [path for name, path in by_name.items() if "prod" in name]:
        return [(usual, each) if usual and _adds(root, each) else (each,) for each in prod]
    others = [path for name, path in by_name.items() if not OTHERWISE.search(name)]
    return [(usual,)] if usual else [(each,) for each in others]


def _adds(root: Path, name: str) -> bool:
    """Whether a file is an override: one of its services has neither image nor build."""
    try:
        documents = Reader(root).documents(name)
    except NotReadable:
        return False
    services = [each for text in documents for each in mapping(text.get("services")).values()]
    return any(not {"image", "build", "extends"} & set(mapping(each)) for each in services)
