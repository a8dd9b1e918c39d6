"""The state of a stack as a manager reports it: services, tasks, and what we keep in the swarm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ci_deploy.layers.providers.docker.review import Known
from ci_deploy.settings.lines import from_json
from ci_deploy.settings.parsers import NOTHING

OURS = "com.ci-deploy."  # prefix of our labels
RELEASE, REVISION, RUN = f"{OURS}release", f"{OURS}revision", f"{OURS}run"
REVIEW = f"{OURS}review"  # a review app's base app
# The fields of a container's specification that are compared. (The engine fills in more in a
# service than in its tasks, so the whole cannot be compared.)
COMPARED = (
    "Image", "Env", "Command", "Args", "Labels", "Mounts", "Secrets", "Configs", "Healthcheck",
    "User", "Dir", "Hostname", "Hosts", "Groups", "TTY", "ReadOnly", "StopSignal", "Init",
    "CapabilityAdd", "CapabilityDrop", "Sysctls", "Ulimits",
)  # fmt: skip
LABELS = (
    "stack", "kind", "release", "revision", "tag", "at", "run", "action", "outcome", "pipeline",
    "actor", "uses", "images", "note", "client", "review", "branch", "app",
)  # fmt: skip
"""The names of our labels on configs and secrets, in the order in which look.sh prints them."""
MARK = "review"  # the kind of config that marks a review app
RESTORE = "restore"  # the kind of config that records a restore and what it has stopped
GOING = {"updating", "rollback_started"}
NOWHERE = "node.id==stopped-by-ci-deploy"  # a constraint that no node meets
OVER = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}  # states of tasks


class Task(NamedTuple):
    """A task of a service: a container on a node, running, ended or to be started. `state` and
    `desired` are the engine's words."""

    id: str
    service: str  # its id
    slot: str  # number of the replica, or the node of a global service
    node: str  # its id; empty when it has none yet
    state: str
    desired: str
    error: str
    exit_code: int
    spec: Mapping[str, Any]
    created: str

    @property
    def image(self) -> str:
        """Its image, with the digest if it is pinned; empty when unknown."""
        return str((self.spec.get("ContainerSpec") or {}).get("Image", ""))


