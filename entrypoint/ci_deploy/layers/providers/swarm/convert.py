"""Converts the compose files, as Compose reads them, to a file for `docker stack deploy`.

The formats have diverged: Docker rejects some of what Compose prints. What Swarm does not support
is reported, never dropped silently.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ci_deploy.errors import Problem
from ci_deploy.layers.providers.swarm.state import OURS

SERVICE = {
    "cap_add", "cap_drop", "command", "configs", "credential_spec", "deploy", "dns", "dns_search",
    "entrypoint", "environment", "extra_hosts", "healthcheck", "hostname", "image", "init",
    "isolation", "labels", "logging", "networks", "ports", "read_only", "secrets", "stdin_open",
    "stop_grace_period", "stop_signal", "sysctls", "tmpfs", "tty", "ulimits", "user", "volumes",
    "working_dir",
}  # fmt: skip
# Fields that have no meaning in a swarm, and whose loss changes nothing.
NOTHING_LOST = {"scale", "pull_policy", "expose", "profiles", "develop", "attach", "env_file"}
INSTEAD = {
    "build": "the image comes from a registry",
    "container_name": "Swarm names the containers itself",
    "depends_on": "all services start at the same time, so each must wait for what it needs",
    "restart": "Swarm restarts whatever ends, unless `deploy.restart_policy` says otherwise",
    "network_mode": "use `networks`, with the external network `host` for the host's own",
    "links": "services find each other by name in their networks",
}
DEPLOY = {
    "endpoint_mode", "labels", "mode", "placement", "replicas", "resources", "restart_policy",
    "rollback_config", "update_config",
}  # fmt: skip
NETWORK = {"attachable", "driver", "driver_opts", "external", "internal", "ipam", "labels", "name"}
VOLUME = {"driver", "driver_opts", "external", "labels", "name"}


class Converted(NamedTuple):
    """A converted stack file and its problems; `ignored`: field → the services that have it."""

    data: dict[str, Any]
    ignored: Mapping[str, list[str]]
    problems: list[Problem]
    binds: Mapping[str, list[str]]  # path on the nodes → services that mount it


def convert(model: Mapping[str, Any], stack: str, tree: str, path: str, *, new: bool) -> Converted:
    """Convert Compose's model. `tree` is the directory in which the host has unpacked the files, in
    place of `path`, DEPLOY_PATH. `new`: the manager's docker CLI (25 or later) supports the newest
    version of the format."""
    return _Converting(model, stack, tree, path, new=new).converted()


class _Converting:
    def __init__(
        self, model: Mapping[str, Any], stack: str, tree: str, path: str, *, new: bool
    ) -> None:
        self.model, self.stack, self.tree, self.path = model, stack, tree, path
        self.new = new
        self.ignored: dict[str, list[str]] = {}
        self.binds: dict[str, list[str]] = {}
        self.problems: list[Problem] = []

    def converted(self) -> Converted:
        """The stack file, the ignored fields and the problems."""
        found = self.model.get("services") or {}
        data: dict[str, Any] = {"version": "3.12" if self.new else "3.8"}
        data["services"] = {name: self.service(name, entry or {}) for name, entry in found.items()}
        data["networks"] = self.top("networks", NETWORK)
        data["volumes"] = self.top("volumes", VOLUME)
        for kind in ("configs", "secrets"):
            data[kind] = {key: dict(e or {}) for key, e in (self.model.get(kind) or {}).items()}
        return Converted(data, self.ignored, self.problems, self.binds)

    def ignore(self, field: str, name: str) -> None:
        """Note a field of a service that has no effect."""
        self.ignored.setdefault(field, []).append(name)

    def refuse(self, reason: str, remedy: str = "") -> None:
        """Add a problem: something that Swarm would do differently, or not at all."""
        self.problems.append(Problem("COMPOSE_FILE", reason, "", remedy))

    # --- one service ---

    def service(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Convert one service."""
        made: dict[str, Any] = {}
        for field, value in entry.items():
            if value is None or value in ({}, []) or field in NOTHING_LOST:
                continue
            if field not in SERVICE:
                self.ignore(field, name)
                continue
            special = getattr(self, f"_{field}", None)
            made[field] = special(name, value) if special else value
        deploy = made.setdefault("deploy", {})
        if "scale" in entry and "replicas" not in deploy:
            deploy["replicas"] = entry["scale"]
        return made

    @staticmethod
    def _environment(_name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """The variables, without those from the user's shell, which does not exist here."""
        return {key: str(each) for key, each in value.items() if each is not None}

    @staticmethod
    def _extra_hosts(_name: str, value: Any) -> list[str]:
        if isinstance(value, Mapping):
            return [f"{host}:{ip}" for host, ip in value.items()]
        return [each.replace("=", ":", 1) for each in value]

    def _healthcheck(self, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        if "start_interval" in value and not self.new:
            self.ignore("healthcheck.start_interval", name)
            return {key: each for key, each in value.items() if key != "start_interval"}
        return dict(value)

    def _ports(self, name: str, value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        made = []
        for port in value:
            published = str(port.get("published") or "")
            if ip := port.get("host_ip"):
                self.refuse(
                    f"{name} publishes port {published or port['target']} on {ip} only, "
                    "but Swarm would open it on all addresses.",
                    "Leave out the address, or the port: other services reach it without a "
                    "published port.",
                )
            if published and not published.isdecimal():
                self.refuse(
                    f"{name} publishes the range {published}: Swarm needs one entry for each port."
                )
                continue
            keys = ("target", "protocol", "mode")
            each = {key: port[key] for key in keys if port.get(key)}
            made.append({**each, **({"published": int(published)} if published else {})})
        return made

    def _volumes(self, name: str, value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        made = []
        for volume in value:
            kind = volume.get("type")
            each = {k: volume[k] for k in ("type", "source", "target", "read_only") if k in volume}
            if kind == "bind":
                each["source"] = self.place(str(volume.get("source")))
                self.binds.setdefault(each["source"], []).append(name)
                if propagation := (volume.get("bind") or {}).get("propagation"):
                    each["bind"] = {"propagation": propagation}
            elif kind == "volume":
                options = volume.get("volume") or {}
                if options.get("nocopy"):
                    each["volume"] = {"nocopy": True}
                if options.get("subpath"):
                    self.ignore("volumes.subpath", name)
            elif kind == "tmpfs" and (size := (volume.get("tmpfs") or {}).get("size")):
                each["tmpfs"] = {"size": int(size)}
            made.append(each)
        return made

    def place(self, source: str) -> str:
        """The path on the hosts for a path in the unpacked files."""
        above = posixpath.dirname(self.tree)  # `..` in the file
        if not self.tree or not source.startswith(f"{above}/"):
            return source
        name = posixpath.relpath(source, self.tree)
        return posixpath.normpath(posixpath.join(self.path, name))

    def _networks(self, name: str, value: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for network, options in value.items() if isinstance(value, Mapping) else ():
            given = options or {}
            for field in set(given) - {"aliases", "priority"}:
                self.ignore(f"networks.{field}", name)
            made[network] = {"aliases": given["aliases"]} if given.get("aliases") else None
        return made

    @staticmethod
    def _configs(_name: str, value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        made = []
        for each in value:
            entry = dict(each)
            if "mode" in entry:
                entry["mode"] = _mode(entry["mode"])
            made.append(entry)
        return made

    _secrets = _configs

    def _deploy(self, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        made = {}
        for field, each in value.items():
            if field not in DEPLOY:
                self.ignore(f"deploy.{field}", name)
            elif each is not None and each != {}:
                made[field] = each
        for kind, limits in (made.get("resources") or {}).items():
            limits = dict(limits or {})
            if "cpus" in limits:
                limits["cpus"] = str(limits["cpus"])
            if limits.pop("devices", None):
                self.ignore("deploy.resources.reservations.devices", name)
            made["resources"] = {**made["resources"], kind: limits}
        return made

    # --- what services share ---

    def top(self, kind: str, known: set[str]) -> dict[str, Any]:
        """Convert the top-level networks or volumes."""
        made = {}
        for key, entry in (self.model.get(kind) or {}).items():
            given = {k: v for k, v in (entry or {}).items() if v not in (None, {}, [], False)}
            for field in set(given) - known:
                self.ignore(f"{kind}.{field}", key)
            each = {field: value for field, value in given.items() if field in known}
            if each.get("name") == f"{self.stack}_{key}" and not each.get("external"):
                del each["name"]
            if kind == "networks" and each.get("driver") in {"bridge", "host", "none"}:
                self.refuse(
                    f"the network {key} has the driver `{each['driver']}`, which works on "
                    "a single host only.",
                    "Leave the driver out, or use `overlay`.",
                )
            made[key] = each
        return made


def _mode(value: Any) -> int:
    return int(value, 8) if isinstance(value, str) else int(value)


def warnings(converted: Converted) -> Iterator[str]:
    """Warnings for fields that have no effect in a swarm, and for paths that nodes must have."""
    for field, names in sorted(converted.ignored.items()):
        instead = INSTEAD.get(field, "")
        yield f"Swarm ignores `{field}` ({', '.join(names)})" + (
            f": {instead}." if instead else "."
        )
    for path, names in converted.binds.items():
        yield f"{', '.join(names)} mounts {path}, which must exist on every node that may run it."


def marked(
    data: Mapping[str, Any], release: str, revision: str, images: Mapping[str, str]
) -> dict[str, Any]:
    """The stack file of a release, with the release in a label of each service (which restarts no
    container). `images`: service → the image, with its digest, to use instead of the file's."""
    services = {}
    for name, entry in data["services"].items():
        deploy = dict(entry.get("deploy") or {})
        deploy["labels"] = {
            **(deploy.get("labels") or {}),
            f"{OURS}release": release,
            f"{OURS}revision": revision,
        }
        image = images.get(name) or entry.get("image")
        services[name] = {**entry, "image": image, "deploy": deploy}
    return {**data, "services": services}


def one_off(
    data: Mapping[str, Any], service: str, name: str, command: list[str], env: Mapping[str, str]
) -> dict[str, Any]:
    """A stack file with a service that runs a command once in the environment of another one: same
    image, networks, volumes, configs and secrets, but no ports or names that would attract
    requests."""
    entry = data["services"][service]
    kept = {
        key: value
        for key, value in entry.items()
        if key not in {"ports", "labels", "healthcheck", "hostname", "deploy"}
    }
    networks = dict.fromkeys(entry.get("networks") or {})
    deploy = entry.get("deploy") or {}
    own = {
        **kept,
        **({"networks": networks} if networks else {}),
        "command": [literal(word) for word in command],
        "environment": {
            **(entry.get("environment") or {}),
            **{key: literal(value) for key, value in env.items()},
        },
        "healthcheck": {"disable": True},
        "deploy": {
            **{key: deploy[key] for key in ("placement", "resources") if key in deploy},
            "mode": "replicated-job",
            "replicas": 1,
            "endpoint_mode": "dnsrr",
            "restart_policy": {"condition": "none"},
            "labels": {f"{OURS}run": "1"},
        },
    }
    return {**data, "services": {name: own}}


def literal(text: str) -> str:
    """Escape `$`, so that `docker stack deploy` replaces nothing in the text."""
    return text.replace("$", "$$")
