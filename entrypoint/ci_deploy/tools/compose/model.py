"""The compose files as Compose itself reads them, before any variable is replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.values import NOTHING

TAG = re.compile(r"\$\{?DEPLOY_TAG\b")
KEPT = {"missing", "if_not_present", "never"}  # pull policies under which nothing is pulled again


class Service(NamedTuple):
    """One service. `image` may hold `${DEPLOY_TAG}` and other variables."""

    name: str
    image: str = ""
    policy: str = ""
    takes_config: bool = False  # has an env_file, so it gets APP_CONFIG too
    needs: tuple[str, ...] = ()
    optional: bool = False  # in a profile, so that it is not started with the others
    task: bool = False  # ends when it is done

    @property
    def tagged(self) -> bool:
        """Whether its image is named by DEPLOY_TAG."""
        return bool(TAG.search(self.image))


class Model(NamedTuple):
    """All services of the app, and the project's name."""

    project: str = ""
    services: Mapping[str, Service] = NOTHING

    @property
    def mutable(self) -> bool:
        """No image is named by DEPLOY_TAG: the same names may mean new images at each deploy."""
        return not any(service.tagged for service in self.services.values())

    @property
    def ours(self) -> list[Service]:
        """The services whose images a deploy brings; others (databases) are left as they are."""
        services = list(self.services.values())
        if self.mutable:
            return [each for each in services if each.policy not in KEPT]
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

    def flags(self) -> str:
        """For the host, one line a service: `NAME [tag] [env] [task] [optional] [always|never]`."""
        ours = {service.name for service in self.ours}
        lines = []
        for service in self.services.values():
            words = [service.name]
            words += ["tag"] if service.name in ours else []
            words += ["env"] if service.takes_config else []
            words += ["task"] if service.task else []
            words += ["optional"] if service.optional else []
            words += [service.policy] if service.policy in {"always", "never"} else []
            lines.append(" ".join(words))
        return "".join(f"{line}\n" for line in lines)


def model(text: str) -> Model:
    """Read what `docker compose config --no-interpolate --format json` prints.

    Raises SettingsError when that is not what it looks like.
    """
    try:
        data = json.loads(text)
        entries = {name: entry or {} for name, entry in (data["services"] or {}).items()}
        tasks = set(_tasks(entries))
        services = {name: _service(name, entry, tasks) for name, entry in entries.items()}
        unnamed = [name for name, entry in entries.items() if _is_only_built(entry)]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f"Compose describes it in a form that is not understood ({error!r})."
        raise SettingsError(Problem("COMPOSE_FILE", reason)) from None
    if not services:
        raise SettingsError(Problem("COMPOSE_FILE", "there is no service in it."))
    if unnamed:
        reason = (
            f"nothing is built on the hosts, and {', '.join(unnamed)} has `build` and no `image`."
        )
        remedy = "Build and push it in a job before, and name it: image: …:${DEPLOY_TAG}"
        raise SettingsError(Problem("COMPOSE_FILE", reason, "", remedy))
    return Model(str(data.get("name", "")), services)


def _tasks(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Services that end when they are done: they say so, or another one waits for that."""
    for name, entry in entries.items():
        if entry.get("restart") == "no":
            yield name
        depends = entry.get("depends_on") or {}
        for needed, how in depends.items() if isinstance(depends, Mapping) else ():
            if (how or {}).get("condition") == "service_completed_successfully":
                yield needed


def _is_only_built(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("build")) and not entry.get("image") and not entry.get("profiles")


def _service(name: str, entry: Mapping[str, Any], tasks: Set[str]) -> Service:
    depends, links = entry.get("depends_on") or (), entry.get("links") or ()
    needs = [*depends, *(link.split(":")[0] for link in links)]
    return Service(
        name,
        image=str(entry.get("image") or ""),
        policy=str(entry.get("pull_policy") or ""),
        takes_config=bool(entry.get("env_file")),
        needs=tuple(dict.fromkeys(needs)),
        optional=bool(entry.get("profiles")),
        task=name in tasks,
    )


def need_service(known: Sequence[str], name: str) -> None:
    """Raises SettingsError when there is no such service to run commands in."""
    from ci_deploy.values import suggestion

    if name not in known:
        reason = f"there is no service `{name}`, only {', '.join(known)}."
        raise SettingsError(Problem("COMPOSE_RUN_SERVICE", reason, "", suggestion(name, known)))
