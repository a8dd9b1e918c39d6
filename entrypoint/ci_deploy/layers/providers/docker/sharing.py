"""Finds what a review app must not share with other projects of its host (or stacks of its swarm):
what can exist only once, and what gives access to the base app's data or takes its visitors."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ci_deploy.errors import Problem

DATABASES = re.compile(
    r"postg(res|is)|pgvector|timescale|mysql|mariadb|percona|mongo|redis|valkey|keydb|memcached"
    r"|rabbitmq|elasticsearch|opensearch|clickhouse|cockroach|cassandra|couchdb|influxdb|neo4j|minio"
)
BESIDE = re.compile(  # pgadmin, postgrest, mongo-express and others
    r"admin|export|express|commander|backup|browser|insight|rest\b|meta|bouncer|pool|proxy|router"
)
PORTS = re.compile(r"\b(5432|3306|27017|6379|5672|9200|11211)/tcp")
ROUTE = re.compile(r"traefik\.[a-z]+\.(routers|services)\.[^.=]+")
CADDY = re.compile(r"caddy(_\d+)?")
USE_PROJECT = "Start the name with ${COMPOSE_PROJECT_NAME}, or leave it out."
BESIDE_HERE = Path(__file__).parent / "host/beside.sh"  # runs on the host

Entry = Mapping[str, Any]


class Other(NamedTuple):
    """Another container (or service of a swarm), with what a review app must not share with it."""

    name: str
    project: str  # its Compose project, or its stack
    image: str
    networks: frozenset[str]
    ports: str
    mounts: frozenset[str]  # paths of the host, names of volumes
    secrets: frozenset[str] = frozenset()


class Beside(NamedTuple):
    """The other projects on a review app's host. `path`: the review app's own directory, if it has
    one; `top`: the base app's, with all its names; `routes`: project, and a name that is unique in
    a proxy."""

    path: str = ""
    top: Sequence[str] = ()
    others: Sequence[Other] = ()
    routes: Collection[tuple[str, str]] = ()


def take(line: str, others: list[Other], routes: set[tuple[str, str]]) -> None:
    """Parse a line of what beside.sh prints, and add what it names: to `others` a container, to
    `routes` a project and a name that is unique in a proxy. Lines in another form are ignored."""
    kind, _, rest = line.partition(" ")
    with suppress(ValueError):
        if kind == "other":
            name, project, image, networks, ports, mounts = rest.split("|")
            others.append(Other(name, project, image, _set(networks), ports, _set(mounts)))
        elif kind == "route":
            project, _, route = rest.partition("|")
            routes.add((project, route))


def _set(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


def problems(data: Entry, project: str, beside: Beside, base: str = "") -> Iterator[Problem]:
    """All conflicts of the parsed compose files `data` with the projects beside them. `base`: the
    base app's project, to find its secrets (in a swarm)."""
    services = data.get("services") or {}
    networks, volumes = data.get("networks") or {}, data.get("volumes") or {}
    others = [each for each in beside.others if each.project != project]
    for reason, remedy in (
        *_singular(services, project),
        *_joined(services),
        *_mounts(services, beside, others),
        *_volumes(volumes, project, beside.path),
        *_networks(networks, project, others),
        *_exposed(services, networks),
        *_routes(services, {route for owner, route in beside.routes if owner != project}),
        *_secrets(data.get("secrets") or {}, [e for e in others if e.project == base]),
    ):
        reason = f"not possible in a review app: {reason}"
        yield Problem("COMPOSE_FILE", reason, "", remedy)


def names(data: Entry) -> set[str]:
    """The names by which the project's containers reach each other (services and aliases), with
    those of the container itself (`localhost`) and the empty one."""
    services = data.get("services") or {}
    aliases = (
        alias
        for entry in services.values()
        for each in ((entry or {}).get("networks") or {}).values()
        for alias in (each or {}).get("aliases") or ()
    )
    return {*services, *aliases, "localhost", "127.0.0.1", ""}


def variables(data: Entry) -> dict[str, str]:
    """The environment variables of all services: name → value. The host has removed users and
    passwords from addresses."""
    return {
        key: str(value)
        for entry in (data.get("services") or {}).values()
        for key, value in ((entry or {}).get("environment") or {}).items()
    }


def is_database(image: str, ports: str = "") -> bool:
    """Whether an image keeps data, judging by its name or by a port of such a server."""
    name = image.partition("@")[0].rpartition("/")[2]
    named = DATABASES.search(image.partition("@")[0]) and not BESIDE.search(name)
    return bool(named or PORTS.search(ports))


Found = Iterator[tuple[str, str]]


def _singular(services: Entry, project: str) -> Found:
    for name, entry in services.items():
        for port in entry.get("ports") or ():
            published = str(port.get("published") or "")
            if published and "-" not in published:
                yield (
                    f"{name} publishes the port {published}.",
                    "Let a proxy reach it through a network, or let Docker choose the port.",
                )
        if entry.get("network_mode") == "host":
            yield (f"{name} uses the host's network.", "Give it its own network.")
        own = entry.get("container_name") or ""
        if own and project not in own:
            yield (f"{name} has the `container_name` {own}.", USE_PROJECT)


