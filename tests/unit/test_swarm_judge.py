"""What is made of a manager's answers, as a real engine (Docker 26.1) has given them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci_deploy.errors import DeployFailed, OutcomeUnknown, RolledBack
from ci_deploy.layers.providers.swarm.judge import Judged, State, digest, judge, live
from ci_deploy.layers.providers.swarm.rollout import failure, patience
from ci_deploy.layers.providers.swarm.state import Kept, Service, Stack, Task, read_stack
from standins.support import ROOT

RECORDED = ROOT / "standins/recorded/swarm"


def recorded(name: str) -> Stack:
    """A stack with a service `app`, as it was at one moment."""
    lines = (RECORDED / f"{name}.txt").read_text().splitlines()
    stack = json.loads(lines[0].partition(" ")[2])["Spec"]["Name"].removesuffix("_app")
    return read_stack(stack, lines)


def verified(stack: Stack, release: str, revision: str = "f00") -> list[Kept]:
    """The record of a release whose image is what runs, but for the newest."""
    [old] = [t for t in stack.tasks if t.state == "running"][-1:]
    images = f"app={digest(old.image)}"
    return [Kept("r", {"release": release, "revision": revision, "images": images})]


@pytest.mark.parametrize(
    ("name", "release", "state", "words"),
    [
        ("first", "good1-aef333", State.GOOD, "1 of 1 tasks run good1-aef333"),
        ("completed", "good1-69f0f1", State.GOOD, "1 of 1 tasks run good1-69f0f1"),
        # the old one is told to stop, and does not count any more
        ("stopping", "good1-d2c943", State.GOOD, "1 of 1 tasks run"),
        (
            "updating",
            "good1-d2c943",
            State.WAITING,
            "0 of 1 tasks run good1-d2c943, 1 not replaced yet",
        ),
        ("no-node", "good2-3cbbd7", State.WAITING, "no suitable node"),
        ("paused", "bad1-e748bb", State.PAUSED, "the engine has paused the update"),
        ("rolled-back", "crash1-000000", State.ROLLED_BACK, "was rolled back"),
        ("first", "good9-000000", State.OVERTAKEN, "it runs good1-aef333"),
        ("job-failed", "good1-6f732f", State.GOOD, "1 of 1 tasks run"),
    ],
)
def test_a_service_is_judged_by_its_tasks(
    name: str, release: str, state: State, words: str
) -> None:
    """`rollback_completed` is what Docker ends with 0 for (docker/cli#6752)."""
    found = judge(recorded(name), "app", release)
    assert found.state is state, found
    assert words in found.text


def test_service_without_our_labels_is_said_to_be_none_of_ours() -> None:
    stack = Stack(services={"db": Service("s", "db", {})})
    assert str(judge(stack, "db", "good1-aef333")) == "db: not deployed by ci-deploy"


def test_an_earlier_rollback_says_nothing_of_this_release() -> None:
    """docker-stack-wait#1: one service was rolled back once, and every later deploy failed."""
    stack = recorded("rolled-back")
    assert stack.services["app"].update == "rollback_completed"
    assert judge(stack, "app", "good1-69f0f1").state is State.GOOD


def test_a_service_that_is_not_there_is_not_well() -> None:
    assert judge(Stack("st"), "app", "r").state is State.GONE


@pytest.mark.parametrize(
    ("name", "release", "up", "busy"),
    [
        ("first", "good1-aef333", True, False),
        ("completed", "good1-69f0f1", True, False),
        ("rolled-back", "good1-69f0f1", True, False),
        ("no-node", "good1-c7e4bf", False, True),
        ("paused", "good1-69f0f1", False, False),
        ("updating", "good1-aef333", False, True),
    ],
)
def test_what_is_live_is_what_the_tasks_run(name: str, release: str, up: bool, busy: bool) -> None:
    """Not what the service was told last."""
    stack = recorded(name)
    found = live(stack, verified(stack, release))
    assert (found.release, found.up, found.busy) == (release, up, busy), found


def test_a_second_try_of_a_stuck_release_does_not_hide_what_runs() -> None:
    """The engine keeps one specification before the last only, and that is the stuck one then: the
    digest of what runs tells the release."""
    stack = recorded("no-node")
    service = stack.services["app"]
    stack.services["app"] = service._replace(previous=service.spec)
    assert live(stack, verified(stack, "good1-c7e4bf", "old")).revision == "old"
    assert live(stack, []).revision == "", "nobody knows what that is"


def test_nothing_of_ours_is_nothing_live() -> None:
    assert live(Stack("st"), []).release == ""


# --- shapes that were not recorded ---


def service(mode: dict[str, Any], condition: str = "any", update: str = "") -> Service:
    """A service of a release `r`."""
    template = {"ContainerSpec": {"Image": "i"}, "RestartPolicy": {"Condition": condition}}
    labels = {"com.ci-deploy.release": "r"}
    return Service(
        "s", "app", {"Labels": labels, "TaskTemplate": template, "Mode": mode}, {}, update
    )


def task(
    number: int, state: str, desired: str = "running", error: str = "", image: str = "i"
) -> Task:
    """A task of it."""
    spec = {"ContainerSpec": {"Image": image}}
    return Task(str(number), "s", str(number), "", state, desired, error, 0, spec, str(number))


REPLICAS: dict[str, Any] = {"Replicated": {"Replicas": 2}}


@pytest.mark.parametrize(
    ("made", "tasks", "state"),
    [
        (service(REPLICAS), [task(1, "running"), task(2, "running")], State.GOOD),
        (service(REPLICAS), [task(1, "running"), task(2, "starting")], State.WAITING),
        (service(REPLICAS), [task(1, "running"), task(2, "running", "shutdown")], State.WAITING),
        (
            service(REPLICAS, update="updating"),
            [task(1, "running"), task(2, "running")],
            State.WAITING,
        ),
        (
            service(REPLICAS),
            [task(1, "running"), task(2, "running"), task(3, "running", image="old")],
            State.WAITING,
        ),
        (service({"Replicated": {"Replicas": 0}}), [task(1, "shutdown", "shutdown")], State.GOOD),
        (service({"Global": {}}), [], State.WAITING),
        (service({"Global": {}}), [task(1, "running"), task(2, "running")], State.GOOD),
        (service({"Global": {}}), [task(1, "running"), task(2, "preparing")], State.WAITING),
        # one that ends when it is done (docker/cli#5299, docker-stack-wait#19)
        (
            service({"Replicated": {"Replicas": 1}}, "on-failure"),
            [task(1, "complete", "shutdown")],
            State.GOOD,
        ),
        (
            service({"Replicated": {"Replicas": 1}}),
            [task(1, "complete", "shutdown")],
            State.WAITING,
        ),
        (
            service({"ReplicatedJob": {"TotalCompletions": 1}}, "none"),
            [task(1, "complete", "complete")],
            State.GOOD,
        ),
        (
            service({"ReplicatedJob": {"TotalCompletions": 1}}, "none"),
            [task(1, "failed", "shutdown", "task: non-zero exit (3)")],
            State.WAITING,
        ),
    ],
)
def test_every_wanted_task_counts_and_no_other(
    made: Service, tasks: list[Task], state: State
) -> None:
    stack = Stack("st", services={"app": made}, tasks=tasks)
    assert judge(stack, "app", "r").state is state


def test_services_of_two_releases_are_not_up() -> None:
    """Each runs what it was told, but that is not one release."""
    one = service({"Replicated": {"Replicas": 1}})
    spec = {**one.spec, "Labels": {"com.ci-deploy.release": "q"}}
    two = one._replace(id="t", name="web", spec=spec)
    tasks = [task(1, "running"), task(2, "running")._replace(service="t")]
    found = live(Stack("st", services={"app": one, "web": two}, tasks=tasks), [])
    assert (found.up, found.detail) == (
        False,
        "services run different releases (app r, web q); 2 of 2 tasks run",
    )
    both = Stack("st", services={"app": one, "web": one._replace(name="web")}, tasks=tasks[:1])
    assert live(both, []).up


def judged(state: State, *trouble: str, going: bool = False) -> Judged:
    """One service."""
    return Judged("app", state, "text", trouble=trouble, going=going)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ([judged(State.GOOD)], None),
        ([judged(State.GOOD), judged(State.ROLLED_BACK)], RolledBack),
        ([judged(State.ROLLED_BACK), judged(State.BROKEN)], DeployFailed),
        ([judged(State.PAUSED)], DeployFailed),
        ([judged(State.OVERTAKEN)], DeployFailed),
        ([judged(State.WAITING)], OutcomeUnknown),
        ([judged(State.WAITING, "non-zero exit (1)")], DeployFailed),
        ([judged(State.WAITING, "no suitable node", going=True)], OutcomeUnknown),
        ([judged(State.ROLLING_BACK, going=True)], OutcomeUnknown),
    ],
)
def test_what_all_services_add_up_to(found: list[Judged], kind: type[Exception] | None) -> None:
    error = failure(found, "r")
    assert type(error) is kind if kind else error is None


