"""Connections that break, stall and lie, at each step of each protocol, in each command.

Judged are the exit code, the words about what is live, the time, and whether the next run heals.
A few cases of a fixed seed here; all of them by `make hostile`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.hostile.engines import Compose, Swarm
from tests.hostile.judge import READS
from tests.hostile.kills import HUP, KILL, Kill, strike
from tests.hostile.proxy import Effect
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import COMMANDS, Dokku, Heroku, Trial

EACH = 3  # effects at each step
STAGING = "hello-staging"
OF_READS = 2  # the same of commands that change nothing: all of them ask in the same way
PARTS = 2  # of them, which may run at the same time
REVIEWS = {"review", "destroy"}
WHOLE = {"deploy", "rollback"}  # of the others, half of the steps on a swarm
Disturbance = tuple[str, Effect, bool]

# In each run of the tests; those on Dokku are in test_few.py.
FEW_OF_HTTP = [("call 1, head", Effect.GARBAGE, False), ("call 1, body", Effect.STALL, False)]
FEW_ON_HOSTS = [("60% of its words", Effect.CUT, False)]
FEW_ON_SWARMS = [("50% of its words", Effect.CUT, False)]


def disturb(trial: Trial, record: Record, kind: Kind, disturbances: Sequence[Disturbance]) -> None:
    """One after the other; none may be lost."""
    lost = list[str]()
    for step, effect, lasting in disturbances:
        lost += trial.disturb(step, effect, lasting=lasting)
    record("hostile", [kind.name, len(disturbances), len(lost)])
    assert not lost, "\n\n".join(lost)


def each_of(command: str) -> int:
    """How many effects at each of its steps."""
    return OF_READS if command in READS else EACH


def _every(trial: Trial, each: int) -> list[Disturbance]:
    """So many effects at each step, chosen by a seed; over all steps all of them come."""
    choose, found = random.Random(f"20261129 {trial.command}"), list[Disturbance]()
    effects, bag = (
        [(effect, after) for effect in Effect for after in (False, True)],
        list[tuple[Effect, bool]](),
    )
    for step in trial.names():
        for _ in range(each):
            bag = bag or choose.sample(effects, len(effects))
            found.append((step, *bag.pop()))
    return found


def test_few_faults_of_http(heroku_world: Heroku, record_property: Record) -> None:
    """(faults J2)"""
    disturb(Trial(heroku_world, "deploy"), record_property, Kind.HTTP, FEW_OF_HTTP)


def test_few_faults_and_kills_on_a_docker_host(
    compose_world: Compose, record_property: Record
) -> None:
    """(faults J2, J9)"""
    trial = Trial(compose_world, "deploy")
    disturb(trial, record_property, Kind.HOST, FEW_ON_HOSTS)
    assert strike(trial, Kill((KILL,), everyone=True), 0.7 * trial.took) == []


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in REVIEWS])
def test_faults_of_ssh_to_a_docker_host(
    compose_world: Compose, record_property: Record, command: str
) -> None:
    trial = Trial(compose_world, command)
    every = _every(trial, each=1)[:: 2 if command in READS else 1]
    disturb(trial, record_property, Kind.HOST, every)


def test_few_faults_and_kills_on_a_swarm(swarm_world: Swarm, record_property: Record) -> None:
    """(faults J2, J9)"""
    trial = Trial(swarm_world, "deploy")
    disturb(trial, record_property, Kind.SWARM, FEW_ON_SWARMS)
    assert strike(trial, Kill((HUP,)), 0.5 * trial.took) == []


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_faults_of_ssh_to_a_swarm(
    swarm_world: Swarm, record_property: Record, command: str
) -> None:
    trial = Trial(swarm_world, command)
    few = _every(trial, each=1)[:: 1 if command in WHOLE else 2]
    disturb(trial, record_property, Kind.SWARM, few)


@pytest.mark.long
@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("command", COMMANDS)
def test_faults_of_ssh(
    dokku_world: Dokku, record_property: Record, command: str, part: int
) -> None:
    """Takes minutes: after some faults only the clock can tell."""
    trial = Trial(dokku_world, command)
    disturb(trial, record_property, Kind.SSH, _every(trial, each_of(command))[part::PARTS])


@pytest.mark.long
@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("command", COMMANDS)
def test_faults_of_http(
    heroku_world: Heroku, record_property: Record, command: str, part: int
) -> None:
    """Takes minutes: after some faults only the clock can tell."""
    trial = Trial(heroku_world, command)
    disturb(trial, record_property, Kind.HTTP, _every(trial, each_of(command))[part::PARTS])


class Promotion(Trial):
    """What staging runs goes to production; before each time staging gets something new."""

    def ready(self, *, again: bool = True) -> None:  # noqa: ARG002 - the same each time
        self.commit()
        done = self.run("deploy", APP_NAME=STAGING)
        assert done.code == 0, done.output + done.errors


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_faults_of_http_during_a_promotion(
    heroku_world: Heroku, record_property: Record, part: int
) -> None:
    """At each call."""
    server = heroku_world.server
    [pipeline] = server.platform.pipelines.values()
    pipeline.stages[server.create(STAGING).id] = "staging"
    trial = Promotion(heroku_world, "promote")
    disturb(trial, record_property, Kind.PROMOTIONS, _every(trial, each=1)[part::PARTS])
