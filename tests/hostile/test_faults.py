"""Connections that break, stall and lie, at each step of each protocol, in each command.

Judged are the exit code, the words about what is live, the time, and whether the next run heals.
A few cases of a fixed seed here; all of them by `make hostile`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

<<<<<<< HEAD
from tests.hostile.proxy import Effect
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import COMMANDS, Dokku, Heroku, Trial
=======
from tests.compose.app import App
from tests.dockerhosts import DockerHost, Registry
from tests.hostile.proxy import Effect, FaultProxy
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import COMMANDS, Compose, Dokku, Heroku, Trial
from tests.standins.dokku.server import DokkuStandIn
from tests.standins.heroku.server import HerokuStandIn
from tests.support import Checkout
>>>>>>> 163cac5 (Faults of connections to a Docker host, at each part of what it says)

EACH = 4  # effects at each step
REVIEWS = {"review", "destroy"}


<<<<<<< HEAD
=======
@pytest.fixture
def dokku_world(dokku: DokkuStandIn, checkout: Checkout) -> Iterator[Dokku]:
    with FaultProxy(dokku.host, dokku.port) as proxy:
        yield Dokku(dokku, proxy, checkout)


@pytest.fixture
def heroku_world(tmp_path: Path) -> Iterator[Heroku]:
    with HerokuStandIn(tmp_path / "heroku") as server:
        server.create("hello")
        with FaultProxy("127.0.0.1", urlsplit(server.url).port or 0) as proxy:
            checkout = Checkout(tmp_path / "checkout", {"Procfile": "web: sleep 600\n"})
            (tmp_path / "home").mkdir()
            yield Heroku(server, proxy, checkout, tmp_path / "home")
            server.platform.base = server.url


@pytest.fixture
def compose_world(
    docker_hosts: list[DockerHost], registry: Registry, tmp_path: Path
) -> Iterator[Compose]:
    app = App(docker_hosts, registry, tmp_path)
    with FaultProxy(app.hosts[0].address, 22) as proxy:
        yield Compose(app, proxy)
    app.remove()


>>>>>>> 163cac5 (Faults of connections to a Docker host, at each part of what it says)
Disturbance = tuple[str, Effect, bool]


def _disturb(trial: Trial, record: Record, kind: Kind, disturbances: Sequence[Disturbance]) -> None:
    lost = list[str]()
    for step, effect, lasting in disturbances:
        lost += trial.disturb(step, effect, lasting=lasting)
    record("hostile", [kind.name, len(disturbances), len(lost)])
    assert not lost, "\n\n".join(lost)


def _every(trial: Trial) -> list[Disturbance]:
    """So many effects at each step, chosen by a seed; over all steps all of them come."""
    choose, found = random.Random(f"20261129 {trial.command}"), list[Disturbance]()
    effects, bag = (
        [(effect, after) for effect in Effect for after in (False, True)],
        list[tuple[Effect, bool]](),
    )
    for step in trial.names():
        for _ in range(EACH):
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
    _disturb(trial, record_property, Kind.HOST, _every(trial))


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_faults_of_ssh(dokku_world: Dokku, record_property: Record, command: str) -> None:
    trial = Trial(dokku_world, command)
    _disturb(trial, record_property, Kind.SSH, _every(trial))


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_faults_of_http(heroku_world: Heroku, record_property: Record, command: str) -> None:
    trial = Trial(heroku_world, command)
    _disturb(trial, record_property, Kind.HTTP, _every(trial))
