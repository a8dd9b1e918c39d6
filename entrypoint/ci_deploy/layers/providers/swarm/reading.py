"""Reads the compose files by the manager's Compose, into a release to deploy."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.errors import DeployFailed, Problem, SettingsError, ToolMissing
from ci_deploy.layers.providers.docker.built import invalid, left, unpushed
from ci_deploy.layers.providers.docker.model import (
    Description,
    Model,
    model,
    read_description,
    read_json,
)
from ci_deploy.layers.providers.docker.release import tar
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.layers.providers.docker.variables import UNSET_HERE, advice, tell
from ci_deploy.layers.providers.swarm.contents import Content, Given, contents, named
from ci_deploy.layers.providers.swarm.convert import convert, warnings
from ci_deploy.layers.providers.swarm.manager import NO_FOLDER, Manager
from ci_deploy.layers.providers.swarm.state import Stack
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import NOTHING

NOT_UNPACKED = 95  # exit code of read.sh


class Wanted(NamedTuple):
    """A release before it has an id, as `read` makes it from the compose files."""

    model: Model = Model()  # its services
    data: Mapping[str, Any] = NOTHING  # its stack file, parsed
    contents: Sequence[Content] = ()  # its configs and secrets
    said: Sequence[str] = ()  # warnings

    @property
    def names(self) -> list[str]:
        """The names of the services in the stack file: those without a profile."""
        return list(self.data.get("services", ()))


Further = Callable[[Mapping[str, Any], str], Iterable[Problem]]


def read(
    ctx: Context,
    manager: Manager,
    stack: Stack,
    tree: Tree,
    variables: Mapping[str, str],
    tag: str,
    further: Further | None = None,
) -> Wanted:
    """Let the manager's Compose read the files, and convert them to a stack file. `further(data,
    path)` yields more problems of a stack file whose relative paths start at `path`. Contents of
    secrets are redacted from now on. Raises ToolMissing, Unreachable, SettingsError with all
    problems, DeployFailed when the manager cannot unpack the files."""
    alone = ["alone"] if ctx.review else []
    answer = manager.read([UNSET_HERE.stem, "read"], alone, tar(tree.parts), timeout=120.0)
    if answer.exit_code == NO_FOLDER:
        reason = f"{manager} cannot change to this directory: {answer.errors or 'no reason given'}"
        remedy = "Create it, owned by the SSH user."
        raise SettingsError(Problem("DEPLOY_PATH", reason, "", remedy))
    if answer.exit_code == NOT_UNPACKED:
        why = answer.errors or "no reason given"
        message = f"the compose files cannot be unpacked on {manager}: {why}"
        raise DeployFailed(message, hint="Free some space in its temporary directory.")
    facts, said, host = _parts(answer.text)
    known = {**ctx.app_config, **variables}
    tell(ctx, tree, variables, {str(manager): facts.unset}, lacking=not said.get("env"))
    if not said.get("compose"):
        message = f"there is no `docker compose` (version 2 or newer) on {manager}."
        hint = "Install the Compose plugin: https://docs.docker.com/compose/install/linux/"
        raise ToolMissing(message, hint=hint)
    if not facts.model:
        reason = said.get("refused") or answer.errors or "it gives no reason"
        message = f"Compose on {manager} does not accept it: {reason.rstrip('.')}."
        raise SettingsError(Problem("COMPOSE_FILE", message, "", advice(reason, facts)))
    found = model(facts, tree.texts, tag, ctx.revision, start_first=False)
    major = stack.client.split(".")[0]
    new = major.isdecimal() and int(major) >= 25
    made = convert(read_json(facts.model), stack.name, said["tree"], said["path"], new=new)
    given = Given(
        said["tree"],
        {name: tree.content(name) for name in _files(made.data, said["tree"], tree)},
        host,
        known,
        bool(alone),
    )
    more = further(made.data, said["path"]) if further else ()
    problems = [*made.problems, *invalid(found), *unpushed(found), *more]
    inside = contents(made.data, stack, given)
    for each in inside.made:
        if each.kind == "secret":
            ctx.redactor.add(each.data.decode(errors="replace").strip())
    problems += [*inside.problems, *_from_repository(made.binds, said["path"], tree)]
    problems += _networks(made.data, stack)
    if problems:
        raise SettingsError(*problems)
    told = [*filter(None, [left(found)]), *warnings(made)]
    return Wanted(found, made.data, inside.made, told)


def _parts(text: str) -> tuple[Description, dict[str, str], dict[str, bytes]]:
    """The parts of the answer: Compose's description, single facts, files that only the host
    has."""
    head, described = read_description(text)
    said: dict[str, str] = {}
    host: dict[str, bytes] = {}
    for line in head.splitlines():
        key, _, value = line.partition(" ")
        if key == "file":
            path, _, content = value.rpartition(" ")
            host[path] = base64.b64decode(content)
        else:
            said[key] = value
    return described, said, host


def _files(data: Mapping[str, Any], place: str, tree: Tree) -> list[str]:
    """The repository's files from which configs and secrets are made."""
    found = []
    for kind in ("configs", "secrets"):
        for entry in (data.get(kind) or {}).values():
            name = named(str(entry.get("file") or ""), place)
            found += [name] if tree.has(name) else []
    return found


def _from_repository(binds: Mapping[str, Sequence[str]], path: str, tree: Tree) -> list[Problem]:
    """Problems for mounts of files that only the repository has: nodes of a swarm have no
    checkout."""
    problems = []
    for source, services in binds.items():
        name = source.removeprefix(f"{path.rstrip('/')}/")
        if name != ".env" and (tree.committed(name) or tree.under(name)):
            reason = f"{', '.join(services)} mounts {name} of the repository, which no node has."
            remedy = "Name it under `configs`, which every node gets, or build it into the image."
            problems.append(Problem("COMPOSE_FILE", reason, "", remedy))
    return problems


def _networks(data: Mapping[str, Any], stack: Stack) -> list[Problem]:
    """Problems for external networks that do not exist."""
    problems = []
    for key, entry in (data.get("networks") or {}).items():
        name = str(entry.get("name") or key)
        if entry.get("external") and name not in stack.there.get("network", set()) | {"host"}:
            reason = f"the network `{name}` is external, but the swarm has none of that name."
            remedy = f"Create it: docker network create --driver overlay --attachable {name}"
            problems.append(Problem("COMPOSE_FILE", reason, "", remedy))
    return problems


def as_bytes(data: Mapping[str, Any]) -> bytes:
    """A stack file as JSON, which is valid YAML; equal data gives equal bytes."""
    return json.dumps(data, sort_keys=True).encode()
