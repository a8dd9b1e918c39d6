"""Configs and secrets, each under a name with the hash of its content.

The engine cannot change an existing one, so a changed content gets another name, and the services
that use it are updated because of that.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ci_deploy.errors import Problem
from ci_deploy.layers.providers.swarm.state import OURS, Stack

LIMITS = {"configs": 1_024_000, "secrets": 512_000}  # bytes (swarmkit)
NAME = 64  # characters of a name at most


class Content(NamedTuple):
    """A config or secret of a release, to be created in the swarm."""

    kind: str  # `config` or `secret`
    name: str
    data: bytes
    options: tuple[str, ...] = ()  # of `docker config create`


class Contents(NamedTuple):
    """The configs and secrets of a release that we create, and the problems with all of them."""

    made: list[Content]
    problems: list[Problem]


class Given(NamedTuple):
    """The sources of contents: files of the repository and of the host, and variables."""

    tree: str  # the directory in which the host has unpacked the files
    repository: Mapping[str, bytes]  # path in it → content
    host: Mapping[str, bytes]  # absolute path → content
    variables: Mapping[str, str]
    alone: bool = False  # a review app, which gets no files of the host


def contents(data: dict[str, Any], stack: Stack, given: Given) -> Contents:
    """Take the configs and secrets out of a stack file: `data` is changed to refer to them by name,
    as external ones."""
    made: list[Content] = []
    problems: list[Problem] = []
    for kind in ("configs", "secrets"):
        one = kind.removesuffix("s")
        for key, entry in (data.get(kind) or {}).items():
            if entry.get("external"):
                name = str(entry.get("name") or key)
                data[kind][key] = {"external": True, "name": name}
                if name not in stack.there.get(one, set()):
                    reason = f"the {one} `{name}` is external, but does not exist in the swarm."
                    remedy = f"Create it: docker {one} create {name} FILE"
                    problems.append(Problem("COMPOSE_FILE", reason, "", remedy))
                continue
            if ours := [name for name in entry.get("labels") or {} if name.startswith(OURS)]:
                reason = f"the {one} `{key}` has the label `{ours[0]}`, but `{OURS}` is reserved."
                problems.append(Problem("COMPOSE_FILE", reason, "", "Remove it."))
                continue
            found = _content(kind, key, entry, given)
            if isinstance(found, Problem):
                problems.append(found)
                continue
            if not found or len(found) >= LIMITS[kind]:
                size = f"{len(found)} bytes, but must have between 1 and {LIMITS[kind] - 1}"
                problems.append(Problem("COMPOSE_FILE", f"the {one} `{key}` has {size}."))
                continue
            options = tuple(_options(entry))
            name = hashed(
                stack.name, one, key, str(entry.get("name") or ""), found, " ".join(options)
            )
            made.append(Content(one, name, found, options))
            data[kind][key] = {"external": True, "name": name}
    return Contents(made, problems)


def _options(entry: Mapping[str, Any]) -> Iterator[str]:
    """What the file says of a config or secret besides its content."""
    if driver := entry.get("template_driver"):
        yield f"--template-driver={driver}"
    for key, value in sorted((entry.get("labels") or {}).items()):
        yield f"--label={key}={value}"


def hashed(stack: str, kind: str, key: str, name: str, content: bytes, options: str = "") -> str:
    """The name of a config or secret in the swarm: `name`, or else the stack and `key`, and a hash
    of the content and `options`. At most 64 characters."""
    text = f"{stack}\0{kind}\0{key}\0".encode() + content + options.encode()
    return f"{name or f'{stack}_{key}'}"[: NAME - 13] + f"-{hashlib.sha256(text).hexdigest()[:12]}"


def named(path: str, tree: str) -> str:
    """The path in the repository for `path`, which may be one in `tree`, where the host has
    unpacked the files."""
    return posixpath.relpath(path, tree) if path.startswith("/") else path


def _content(kind: str, key: str, entry: Mapping[str, Any], given: Given) -> bytes | Problem:
    one = kind.removesuffix("s")
    if "content" in entry:
        return str(entry["content"]).replace("$$", "$").encode()
    if variable := entry.get("environment"):
        if variable in given.variables:
            return given.variables[variable].encode()
        reason = f"the {one} `{key}` is read from the variable {variable}, which has no value."
        place = "REVIEW_CONFIG" if given.alone else "APP_CONFIG"
        return Problem("COMPOSE_FILE", reason, "", f"Set it in {place}.")
    path = str(entry.get("file") or "")
    name = named(path, given.tree)
    if name in given.repository:
        return given.repository[name]
    if path in given.host:
        return given.host[path]
    name = min(name, path, key=len)  # a path of the host is not one of the repository
    file = f"the file of the {one} `{key}`, `{name}`,"
    reason = f"{file} is neither in the repository nor on the host."
    remedy = "Commit it, or put it into DEPLOY_PATH."
    if given.alone:
        reason = f"{file} is not in the repository, and a review app does not get the hosts' "
        reason += "files, which are the base app's."
        remedy = f"Use `environment: NAME` for that {one}, and set the variable in REVIEW_CONFIG."
    return Problem("COMPOSE_FILE", reason, "", remedy)
