"""What a restore in a swarm stops, what it refuses, and what is known of one that was killed."""

from __future__ import annotations

from typing import Any

import pytest

from ci_deploy.errors import Refused
from ci_deploy.layers.providers.swarm.backups import restores, to_stop
from ci_deploy.layers.providers.swarm.judge import State, judge, live
from ci_deploy.layers.providers.swarm.state import NOWHERE, Kept, Service, Stack, Task
from ci_deploy.run import tasks
from ci_deploy.run.tasks import Key, dumped

REPLICAS: Any = {"Replicated": {"Replicas": 2}}
EVERYWHERE: Any = {"Global": {}}
RELEASE: Any = {"com.ci-deploy.release": "r"}


def _service(
    name: str = "web", mode: Any = None, image: str = "acme/shop:1", **template: Any
) -> Service:
    made = {"ContainerSpec": {"Image": image}, **template}
    spec = {"TaskTemplate": made, "Mode": mode or REPLICAS, "Labels": RELEASE}
    return Service(name, name, spec)


def _task(service: Service, state: str = "running", desired: str = "", node: str = "n1") -> Task:
    wanted = desired or "running"
    return Task("t", service.name, "1", node, state, wanted, "", 0, service.template, "1")


def _stack(*services: Service, states: tuple[Task, ...] = (), **more: Any) -> Stack:
    nodes = {"n1": "host1", "n2": "host2"}
    found = {each.name: each for each in services}
    return Stack("shop", services=found, tasks=list(states), nodes=nodes, **more)


def _note(version: int, text: str, **labels: str) -> Kept:
    return Kept(f"n{version}", {"kind": "restore", "note": text, **labels}, version=version)


def test_what_runs_beside_the_databases_is_stopped_and_what_an_earlier_restore_has() -> None:
    """The counts that were are the ones that come back."""
    zero: Any = {"Replicated": {"Replicas": 0}}
    services = [
        _service(), _service("db", image="postgres:17"), _service("cache", image="redis:7"),
        _service("own", image="acme/db:1"), _service("cron", zero), _service("old", zero),
        _service("agent", EVERYWHERE),
    ]  # fmt: skip
    killed = tasks.Task(Key.RESTORE, dump="x-db", service="own", stopped=("old=3", "gone=1"))
    stack = _stack(*services, kept=[_note(1, dumped([killed]))])
    assert to_stop(stack, "own") == {"old": "3", "web": "2", "agent": "every"}


def test_note_of_an_earlier_version_is_the_same_task() -> None:
    """They kept what was stopped and the service in labels of their own."""
    old = _note(1, "x-db", action="db", uses="web=1 worker=2")
    stack = _stack(_service("worker"), kept=[old])
    expected = tasks.Task(Key.RESTORE, dump="x-db", service="db", stopped=("web=1", "worker=2"))
    assert restores(stack) == [expected]
    assert to_stop(stack, "db") == {"worker": "2"}
    newer = tasks.Task(Key.RESTORE, dump="y-db", service="db", stopped=("worker=5", "web=1"))
    stack.kept.append(_note(2, dumped([newer])))
    assert restores(stack)[0] == newer, "a run was killed before it removed the older note"
    stack.services["worker"] = _service("worker", {"Replicated": {"Replicas": 0}})
    assert to_stop(stack, "db") == {"worker": "5"}


def test_note_that_cannot_be_read_is_no_reason_to_forget_what_is_stopped() -> None:
    stack = _stack(_service(), kept=[_note(1, '{"version": 9}')])
    assert [each.key for each in restores(stack)] == [Key.NEWER]
    with pytest.raises(Refused, match="but the record of it cannot be read"):
        to_stop(stack, "db")


def test_what_has_done_its_task_is_not_started_again() -> None:
    """A job, or a service that runs once, would run again."""
    once = _service("once", RestartPolicy={"Condition": "none"})
    worker = _service("worker", RestartPolicy={"Condition": "on-failure"})
    job = _service("job", {"ReplicatedJob": {"TotalCompletions": 1}})
    each = _service("each", {"GlobalJob": {}})
    ended = [_task(service, "complete", "shutdown") for service in (once, job, each)]
    stack = _stack(once, worker, job, each, states=(*ended, _task(worker)))
    assert to_stop(stack, "db") == {"worker": "2"}
    for one in (job, each):
        going = _stack(one, states=(_task(one, "preparing", "complete"),))
        with pytest.raises(Refused, match=f"{one.name} is a job that has not ended"):
            to_stop(going, "db")


@pytest.mark.parametrize("desired", ["running", "shutdown"])
def test_what_nobody_can_stop_is_refused_before_anything_is_stopped(desired: str) -> None:
    """The engine says of a node that is down what it has heard last, for a day."""
    web = _service()
    stack = _stack(web, states=(_task(web, "running", desired, "n2"), _task(web)), down=["host2"])
    with pytest.raises(Refused, match="web may still run on host2, which does not answer"):
        to_stop(stack, "db")
    killed = tasks.Task(Key.RESTORE, dump="x-db", service="db", stopped=("web=2",))
    zero = _service(mode={"Replicated": {"Replicas": 0}})
    again = _stack(zero, states=tuple(stack.tasks), down=["host2"])
    again.kept.append(_note(1, dumped([killed])))
    with pytest.raises(Refused, match="host2"):
        to_stop(again, "db")
    stack.down.clear()
    assert to_stop(stack, "db") == {"web": "2"}


def test_service_that_a_restore_keeps_from_all_nodes_is_not_well() -> None:
    """Also for the moment in which the engine has not looked at it yet."""
    agent = _service("agent", EVERYWHERE, Placement={"Constraints": ["node.role==worker", NOWHERE]})
    for states in ((), (_task(agent),)):
        stack = _stack(agent, states=states)
        found = judge(stack, "agent", "r")
        assert found.state is State.WAITING
        assert "a restore has stopped it" in found.text
        assert not live(stack, []).up
        assert to_stop(stack, "db") == {"agent": "every"}
    assert (
        judge(_stack(_service("agent", EVERYWHERE), states=states), "agent", "r").state
        is State.GOOD
    )
