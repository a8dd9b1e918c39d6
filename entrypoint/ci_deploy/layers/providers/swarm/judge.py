"""Judges for each service whether it runs a release, by the state that a manager reports.

Docker itself counts a rollback as a success. Here a service runs a release when it has that
release's specification, no update of it is in progress, and all of its tasks have that
specification and run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from ci_deploy.layers.providers.swarm.state import (
    GOING,
    RELEASE,
    REVISION,
    Kept,
    Service,
    Stack,
    Task,
)
from ci_deploy.state import Live

TROUBLE = {"failed", "rejected", "orphaned"}


class State(Enum):
    """The state of one service, compared with a release: whether its tasks run it, and what the
    engine does about that."""

    GOOD = "runs it"
    WAITING = "not yet"
    PAUSED = "paused"  # the engine has stopped the update, and waits for a person
    ROLLING_BACK = "is being rolled back"
    ROLLED_BACK = "was rolled back"
    BROKEN = "neither"  # the rollback is paused too
    OVERTAKEN = "was given another release"
    GONE = "was removed"


DONE = {State.GOOD, State.PAUSED, State.ROLLED_BACK, State.BROKEN, State.OVERTAKEN, State.GONE}


class Judged(NamedTuple):
    """The judgement of one service, by `judge`. As text: `web: 1 of 2 tasks run 74_0b1c2d3`."""

    name: str
    state: State
    text: str  # its progress, in words
    new: int = 0  # tasks of the release that run, or have succeeded
    wanted: int = 0
    old: int = 0  # tasks that run something else
    ids: frozenset[str] = frozenset()  # ids of the `new` tasks
    trouble: tuple[str, ...] = ()  # the engine's errors about tasks
    why: str = ""  # the engine's reason for what it did
    going: bool = False  # whether an update or a rollback is in progress

    def __str__(self) -> str:
        return f"{self.name}: {self.text}{f': {self.why}' if self.why else ''}"


def judge(stack: Stack, name: str, release: str) -> Judged:
    """Compare a service, by its name in the compose file, with the release `release` (an id)."""
    service = stack.services.get(name)
    if service is None:
        return Judged(name, State.GONE, "the service does not exist")
    tasks = stack.of(service)
    if service.release != release:
        return _another(stack, service, tasks)
    mine = [task for task in tasks if service.made(task)]
    old = [t for t in tasks if not service.made(t) and t.state == "running" and _kept(t)]
    good = [task for task in mine if _good(service, task)]
    slots = {task.slot for task in good}
    wanted = service.replicas
    if wanted is None:  # one on each eligible node
        wanted = len({task.slot for task in tasks if _kept(task)})
    trouble = _trouble(stack, mine)
    state = State.WAITING
    reached = len(slots) >= wanted and (wanted or service.replicas == 0) and not service.stopped
    if service.update == "paused":
        state = State.PAUSED
    elif service.update == "rollback_paused":
        state = State.BROKEN
    elif service.update not in GOING and not old and reached:
        state = State.GOOD
    text = f"{len(slots)} of {wanted} tasks run {release}"
    if old:
        text += f", {len(old)} not replaced yet"
    if state is State.PAUSED:
        text += "; the engine has paused the update"
    elif state is State.BROKEN:
        text += "; the engine has paused the rollback"
    elif service.stopped:
        text += "; a restore has stopped it"
    elif state is State.WAITING and trouble:
        text += f" ({trouble[0]})"
    why = service.message if state in {State.PAUSED, State.BROKEN} else ""
    going = service.update in GOING
    ids = frozenset(task.id for task in good)
    return Judged(name, state, text, len(slots), wanted, len(old), ids, trouble, why, going)


def _another(stack: Stack, service: Service, tasks: Sequence[Task]) -> Judged:
    """Judge a service that has another release's specification: by a rollback, or by another
    deploy."""
    had = [task for task in tasks if not service.made(task)]
    runs = f"it runs {service.release} now" if service.release else "not deployed by ci-deploy"
    state, text = {
        "rollback_started": (State.ROLLING_BACK, "is being rolled back"),
        "rollback_completed": (State.ROLLED_BACK, "was rolled back"),
        "rollback_paused": (State.BROKEN, "the engine has paused the rollback"),
    }.get(service.update, (State.OVERTAKEN, runs))
    why = "" if state is State.ROLLED_BACK else service.message
    return Judged(
        service.name,
        state,
        text,
        trouble=_trouble(stack, had),
        why=why,
        going=service.update in GOING,
    )


def _kept(task: Task) -> bool:
    return task.desired in {"running", "ready", "accepted", "complete"}


def _good(service: Service, task: Task) -> bool:
    """Whether a task runs (the engine says so only when it is healthy), or has succeeded if it is
    meant to end."""
    running = task.state == "running" and task.desired == "running"
    return running or (service.ends and task.state == "complete")


def _trouble(stack: Stack, tasks: Iterable[Task]) -> tuple[str, ...]:
    """The engine's errors about these tasks, each once, the newest first."""
    return tuple(dict.fromkeys(filter(None, (complaint(stack, task) for task in tasks))))