def _joined(services: Entry) -> Found:
    for name, entry in services.items():
        joined = [str(each) for each in entry.get("external_links") or ()]
        joined += [
            str(each)
            for key in ("network_mode", "pid", "ipc", "volumes_from")
            for each in _listed(entry.get(key))
            if str(each).startswith("container:")
        ]
        for each in joined:
            yield (
                f"{name} uses `{each}`, which may belong to another project.",
                "Use a service of this compose file instead.",
            )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _mounts(services: Entry, beside: Beside, others: list[Other]) -> Found:
    used = {path for each in others for path in each.mounts if path.startswith("/")}
    for name, entry in services.items():
        for volume in entry.get("volumes") or ():
            source = posixpath.normpath(str(volume.get("source") or "."))
            if volume.get("type") != "bind" or _own(source, beside.path):
                continue
            if any(_in(source, top) or _in(top, source) for top in beside.top):
                relative = "Use a relative path: it starts in the review app's own directory."
                yield (
                    f"{name} mounts {source}, which is in or above the base app's DEPLOY_PATH.",
                    relative if beside.path else "Use a volume, or `configs` for single files.",
                )
            elif not volume.get("read_only") and any(_overlap(source, each) for each in used):
                instead = "a volume or a relative path" if beside.path else "a volume"
                yield (
                    f"{name} mounts {source}, which containers of other projects mount too.",
                    f"Use {instead}, or mount it with `:ro`.",
                )


def _overlap(one: str, other: str) -> bool:
    return not one.endswith(".sock") and (_in(one, other) or _in(other, one))


def _own(path: str, folder: str) -> bool:
    """Whether a path is in the review app's own directory, if it has one."""
    return bool(folder) and _in(path, folder)


def _in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _volumes(volumes: Entry, project: str, path: str) -> Found:
    for key, each in volumes.items():
        entry: Entry = each or {}
        name = str(entry.get("name") or "")
        if entry.get("external"):
            yield (
                f"the volume `{name or key}` is external.",
                "Let each project create its own: leave out `external` and `name`.",
            )
        elif name and project not in name:
            yield (f"the volume {key} has the `name` {name}.", USE_PROJECT)
        options = entry.get("driver_opts") or {}
        device = str(options.get("device") or "")
        inside = _own(posixpath.normpath(device), path) or project in device
        if device and device != options.get("type") and not inside:
            yield (
                f"the volume {key} is the host's {device}.",
                "Leave out `device`, so that each project has its own volume.",
            )


def _networks(networks: Entry, project: str, others: list[Other]) -> Found:
    for key, each in networks.items():
        entry: Entry = each or {}
        given = str(entry.get("name") or "")
        name = given or key
        if entry.get("external") and name == "host":
            remedy = "Let its services use a network of the project instead."
            yield (f"the network {key} is the host's network.", remedy)
        elif entry.get("external"):
            for other in others:
                if name in other.networks and is_database(other.image, other.ports):
                    yield (
                        f"the database {other.name} is on the external network `{name}`.",
                        "An external network is for the proxy; give the branch its own database.",
                    )
        elif given and project not in given:
            yield (f"the network {key} has the `name` {name}.", USE_PROJECT)
        if subnet := re.search(r'"subnet": "([^"]+)"', json.dumps(entry.get("ipam") or {})):
            yield (
                f"the network {key} has the subnet {subnet[1]}.",
                "Let Docker choose the subnet.",
            )


def _exposed(services: Entry, networks: Entry) -> Found:
    """A database on an external network, where the base app's containers could find it by its
    name."""
    outside = {key for key, each in networks.items() if (each or {}).get("external")}
    for name, entry in services.items():
        for key in outside & set(entry.get("networks") or ()):
            if is_database(str(entry.get("image") or "")):
                reason = f"{name} is a database on the external network `{key}`: other "
                reason += f"projects on that network would reach it by the name {name}."
                yield (reason, "Leave it on the default network.")


def routes(labels: Entry) -> Iterator[tuple[str, str]]:
    """The labels that name something which is unique in a proxy: (label, name)."""
    for label, value in labels.items():
        if found := ROUTE.match(label):
            yield label, found[0]
        elif CADDY.fullmatch(label):
            yield label, f"{label}={value}"


def _routes(services: Entry, taken: Collection[str]) -> Found:
    for name, entry in services.items():
        given = {**(entry.get("labels") or {}), **((entry.get("deploy") or {}).get("labels") or {})}
        for label, route in routes(given):
            if route in taken:
                reason = (
                    f"the label `{label}` of {name} belongs to another project too, so the proxy "
                )
                reason += "would mix them up."
                remedy = "Use ${COMPOSE_PROJECT_NAME} in its name, and ${REVIEW_HOST} as its host."
                yield (reason, remedy)


def _secrets(secrets: Entry, base: Sequence[Other]) -> Found:
    """External secrets of the base app, which may give access to its database."""
    for key, each in secrets.items():
        name = str((each or {}).get("name") or key)
        for other in base if (each or {}).get("external") else ():
            if name in other.secrets:
                reason = f"the secret `{name}` is external, and {other.name} uses it too."
                remedy = "Give it another `name` by a variable that REVIEW_CONFIG sets."
                yield (reason, remedy)
                break
