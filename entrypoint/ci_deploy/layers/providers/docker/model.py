"""The compose files as Compose itself reads them, with the environment of the release."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.start_first import Update, clashes, update
from ci_deploy.settings.lines import from_json
from ci_deploy.settings.parsers import NOTHING

TAG = re.compile(r"\$\{?DEPLOY_TAG\b")
LOOSE = re.compile(r",(\n\s*[}\]])")  # a comma before values that the host has left out
SERVICE = re.compile(r"(\s+)[\"']?([\w.-]+)[\"']?:")
# Pull policies that change what a deploy does by default; `build` never pulls.
POLICIES = {
    "always": "always",
    "never": "never",
    "build": "never",
    "missing": "missing",
    "if_not_present": "missing",
}


@dataclass
class Description:
    """What Compose on a host reads from the files, as JSON texts."""

    model: str = ""  # with the release's environment
    written: str = ""  # before any variable is replaced, if Compose supports that
    all: str = ""  # else with the services in profiles
    unset: Sequence[str] = ()  # variables that the files use and that have no value
    required: Sequence[str] = ()  # those that must have one


def read_description(answer: str) -> tuple[str, Description]:
    """Split a host's answer into the lines before the description, and the description."""
    head, _, text = answer.partition("\nmodel\n")
    text, _, everything = text.partition("\nall\n")
    text, _, written = text.partition("\nraw\n")
    lines = [line.partition(" ") for line in head.splitlines()]
    unset, required = (
        [value for key, _, value in lines if key == kind] for kind in ("unset", "required")
    )
    return head, Description(text, written, everything, unset, required)


class Service(NamedTuple):
    """A service of the release, with its image."""

    name: str
    image: str = ""
    policy: str = ""
    takes_config: bool = False  # has an env_file, so it gets APP_CONFIG too
    needs: tuple[str, ...] = ()
    optional: bool = False  # in a profile, so not started with the others
    task: bool = False  # ends when it is done
    tagged: bool = False  # its image's name has DEPLOY_TAG, or the revision
    contents: bool = False  # has `configs` or `secrets`
    filled: bool = False  # Compose itself copies some of them into its containers
    checked: bool = False  # has a healthcheck
    built: bool = False  # has `build`, so its image is made from the repository
    mounts: tuple[str, ...] = ()  # paths in its containers on which something is mounted
    update: Update | None = None  # for start-first: new containers start beside the old ones


class Model(NamedTuple):
    """The release's compose files as Compose reads them: all services, and the project's name."""

    project: str = ""
    services: Mapping[str, Service] = NOTHING
    networks: tuple[str, ...] = ()  # external ones, which must exist before
    volumes: tuple[str, ...] = ()

    @property
    def mutable(self) -> bool:
        """Whether no image's name contains this release's tag or revision. Then any name may mean a
        new image: a deploy is never skipped, unless an archive has them, and pulls `ours`."""
        return not any(service.tagged for service in self.services.values())

    @property
    def ours(self) -> list[Service]:
        """The services whose images a deploy replaces: those with the tag or revision in the name,
        or if `mutable`, those without a `pull_policy` like `missing`, `never` or `build`."""
        services = list(self.services.values())
        if self.mutable:
            return [each for each in services if POLICIES.get(each.policy, "always") == "always"]
        return [each for each in services if each.tagged]

    def needs(self, name: str) -> list[str]:
        """The services on which `name` depends, also indirectly, in the order in which they are
        needed."""
        found: dict[str, None] = {}

        def visit(each: str) -> None:
            for needed in self.services[each].needs if each in self.services else ():
                if needed not in found and needed != name:
                    visit(needed)
                    found[needed] = None

        visit(name)
        return list(found)

    def dependents(self, names: Iterable[str]) -> list[str]:
        """Other services that depend on `names`, also indirectly: some versions of Compose recreate
        them with what they depend on."""
        given = set(names)
        return [
            name
            for name, service in self.services.items()
            if name not in given and not service.optional and given & set(self.needs(name))
        ]

    def flags(self) -> str:
        """A line for each service, for the host: `NAME [tag] [env] [task] [content] [optional]`,
        then `always`, `missing` or `never` if it has such a pull policy."""
        ours = {service.name for service in self.ours}
        lines = []
        for service in self.services.values():
            words = [service.name]
            words += ["tag"] if service.name in ours else []
            words += ["env"] if service.takes_config else []
            words += ["task"] if service.task else []
            words += ["content"] if service.contents else []
            words += ["optional"] if service.optional else []
            words += [POLICIES[service.policy]] if service.policy in POLICIES else []
            lines.append(" ".join(words))
        return "".join(f"{line}\n" for line in lines)


