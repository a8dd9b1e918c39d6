"""Reads the images and builds in compose files, as Compose does; the only importer of `yaml`.

Follows compose-go: `extends` is resolved in each file, then the files are merged. Paths are
relative to the project's directory (that of the first file), in an extended file to its own
directory, and in an included file to the directory of that include.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci_deploy.settings.lines import text_of

if TYPE_CHECKING:
    import yaml

Services = dict[str, dict[str, Any]]  # name → mapping with `image` and `build`, if it has them

REMOTE = re.compile(r"(https?|git|ssh|oci)://|git@|github\.com/")
RESET = object()  # the value of `!reset`


class NotReadable(ValueError):
    """A compose file is not valid YAML; the message names the file, the line and the reason."""


class Whole(dict[str, Any]):
    """A mapping marked `!override`: it replaces that of the file before instead of being merged."""


def outside(path: str) -> bool:
    """Whether a normalised path, relative to the repository's root, leads out of the repository (or
    is absolute), or contains a variable, so that it is unknown where it leads."""
    return path.startswith(("/", "..")) or "$" in path


def join(folder: str, path: str) -> str:
    """The path, relative to the repository's root, of `path`, which is relative to `folder`."""
    return posixpath.normpath(posixpath.join(folder, path))


class Reader:
    """Reads the compose files of the repository in the directory `top`. `unread` then has a
    sentence for each file that they refer to and that was not read."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._included: set[str] = set()
        self.unread: list[str] = []

    def project(self, names: Sequence[str], folder: str) -> Services:
        """The merged services of the files `names`, in the project's directory `folder`: name →
        mapping with `image` and `build`, whose context is always set. All paths, given and
        returned, are relative to the repository's root. Raises NotReadable, OSError."""
        services: Services = {}
        for name in names:
            for document in self.documents(name):
                written = mapping(document.get("services"))
                own = {
                    str(key): self._service(key, written, name, folder, set()) for key in written
                }
                included = self._include(document, name, folder)
                services = _merged(services, _merged(included, own))
        services = _settled(services)
        for service in services.values():
            if "build" in service:
                service["build"].setdefault("context", join(folder, "."))
        return services

    def documents(self, name: str) -> list[Mapping[str, Any]]:
        """The YAML documents of the file `name`, each as a mapping: an empty one for a document
        that is no mapping. Raises NotReadable, OSError."""
        import yaml

        text = text_of((self._top / name).read_bytes())
        try:
            return [mapping(each) for each in yaml.load_all(text, _loader())]
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise NotReadable(f"{name} is not valid YAML: {_where(error, text)}") from None

    def _include(self, document: Mapping[str, Any], name: str, folder: str) -> Services:
        """The services of the files that a file includes; each file counts once."""
        services: Services = {}
        self._included.add(name)
        listed = document.get("include")
        for entry in listed if isinstance(listed, list) else []:
            given = entry if isinstance(entry, dict) else {"path": entry}
            paths = given.get("path")
            found = [
                self._found(folder, path, f"{name} includes")
                for path in (paths if isinstance(paths, list) else [paths])
            ]
            if files := [each for each in found if each and each not in self._included]:
                own = given.get("project_directory")
                own = join(folder, str(own)) if own else posixpath.dirname(files[0])
                services = _merged(services, self.project(files, own))
        return services

    def _service(
        self,
        key: Any,
        services: Mapping[str, Any],
        name: str,
        folder: str,
        seen: set[tuple[str, str]],
    ) -> dict[str, Any]:
        """A service of the file `name`, with what it extends."""
        written = mapping(services.get(key))
        extends = written.get("extends")
        given = extends if isinstance(extends, dict) else {"service": extends}
        other, base = str(given.get("service") or ""), {}
        if other and (name, other) not in seen:
            seen.add((name, other))
            if "file" not in given:
                base = self._service(other, services, name, folder, seen)
            elif file := self._found(folder, given["file"], f"{name}: {key} extends"):
                others: dict[str, Any] = {}
                for document in self.documents(file):
                    others |= mapping(document.get("services"))
                base = self._service(other, others, file, posixpath.dirname(file), seen)
        return _merged(base, _own(written, folder))

    def _found(self, folder: str, path: Any, what: str) -> str:
        """The path from the top of a file that another one refers to; empty if it is not in the
        repository."""
        text = str(path)
        full = join(folder, text)
        if REMOTE.match(text) or outside(full) or not (self._top / full).is_file():
            why = "which is not in the repository"
            if "$" in text:
                why = "whose path depends on a variable"
            self.unread.append(f"{what} {text}, {why}.")
            return ""
        return full


