"""Connections that break, stall and lie, at each step of each protocol, in each command.

Judged are the exit code, the words about what is live, the time, and whether the next run heals.
A few cases of a fixed seed here; all of them by `make hostile`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.hostile.engines import Compose, Swarm
from tests.hostile.proxy import Effect
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import COMMANDS, Dokku, Heroku, Trial

EACH = 4  # effects at each step
PARTS = 3  # of them, which may run at the same time
REVIEWS = {"review", "destroy"}
WHOLE = {"deploy", "rollback"}  # of the others, half of the steps on a swarm
Disturbance = tuple[str, Effect, bool]


def _disturb(trial: Trial, record: Record, kind: Kind, disturbances: Sequence[Disturbance]) -> None:
    lost = list[str]()
    for step, effect, lasting in disturbances:
        lost += trial.disturb(step, effect, lasting=lasting)
    record("hostile", [kind.name, len(disturbances), len(lost)])
    assert not lost, "\n\n".join(lost)


def _every(trial: Trial, each: int = EACH) -> list[Disturbance]:
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


def test_few_faults_of_ssh(dokku_world: Dokku, record_property: Record) -> None:
    """(faults J2)"""
    disturbances = [
        ("key exchange", Effect.GARBAGE, False),
        ("auth", Effect.RESET, True),
        ("pack", Effect.CUT, False),
        ("report", Effect.TRUNCATE, False),
    ]
    _disturb(Trial(dokku_world, "deploy"), record_property, Kind.SSH, disturbances)


def test_few_faults_of_http(heroku_world: Heroku, record_property: Record) -> None:
    """(faults J2)"""
    disturbances = [
        ("call 1, connect", Effect.RESET, False),
        ("call 1, head", Effect.GARBAGE, False),
        ("call 1, body", Effect.TRUNCATE, True),
        ("call 1, body", Effect.STALL, True),
    ]
    _disturb(Trial(heroku_world, "deploy"), record_property, Kind.HTTP, disturbances)


def test_few_faults_of_ssh_to_a_docker_host(
    compose_world: Compose, record_property: Record
) -> None:
    """(faults J2)"""
    disturbances = [("auth", Effect.RESET, False), ("60% of its words", Effect.CUT, False)]
    _disturb(Trial(compose_world, "deploy"), record_property, Kind.HOST, disturbances)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in REVIEWS])
def test_faults_of_ssh_to_a_docker_host(
    compose_world: Compose, record_property: Record, command: str
) -> None:
    trial = Trial(compose_world, command)
    _disturb(trial, record_property, Kind.HOST, _every(trial, each=1))


def test_few_faults_of_ssh_to_a_swarm(swarm_world: Swarm, record_property: Record) -> None:
    """(faults J2)"""
    disturbances = [("key exchange", Effect.RESET, False), ("50% of its words", Effect.CUT, False)]
    _disturb(Trial(swarm_world, "deploy"), record_property, Kind.SWARM, disturbances)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_faults_of_ssh_to_a_swarm(
    swarm_world: Swarm, record_property: Record, command: str
) -> None:
    trial = Trial(swarm_world, command)
    few = _every(trial, each=1)[:: 1 if command in WHOLE else 2]
    _disturb(trial, record_property, Kind.SWARM, few)


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
    _disturb(trial, record_property, Kind.SSH, _every(trial)[part::PARTS])


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
    _disturb(trial, record_property, Kind.HTTP, _every(trial)[part::PARTS])