def test_patience_is_as_long_as_the_service_says() -> None:
    slow = recorded("first").services["app"]
    spec = json.loads(json.dumps(slow.spec))
    spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"]["StartPeriod"] = 300 * 10**9
    assert patience(slow._replace(spec=spec)) > 300 + patience(None)


def test_lines_that_are_not_understood_are_left_out() -> None:
    """A login shell may have something to say."""
    lines = ["Welcome!", "version 26.1.5", "client 26.1.5, build x", "swarm active true 1"]
    lines += ["node n1 host1 Ready", "node n2 host2 Down", "service {", 'task {"ID": 1}', "what"]
    lines += ["config\tc\tst\trecord\tr1", "config\ttheirs\tother", "secret\ts\t", "network n"]
    stack = read_stack("st", lines)
    assert (stack.docker, stack.client, stack.manager) == ("26.1.5", "26.1.5, build x", True)
    assert stack.down == ["host2"]
    assert stack.there == {"config": {"c", "theirs"}, "secret": {"s"}, "network": {"n"}}
    [kept] = stack.kept
    assert (kept.name, kept.label("kind"), kept.label("release")) == ("c", "record", "r1")


@pytest.mark.parametrize(
    "line",
    ["now", "now soon", "node", "node 1", "index", "index x y z", "swarm active true many",
     "config\t", "secret\t\t\t", "service []", "task {", "network", "holder"],
)  # fmt: skip
def test_a_line_that_no_manager_sends_hides_nothing_of_the_rest(line: str) -> None:
    known = read_stack("st", ["version 26.1", line, "nofolder", "now 1700000000"])
    assert (known.docker, known.folder, known.now) == ("26.1", False, 1_700_000_000)