def model(
    facts: Description,
    files: Sequence[bytes],
    tag: str,
    revision: str = "",
    *,
    start_first: bool = True,
) -> Model:
    """Parse what Compose on a host reads from the files.

    Compose's description with the release's environment counts. The one before any variable is
    replaced has a wrong project name and is not always available; it is only used for what the
    other lacks: env_file, `${DEPLOY_TAG}`, profiles. An image whose tag contains the first seven of
    `revision` (by a variable of APP_CONFIG) is this release's too. `start_first`: our program
    starts new containers beside old ones. Raises SettingsError, also for an unknown form.
    """
    try:
        data = read_json(facts.model)
        active = {name: entry or {} for name, entry in (data.get("services") or {}).items()}
        more = read_json(facts.written or facts.all or "{}").get("services") or {}
        written = more if facts.written else _as_written(files, {**more, **active}, tag)
        entries = {**{name: entry or {} for name, entry in more.items()}, **active}
        tasks, inline = set(_tasks(entries)), set(_inline(data))
        services = {
            name: _service(
                name,
                entry,
                written.get(name) or {},
                tasks,
                inline,
                optional=name not in active,
                revision=revision[:7],
            )
            for name, entry in entries.items()
        }
        problems = [*_unnamed(active), *(clashes(active, tasks) if start_first else ())]
        networks, volumes = _external(data, "networks"), _external(data, "volumes")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f"ci-deploy cannot parse the output of `docker compose config` for it ({error!r})."
        remedy = "Please report this, with the compose file."
        raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy)) from None
    if not services:
        raise SettingsError(Problem("COMPOSE_FILE", "the file defines no service."))
    if problems:
        raise SettingsError(*problems)
    return Model(str(data.get("name", "")), services, networks, volumes)


def read_json(text: str) -> dict[str, Any]:
    """Parse the JSON of a description, from which the host has left out values. Raises
    ValueError."""
    data: dict[str, Any] = from_json(LOOSE.sub(r"\1", text))
    return data


def _unnamed(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Problems of services without an image."""
    unnamed = {name: entry for name, entry in entries.items() if not entry.get("image")}
    if built := ", ".join(name for name, entry in unnamed.items() if entry.get("build")):
        reason = f"nothing is built on the hosts, but {built} has `build` without `image`."
        remedy = "Build and push it in an earlier job, and name it: image: …:${DEPLOY_TAG}"
        yield Problem("COMPOSE_FILE", reason, "", remedy)
    if others := ", ".join(name for name, entry in unnamed.items() if not entry.get("build")):
        reason = f"{others} has no image: only containers are deployed and verified."
        remedy = "Remove it from the file, and start what its `provider` offers by other means."
        yield Problem("COMPOSE_FILE", reason, "", remedy)


def _external(data: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """The names of the networks or volumes that Compose does not create."""
    found = (data.get(kind) or {}).items()
    return tuple(str(each.get("name", key)) for key, each in found if (each or {}).get("external"))


def _inline(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The `configs` and `secrets` whose content is in the compose files or in a variable."""
    for kind in ("configs", "secrets"):
        for key, entry in (data.get(kind) or {}).items():
            if not (entry or {}).get("file") and not (entry or {}).get("external"):
                yield kind, key


def _as_written(
    files: Sequence[bytes], entries: Mapping[str, Any], tag: str
) -> dict[str, dict[str, Any]]:
    """`image` and `env_file` of each service from the text of the files, for a Compose that cannot
    describe them before variables are replaced. With a merge key any service may have an
    env_file."""
    env_file: set[str] = set()
    for content in files:
        text = content.decode(errors="replace")
        merges = "<<:" in text or "extends:" in text
        service, indent = "", -1
        for line in text.splitlines():
            found = SERVICE.match(line)
            if found and found[2] in entries and indent in {-1, len(found[1])}:
                service, indent = found[2], len(found[1])
            if "env_file" in line.partition("#")[0]:
                env_file |= set(entries) if merges else {service}
    return {
        name: {
            "image": "${DEPLOY_TAG}" if str((entry or {}).get("image")).endswith(f":{tag}") else "",
            "env_file": name in env_file,
        }
        for name, entry in entries.items()
    }


def _tasks(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Services that end when they are done, by their settings or since another waits for it."""
    for name, entry in entries.items():
        if entry.get("restart") == "no" and not entry.get("ports") and not entry.get("healthcheck"):
            yield name
        depends = entry.get("depends_on") or {}
        for needed, how in depends.items() if isinstance(depends, Mapping) else ():
            if (how or {}).get("condition") == "service_completed_successfully":
                yield needed


def _service(
    name: str,
    entry: Mapping[str, Any],
    written: Mapping[str, Any],
    tasks: Set[str],
    inline: Set[tuple[str, str]],
    *,
    optional: bool,
    revision: str,
) -> Service:
    depends, links = entry.get("depends_on") or (), entry.get("links") or ()
    needs = [*depends, *(link.split(":")[0] for link in links)]
    return Service(
        name,
        image=str(entry.get("image") or ""),
        policy=str(entry.get("pull_policy") or ""),
        takes_config=bool(written.get("env_file")),
        needs=tuple(dict.fromkeys(needs)),
        optional=optional,
        task=name in tasks,
        contents=bool(entry.get("configs") or entry.get("secrets")),
        filled=any(
            (kind, str(each.get("source"))) in inline
            for kind in ("configs", "secrets")
            for each in entry.get(kind) or ()
        ),
        checked=bool(entry.get("healthcheck")),
        built=bool(entry.get("build")),
        mounts=tuple(_mounts(entry)),
        update=update(entry),
        tagged=_tagged(entry, written, revision),
    )


def _tagged(entry: Mapping[str, Any], written: Mapping[str, Any], revision: str) -> bool:
    name = str(entry.get("image") or "").partition("@")[0]
    tag = name.rpartition("/")[2].partition(":")[2]
    by_variable = bool(revision) and revision in tag
    return by_variable or bool(TAG.search(str(written.get("image") or "")))


def _mounts(entry: Mapping[str, Any]) -> Iterator[str]:
    for volume in entry.get("volumes") or ():
        yield str(volume.get("target"))
    tmpfs = entry.get("tmpfs") or ()
    for path in [tmpfs] if isinstance(tmpfs, str) else tmpfs:
        yield path.split(":")[0]