class Service(NamedTuple):
    """A service of the stack, as the engine has it; `name` as in the compose file, `spec` its
    specification in the API of the engine."""

    id: str
    name: str
    spec: Mapping[str, Any]
    previous: Mapping[str, Any] = NOTHING  # its specification before the last update
    update: str = ""  # state of the last update, if the engine still has it
    message: str = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the service, not of its containers."""
        return self.spec.get("Labels") or {}

    @property
    def release(self) -> str:
        """The release in its labels; empty when we did not deploy it."""
        return self.labels.get(RELEASE, "")

    @property
    def image(self) -> str:
        """The image of its tasks, with the digest if it is pinned; empty when unknown."""
        return str(self.template.get("ContainerSpec", {}).get("Image", ""))

    @property
    def template(self) -> Mapping[str, Any]:
        """The specification of its tasks."""
        found: Mapping[str, Any] = self.spec.get("TaskTemplate") or {}
        return found

    @property
    def replicas(self) -> int | None:
        """The number of tasks that are wanted; None: one on each node that it may use."""
        mode = self.spec.get("Mode") or {}
        if "Replicated" in mode:
            return int(mode["Replicated"].get("Replicas") or 0)
        if "ReplicatedJob" in mode:
            return int(mode["ReplicatedJob"].get("TotalCompletions") or 1)
        return None

    @property
    def job(self) -> bool:
        """Whether its mode is `replicated-job` or `global-job`: its tasks are meant to end."""
        return any("Job" in each for each in self.spec.get("Mode") or {})

    @property
    def ends(self) -> bool:
        """Whether its containers may end without being replaced: it is a job, or its restart policy
        is `none` or `on-failure`."""
        condition = (self.template.get("RestartPolicy") or {}).get("Condition", "any")
        return condition in {"none", "on-failure"} or self.job

    @property
    def stopped(self) -> bool:
        """Whether a restore has stopped it, by a constraint that no node meets."""
        placement = self.template.get("Placement") or {}
        return NOWHERE in (placement.get("Constraints") or ())

    @property
    def monitor(self) -> float:
        """Seconds that a new task must run to count as up: `update_config.monitor`, or 5."""
        return float((self.spec.get("UpdateConfig") or {}).get("Monitor") or 5e9) / 1e9

    def made(self, task: Task) -> bool:
        """Whether a task has the present specification of the service, by the fields of COMPARED,
        its resources and the count of forced updates."""
        mine, its = self.template, task.spec
        ours, theirs = mine.get("ContainerSpec") or {}, its.get("ContainerSpec") or {}
        same = all((ours.get(key) or None) == (theirs.get(key) or None) for key in COMPARED)
        forced = (mine.get("ForceUpdate") or 0) == (its.get("ForceUpdate") or 0)
        return same and forced and (mine.get("Resources") or {}) == (its.get("Resources") or {})


class Kept(NamedTuple):
    """A config or secret in the swarm that has our labels: content of a release, a record of a run,
    a pending task, the mark of a review app."""

    name: str
    labels: Mapping[str, str]  # ours, without their prefix
    kind: str = "config"
    version: int = 0  # index in the swarm's log: later ones are greater

    def label(self, key: str) -> str:
        """The value of our label `key`, a name of LABELS; empty when it is missing."""
        return self.labels.get(key, "")


@dataclass
class Stack:
    """The state of a stack, as `read_stack` parses a manager's answer."""

    name: str = ""
    docker: str = ""  # version of the engine
    client: str = ""  # version of the docker CLI
    complaint: str = ""  # the error of a Docker that does not answer
    swarm: str = ""  # `active`: the host is part of a swarm
    manager: bool = False
    nodes: dict[str, str] = field(default_factory=dict)  # id → name
    managers: int = 0
    now: int = 0  # Unix time, by the manager's clock
    down: list[str] = field(default_factory=list)  # nodes that are not ready
    missing: list[str] = field(default_factory=list)  # programs that are not installed
    folder: bool = True  # whether DEPLOY_PATH exists
    holder: str | None = None  # who holds the lock; None: nobody
    services: dict[str, Service] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)  # one-off commands: id → name
    kept: list[Kept] = field(default_factory=list)
    there: dict[str, set[str]] = field(default_factory=dict)  # kind → names
    indices: dict[str, int] = field(default_factory=dict)  # name of a config of ours → its index
    created: dict[str, int] = field(default_factory=dict)  # and its time, by the swarm's clock
    networks: list[str] = field(default_factory=list)  # the stack's own
    marks: list[Kept] = field(default_factory=list)  # the marks of all review apps in the swarm
    latest: dict[str, int] = field(default_factory=dict)  # stack → time of its last deploy

    def of(self, service: Service) -> list[Task]:
        """The tasks of a service, newest first."""
        mine = (task for task in self.tasks if task.service == service.id)
        return sorted(mine, key=lambda task: task.created, reverse=True)

    def busy(self, service: Service) -> list[Task]:
        """The tasks of a service that run or will run."""
        return [t for t in self.of(service) if t.state not in OVER and t.desired != "shutdown"]

    @property
    def ended_jobs(self) -> list[str]:
        """The service names of one-off commands that have ended but were not removed, since their
        CI job was killed."""
        going = {t.service for t in self.tasks if t.desired != "shutdown" and t.state != "complete"}
        known = {task.service for task in self.tasks}
        return [name for job, name in self.jobs.items() if job in known and job not in going]

    @property
    def reviews(self) -> list[Known]:
        """All review apps in the swarm, of all base apps, with the seconds since their last deploy:
        0 when that is unknown."""
        return [
            Known(
                e.label("app"),
                self.now - (self.latest[e.label("stack")] or self.now),
                e.label("review"),
                e.label("branch"),
            )
            for e in self.marks
        ]

    @property
    def ours(self) -> list[Service]:
        """The services that ci-deploy has deployed: those with a release in their labels."""
        return [each for each in self.services.values() if each.release]

    def node(self, task: Task) -> str:
        """The name of a task's node; its id when the name is unknown."""
        return self.nodes.get(task.node, task.node)


