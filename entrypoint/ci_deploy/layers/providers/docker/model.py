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
LOOSE = re.compile(r",(\n\s*[}\]])")  # where the host has left values out
SERVICE = re.compile(r"(\s+)[\"']?([\w.-]+)[\"']?:")
# Pull policies that mean something else than what a deploy does without one; `build` never pulls.
POLICIES = {
    "always": "always",
    "never": "never",
    "build": "never",
    "missing": "missing",
    "if_not_present": "missing",
}


@dataclass
class Description:
    """What Compose on a host says of the files."""

    model: str = ""  # with the release's environment
    written: str = ""  # the same files before any variable is replaced, where Compose can tell
    all: str = ""  # else with what is in profiles


def read_description(answer: str) -> tuple[str, Description]:
    """The lines before it in a host's answer, and the description."""
    head, _, text = answer.partition("\nmodel\n")
    text, _, everything = text.partition("\nall\n")
    text, _, written = text.partition("\nraw\n")
    return head, Description(text, written, everything)


class Service(NamedTuple):
    """One service, with the image that the release would have."""

    name: str
    image: str = ""
    policy: str = ""
    takes_config: bool = False  # has an env_file, so it gets APP_CONFIG too
    needs: tuple[str, ...] = ()
    optional: bool = False  # in a profile, so that it is not started with the others
    task: bool = False  # ends when it is done
    tagged: bool = False  # its image is named by DEPLOY_TAG
    contents: bool = False  # it has `configs` or `secrets`
    filled: bool = False  # Compose itself puts some of them into its containers
    checked: bool = False  # it has a healthcheck
    mounts: tuple[str, ...] = ()  # directories in its containers that come from elsewhere
    update: Update | None = None  # its new containers start beside the old ones


class Model(NamedTuple):
    """All services of the app, and the project's name."""

    project: str = ""
    services: Mapping[str, Service] = NOTHING
    networks: tuple[str, ...] = ()  # that have to be there before
    volumes: tuple[str, ...] = ()

    @property
    def mutable(self) -> bool:
        """No image is named by DEPLOY_TAG: the same names may mean new images at each deploy."""
        return not any(service.tagged for service in self.services.values())

    @property
    def ours(self) -> list[Service]:
        """The services whose images a deploy brings; others (databases) are left as they are."""
        services = list(self.services.values())
        if self.mutable:
            return [each for each in services if POLICIES.get(each.policy, "always") == "always"]
        return [each for each in services if each.tagged]

    def needs(self, name: str) -> list[str]:
        """What a service depends on, directly or not, in the order in which it is needed."""
        found: dict[str, None] = {}

        def visit(each: str) -> None:
            for needed in self.services[each].needs if each in self.services else ():
                if needed not in found and needed != name:
                    visit(needed)
                    found[needed] = None

        visit(name)
        return list(found)

    def dependents(self, names: Iterable[str]) -> list[str]:
        """Other services that depend on these, directly or not: some versions of Compose recreate
        them with what they depend on."""
        given = set(names)
        return [
            name
            for name, service in self.services.items()
            if name not in given and not service.optional and given & set(self.needs(name))
        ]

    def flags(self) -> str:
        """For the host, one line a service: `NAME [tag] [env] [task] [content] [optional]`, and
        `always`, `missing` or `never` where its image is pulled otherwise than by default."""
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
    facts: Description, files: Sequence[bytes], tag: str, *, start_first: bool = True
) -> Model:
    """What Compose on a host makes of the files.

    What is so is told by its description with the release's environment; the one before any
    variable is replaced names the project wrongly and cannot always be had. It is only asked what
    the other leaves out: env_file, `${DEPLOY_TAG}`, profiles. `start_first`: it is us who start new
    containers beside the old ones. Raises SettingsError when the description is not what it looks
    like.
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
                name, entry, written.get(name) or {}, tasks, inline, optional=name not in active
            )
            for name, entry in entries.items()
        }
        unnamed = [name for name, entry in active.items() if not entry.get("image")]
        problems = list(clashes(active, tasks)) if start_first else []
        networks, volumes = _external(data, "networks"), _external(data, "volumes")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f"Compose describes it in a form that is not understood ({error!r})."
        raise SettingsError(Problem("COMPOSE_FILE", reason)) from None
    if not services:
        raise SettingsError(Problem("COMPOSE_FILE", "there is no service in it."))
    if unnamed:
        reason = (
            f"nothing is built on the hosts, and {', '.join(unnamed)} has `build` and no `image`."
        )
        remedy = "Build and push it in an earlier job, and name it: image: …:${DEPLOY_TAG}"
        raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy))
    if problems:
        raise SettingsError(*problems)
    return Model(str(data.get("name", "")), services, networks, volumes)


def read_json(text: str) -> dict[str, Any]:
    """A description as the host has handed it over. Raises ValueError."""
    data: dict[str, Any] = from_json(LOOSE.sub(r"\1", text))
    return data


def _external(data: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """The names of what Compose does not create."""
    found = (data.get(kind) or {}).items()
    return tuple(str(each.get("name", key)) for key, each in found if (each or {}).get("external"))


def _inline(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """`configs` and `secrets` whose content stands in the compose files or in a variable."""
    for kind in ("configs", "secrets"):
        for key, entry in (data.get(kind) or {}).items():
            if not (entry or {}).get("file") and not (entry or {}).get("external"):
                yield kind, key


def _as_written(
    files: Sequence[bytes], entries: Mapping[str, Any], tag: str
) -> dict[str, dict[str, Any]]:
    """For files that Compose cannot describe before their variables are replaced: the same two
    things read from their text. With a merge key anything may come from anywhere."""
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
    """Services that end when they are done: they say so, or another one waits for that."""
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
        mounts=tuple(_mounts(entry)),
        update=update(entry),
        tagged=bool(TAG.search(str(written.get("image") or ""))),
    )


def _mounts(entry: Mapping[str, Any]) -> Iterator[str]:
    for volume in entry.get("volumes") or ():
        yield str(volume.get("target"))
    tmpfs = entry.get("tmpfs") or ()
    for path in [tmpfs] if isinstance(tmpfs, str) else tmpfs:
        yield path.split(":")[0]


def need_service(known: Sequence[str], name: str) -> None:
    """Raises SettingsError when there is no such service to run commands in."""
    from ci_deploy.settings.parsers import suggestion

    if name not in known:
        reason = f"there is no service `{name}`, only {', '.join(known)}."
        raise SettingsError(Problem("COMPOSE_RUN_SERVICE", reason, "", suggestion(name, known)))
