"""Services that ask for start-first in the compose file (`deploy: update_config: order:
start-first`): the host starts their new containers beside the old ones, so that there is no gap.
Swarm reads the same fields; Compose ignores them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

from ci_deploy.errors import Problem

MONITOR = 5.0  # seconds, as in Swarm
DURATION = re.compile(r"([\d.]+)(ns|us|µs|ms|h|m|s)")  # as Compose prints it: 1m30s
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
READY = {"service_healthy", "service_completed_successfully"}


class Update(NamedTuple):
    """`update_config` of a service with start-first, with Swarm's defaults; made by `update`."""

    parallelism: int = 1  # containers per batch; 0: all
    delay: float = 0.0  # seconds between two batches
    monitor: float = MONITOR  # seconds that new containers run before old ones are stopped
    ready: tuple[str, ...] = ()  # services that it waits for
    otherwise: tuple[str, ...] = ()  # options that have no effect here


def update(entry: Mapping[str, Any]) -> Update | None:
    """The `update_config` of a service; None when it does not ask for start-first."""
    config = (entry.get("deploy") or {}).get("update_config") or {}
    if config.get("order") != "start-first":
        return None
    depends = entry.get("depends_on") or {}
    action = config.get("failure_action", "rollback")
    otherwise = [f"failure_action: {action}"] if action != "rollback" else []
    if config.get("max_failure_ratio"):
        otherwise.append(f"max_failure_ratio: {config['max_failure_ratio']}")
    return Update(
        int(config.get("parallelism", 1)),
        _seconds(config.get("delay", "0s")),
        _seconds(config.get("monitor", f"{MONITOR}s")),
        tuple(each for each, how in depends.items() if (how or {}).get("condition") in READY),
        tuple(otherwise),
    )


def _seconds(text: object) -> float:
    return sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(str(text)))


def clashes(entries: Mapping[str, Mapping[str, Any]], tasks: Set[str]) -> Iterator[Problem]:
    """Problems of services with start-first whose old and new containers cannot run at the same
    time. `entries`: the services in Compose's description; `tasks`: names of those that end."""
    for name, entry in entries.items():
        if (wanted := update(entry)) is None:
            continue
        for reason, remedy in (
            *_own(entry, task=name in tasks),
            *_ports(entry, wanted),
            *_volumes(entry),
            *_sharers(name, entries),
        ):
            yield _problem(name, reason, remedy)


def _problem(name: str, reason: str, remedy: str) -> Problem:
    stop_first = "or remove `order: start-first`: then the old container is stopped first."
    reason = f"{name} has `order: start-first`, but {reason}."
    return Problem("COMPOSE_FILE", reason, "", f"{remedy}, {stop_first}")


Clash = tuple[str, str]  # reason and remedy


def _own(entry: Mapping[str, Any], *, task: bool) -> Iterator[Clash]:
    if task:
        ends = "it is a task that ends (`restart: no`, or another service waits for its end)"
        yield ends, "Set `restart: always`, and let no `depends_on` wait for its end"
    if entry.get("container_name"):
        only = f"only one container can be called {entry['container_name']}"
        yield f"`container_name` is set: {only}", "Remove `container_name`"
    mode = str(entry.get("network_mode") or "")
    if mode == "host" or mode.startswith(("service:", "container:")):
        reason = f"`network_mode: {mode}` makes old and new containers listen on the same ports"
        yield reason, "Give the service a network of its own, with a proxy in front"
    networks = (entry.get("networks") or {}).values()
    addresses = ("ipv4_address", "ipv6_address", "mac_address")
    found = [key for each in networks for key in addresses if (each or {}).get(key)]
    found += ["mac_address"] if entry.get("mac_address") and not found else []
    if found:
        reason = f"`{found[0]}` is set: only one container can have it"
        yield reason, "Let Docker choose the address, and use the service's name"
    for hook in ("pre_stop", "post_start"):
        if entry.get(hook):
            yield f"its `{hook}` hooks would not be run", f"Remove `{hook}`"


def _ports(entry: Mapping[str, Any], wanted: Update) -> Iterator[Clash]:
    """Published ports; a range is fine if it has enough for old and new containers."""
    replicas = int(entry.get("scale") or (entry.get("deploy") or {}).get("replicas") or 1)
    both = replicas + (min(wanted.parallelism, replicas) or replicas)
    for port in entry.get("ports") or ():
        first, _, last = str(port.get("published") or "").partition("-")
        if first and first != "0" and int(last or first) - int(first) + 1 < both:
            published = port["published"]
            if last:
                reason = f"the ports {published} are too few: it needs {both} while it is replaced"
            else:
                reason = f"it publishes the port {published}, which only one container can have"
            yield reason, "Publish the port of a proxy in front of it instead"


def _volumes(entry: Mapping[str, Any]) -> Iterator[Clash]:
    for volume in entry.get("volumes") or ():
        if volume.get("type") == "volume" and not volume.get("source"):
            yield _lost(str(volume.get("target")))


def _lost(path: str) -> Clash:
    reason = f"{path} is a volume without a name: new containers start with an empty one"
    return reason, f"Name it (`volumes: [data:{path}]`), or make it a `tmpfs`"


def _sharers(name: str, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Clash]:
    """Other services that share the namespaces or volumes of this one's containers."""
    for other, entry in entries.items():
        inside = [k for k in ("network_mode", "ipc", "pid") if entry.get(k) == f"service:{name}"]
        of = [str(each).split(":")[0] for each in entry.get("volumes_from") or ()]
        inside += ["volumes_from"] if name in of else []
        if inside:
            yield f"{other} shares its container (`{inside[0]}`)", f"Remove that from {other}"


def unnamed_volume(name: str, path: str) -> Problem:
    """The problem of a service `name` whose image has a volume at `path` that the compose file does
    not name."""
    return _problem(name, *_lost(path))