def read_stack(name: str, lines: Iterable[str]) -> Stack:
    """Parse the output of look.sh about the stack `name`. Unknown lines are ignored; before the
    engine's version, the last one becomes `complaint`."""
    stack = Stack(name)
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            _line(stack, line)
    return stack


def _line(stack: Stack, line: str) -> None:
    kind, separator, rest = line.partition("\t")
    if separator and kind in {"config", "secret"}:
        return _keep(stack, kind, *rest.split("\t"))
    kind, _, rest = line.partition(" ")
    if kind in {"service", "task"}:
        _take(stack, kind, from_json(rest))
    elif kind == "swarm":
        state, control, managers = [*rest.split(), "", "", "0"][:3]
        stack.swarm, stack.manager = state, control == "true"
        stack.managers = int(managers)
    elif kind == "node":
        number, host, status = rest.split()[:3]
        stack.nodes[number] = host
        stack.down += [host] if status != "Ready" else []
    elif kind == "index":
        number, created, config = rest.split(" ", 2)
        stack.indices[config], stack.created[config] = int(number), int(created)
    elif kind == "network":
        network, _, owner = rest.partition(" ")
        stack.there.setdefault(kind, set()).add(network)
        stack.networks += [network] if owner == stack.name else []
    elif kind in {"version", "client"}:
        setattr(stack, "docker" if kind == "version" else kind, rest)
    elif kind == "now":
        stack.now = int(rest)
    elif kind == "missing":
        stack.missing.append(rest)
    elif kind == "holder":
        stack.holder = rest or "another job"
    elif kind == "nofolder":
        stack.folder = False
    elif not stack.docker:
        stack.complaint = line
    return None


def _keep(stack: Stack, kind: str, name: str, *labels: str) -> None:
    """Add a config or secret; those of ours that belong to this stack also go into `kept`."""
    stack.there.setdefault(kind, set()).add(name)
    if not labels or not labels[0]:
        return
    found = Kept(name, dict(zip(LABELS, labels, strict=False)), kind, stack.indices.get(name, 0))
    owner = found.label("stack")
    stack.latest[owner] = max(stack.created.get(name, 0), stack.latest.get(owner, 0))
    stack.marks += [found] if found.label("kind") == MARK else []
    stack.kept += [found] if owner == stack.name else []


def _take(stack: Stack, kind: str, data: dict[str, Any]) -> None:
    if kind == "service":
        if (data["Spec"].get("Labels") or {}).get(RUN):
            stack.jobs[data["ID"]] = data["Spec"]["Name"]
            return
        update = data.get("UpdateStatus") or {}
        name = data["Spec"]["Name"].removeprefix(f"{stack.name}_")
        stack.services[name] = Service(
            data["ID"], name, data["Spec"], data.get("PreviousSpec") or {},
            update.get("State") or "", update.get("Message") or "",
        )  # fmt: skip
    elif kind == "task":
        status = data["Status"]
        stack.tasks.append(
            Task(
                data["ID"], data["ServiceID"], str(data["Slot"] or data["NodeID"] or ""),
                data["NodeID"] or "", status["State"], data["DesiredState"],
                status.get("Err") or "",
                int((status.get("ContainerStatus") or {}).get("ExitCode") or 0),
                data["Spec"], data["CreatedAt"],
            )
        )  # fmt: skip
