"""What a review app must not share with other projects on its host: what only one of them can have,
and what would lead to the base app's data or take over its visitors."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ci_deploy.errors import Problem
from ci_deploy.layers.providers.compose.facts import HostFacts, Other
from ci_deploy.layers.providers.docker.model import read_json

DATABASES = re.compile(
    r"postg(res|is)|pgvector|timescale|mysql|mariadb|percona|mongo|redis|valkey|keydb|memcached"
    r"|rabbitmq|elasticsearch|opensearch|clickhouse|cockroach|cassandra|couchdb|influxdb|neo4j|minio"
)
BESIDE = re.compile(  # pgadmin, postgrest, mongo-express and others
    r"admin|export|express|commander|backup|browser|insight|rest\b|meta|bouncer|pool|proxy|router"
)
PORTS = re.compile(r"\b(5432|3306|27017|6379|5672|9200|11211)/tcp")
ROUTE = re.compile(r"traefik\.[a-z]+\.(routers|services)\.[^.=]+")
USE_PROJECT = "Begin it with ${COMPOSE_PROJECT_NAME}, or leave it out."

Entry = Mapping[str, Any]


def problems(facts: HostFacts, project: str) -> Iterator[Problem]:
    """All of it, of what Compose on a host makes of the files."""
    data = read_json(facts.model)
    more = read_json(facts.all or "{}").get("services") or {}  # commands may run in a profile's
    services = {**more, **(data.get("services") or {})}
    networks, volumes = data.get("networks") or {}, data.get("volumes") or {}
    others = [each for each in facts.others if each.project != project]
    for reason, remedy in (
        *_singular(services, project),
        *_joined(services),
        *_mounts(services, facts, others),
        *_volumes(volumes, project, facts.path),
        *_networks(networks, project, others),
        *_exposed(services, networks),
        *_routes(services, {route for owner, route in facts.routes if owner != project}),
    ):
        reason = f"not possible in a review app: {reason}"
        yield Problem("COMPOSE_FILE", reason, "", remedy)


def names(data: Entry) -> set[str]:
    """By which names containers of the project reach each other."""
    services = data.get("services") or {}
    aliases = (
        alias
        for entry in services.values()
        for each in ((entry or {}).get("networks") or {}).values()
        for alias in (each or {}).get("aliases") or ()
    )
    return {*services, *aliases, "localhost", "127.0.0.1", ""}


def variables(data: Entry) -> dict[str, str]:
    """Variables in the compose files; of addresses the host has left out who logs in."""
    return {
        key: str(value)
        for entry in (data.get("services") or {}).values()
        for key, value in ((entry or {}).get("environment") or {}).items()
    }


def is_database(image: str, ports: str = "") -> bool:
    """Whether an image keeps data, by its name or by a port of such a server."""
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
                    "Let a proxy reach it by its network, or leave the number to Docker.",
                )
        if entry.get("network_mode") == "host":
            yield (f"{name} is on the host's own network.", "Give it a network of its own.")
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
            yield (f"{name} is joined to `{each}`, of another project.", "Give it one of its own.")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _mounts(services: Entry, facts: HostFacts, others: list[Other]) -> Found:
    used = {path for each in others for path in each.mounts if path.startswith("/")}
    for name, entry in services.items():
        for volume in entry.get("volumes") or ():
            source = posixpath.normpath(str(volume.get("source") or "."))
            if volume.get("type") != "bind" or _in(source, facts.path):
                continue
            if any(_in(source, top) or _in(top, source) for top in facts.top):
                yield (
                    f"{name} mounts {source}, which is in or above the base app's DEPLOY_PATH.",
                    "Use a relative path: it means the review app's own directory.",
                )
            elif not volume.get("read_only") and any(_overlap(source, each) for each in used):
                yield (
                    f"{name} mounts {source}, which containers of other projects have too.",
                    "Take a volume or a relative path, or mount it with `:ro`.",
                )


def _overlap(one: str, other: str) -> bool:
    return not one.endswith(".sock") and (_in(one, other) or _in(other, one))


def _in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _volumes(volumes: Entry, project: str, path: str) -> Found:
    for key, each in volumes.items():
        entry: Entry = each or {}
        name = str(entry.get("name") or "")
        if entry.get("external"):
            yield (
                f"the volume `{name or key}` is external.",
                "Let each project make its own: leave out `external` and `name`.",
            )
        elif name and project not in name:
            yield (f"the volume {key} has the `name` {name}.", USE_PROJECT)
        options = entry.get("driver_opts") or {}
        device = str(options.get("device") or "")
        inside = _in(posixpath.normpath(device), path) or project in device
        if device and device != options.get("type") and not inside:
            yield (
                f"the volume {key} is {device} of the host.",
                "A volume without `device` is its own.",
            )


def _networks(networks: Entry, project: str, others: list[Other]) -> Found:
    for key, each in networks.items():
        entry: Entry = each or {}
        name = str(entry.get("name") or key)
        if entry.get("external"):
            for other in others:
                if name in other.networks and is_database(other.image, other.ports):
                    yield (
                        f"on the external network `{name}` there is {other.name}, a database.",
                        "An external network is for the proxy; give the branch its own database.",
                    )
        elif project not in name:
            yield (f"the network {key} has the `name` {name}.", USE_PROJECT)
        if subnet := re.search(r'"subnet": "([^"]+)"', json.dumps(entry.get("ipam") or {})):
            yield (f"the network {key} has the subnet {subnet[1]}.", "Leave the subnet to Docker.")


def _exposed(services: Entry, networks: Entry) -> Found:
    """Its own database beside the base app's containers: there its name would be the same."""
    outside = {key for key, each in networks.items() if (each or {}).get("external")}
    for name, entry in services.items():
        for key in outside & set(entry.get("networks") or ()):
            if is_database(str(entry.get("image") or "")):
                reason = f"{name} is a database, and on the external network `{key}`: other "
                reason += f"projects there would find it by the name {name}."
                yield (reason, "Leave it on the default network.")


def _routes(services: Entry, taken: set[str]) -> Found:
    for name, entry in services.items():
        for label, value in (entry.get("labels") or {}).items():
            found = ROUTE.match(label)
            route = found[0] if found else f"{label}={value}"
            if route in taken:
                reason = f"the label `{label}` of {name} is another project's too, so the proxy "
                reason += "would mix them up."
                remedy = "Name it by ${COMPOSE_PROJECT_NAME}, and its host by ${REVIEW_HOST}."
                yield (reason, remedy)