def _own(written: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """What is written about a service: its image, and its build as a mapping."""
    found = {"image": written["image"]} if "image" in written else {}
    build = written.get("build")
    if build is None or build is RESET:
        return found | ({"build": RESET} if build is RESET else {})
    given = build if isinstance(build, dict) else {"context": build}
    kept = {str(key): _setting(str(key), value, folder) for key, value in given.items()}
    return {**found, "build": type(given)(kept)}


def _setting(name: str, value: Any, folder: str) -> Any:
    """A setting of a build, the context from the repository's top. Of those that are not expressed
    it is only kept whether they are there."""
    if value is RESET:
        return RESET
    if name == "args":
        return _arguments(value)
    if name not in {"context", "dockerfile", "target"}:
        return value not in ("false", "", None, [], {})
    is_path = name == "context" and not REMOTE.match(str(value)) and "$" not in str(value)
    return join(folder, str(value)) if is_path else str(value)


def _arguments(value: Any) -> dict[str, Any]:
    """Build arguments; None where the value is the one of a variable."""
    if isinstance(value, dict):
        given = {str(key): each if isinstance(each, str) else None for key, each in value.items()}
        return type(value)(given)
    pairs = [str(each).partition("=") for each in value] if isinstance(value, list) else []
    return {name: text if is_set else None for name, is_set, text in pairs}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, everything else is replaced."""
    merged = {**base, **over}
    for key, value in over.items():
        if isinstance(value, dict):
            old = {} if isinstance(value, Whole) else mapping(base.get(key))
            merged[key] = type(value)(_merged(old, value))
    return merged


def _settled(merged: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was reset."""
    return {
        key: _settled(value) if isinstance(value, dict) else value
        for key, value in merged.items()
        if value is not RESET
    }


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty mapping."""
    return value if isinstance(value, dict) else {}


def _where(error: Exception, text: str) -> str:
    """What is wrong in a YAML text, with the line."""
    mark = getattr(error, "problem_mark", None)
    at = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
    reason = (
        getattr(error, "problem", None) or getattr(error, "reason", None) or "nested too deeply"
    )
    return f"line {at + 1}: {reason}."


@cache
def _loader() -> type[yaml.SafeLoader]:
    """A safe loader in which texts stay as they are written (`3.10`, `on`, a date), and in which
    tags that only Compose or nobody knows leave their value as it is."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            # Each key once: copies of copies of merged mappings would fill the memory.
            keys = [key.value if key.id == "scalar" else id(key) for key, _ in node.value]
            node.value = list(dict(zip(keys, node.value, strict=True)).values())

    def plain(loader: Any, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            found = loader.construct_mapping(node, deep=True)
            return Whole(found) if node.tag == "!override" else found
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    kept = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}
    Loader.yaml_implicit_resolvers = {
        first: [each for each in resolvers if each[0] in kept]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    # What Compose writes in small letters.
    Loader.add_implicit_resolver("!bool", re.compile("(?:True|TRUE|False|FALSE)$"), list("TF"))
    Loader.add_constructor("!bool", lambda loader, node: plain(loader, node).lower())
    Loader.add_constructor("!reset", lambda _loader, _node: RESET)
    Loader.add_constructor(None, plain)
    return Loader