def complaint(stack: Stack, task: Task) -> str:
    """The engine's error about a task, and on which node; for a task that ended by itself its exit
    code. Empty for none."""
    if task.state == "complete" and task.desired == "shutdown" and not task.error:
        return f"a task ended with exit code {task.exit_code} on {stack.node(task)}"
    if not task.error or (task.state not in TROUBLE and task.state != "pending"):
        return ""
    return f"{task.error} on {stack.node(task)}" if task.node else task.error


# --- what is live ---


def live(stack: Stack, verified: Sequence[Kept]) -> Live:
    """What our services run: the release that all of their tasks have, and whether all are up. If
    they run different ones, the one that was verified last, and not up. `Live()` if the stack has
    no service of ours. `verified`: records of releases that were live, newest first."""
    if not stack.ours:
        return Live()
    runs: dict[str, tuple[str, str]] = {}  # service → release and revision that its tasks have
    down: list[str] = []
    wanted = good = 0
    busy = stack.holder is not None
    for service in stack.ours:
        judged = judge(stack, service.name, service.release)._replace(why="")
        runs[service.name] = _running(stack, service, judged, verified)
        wanted, good = wanted + judged.wanted, good + min(judged.new, judged.wanted)
        busy = busy or judged.going
        if judged.state is not State.GOOD:
            down.append(str(judged))
    found = dict(runs.values())
    detail = "; ".join(down) or f"{good} of {wanted} tasks run"
    if len(found) > 1:
        which = ", ".join(
            f"{name} {rel or 'no release of ci-deploy'}" for name, (rel, _) in runs.items()
        )
        detail = f"services run different releases ({which}); {detail}"
    names = [each.label("release") for each in verified]
    release = next((each for each in names if each in found), next(iter(found)))
    up = len(found) == 1 and not down and bool(release)
    return Live(found[release], up, release, detail=detail, busy=busy)


def _running(
    stack: Stack, service: Service, judged: Judged, verified: Sequence[Kept]
) -> tuple[str, str]:
    """The release and its revision that all tasks of a service have. If it is only partly new and
    was never verified: the previous one, by the digest of what still runs."""
    known = {each.label("release") for each in verified}
    settled = service.release in known and not judged.going and judged.state is not State.PAUSED
    if judged.state is State.GOOD or (settled and not judged.old):
        return service.release, service.labels.get(REVISION, "")
    old = [t for t in stack.of(service) if not service.made(t) and t.state == "running"]
    images = {f"{service.name}={digest(task.image)}" for task in old}
    for each in verified:
        if images & set(each.label("images").split()) and each.label("release") != service.release:
            return each.label("release"), each.label("revision")
    before = service.previous.get("Labels") or {}
    if not old or before.get(RELEASE) == service.release:
        return "", ""
    return before.get(RELEASE, ""), before.get(REVISION, "")


def digest(image: str) -> str:
    """The digest in a pinned image name (`sha256:…`), else the name itself."""
    return image.rpartition("@")[2]
