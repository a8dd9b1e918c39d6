"""The same faults and kills for us and for scripts that people write by hand. `make soak` has all
of them, and writes the table; here are two whose ends are known."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.engines import Compose, Swarm
from tests.hostile.peers import Blow, Judged, blows, by_hand, official, strike
from tests.hostile.proxy import Effect
from tests.hostile.tally import Record, Way
from tests.hostile.worlds import Dokku, Trial

PARTS = 4  # of each, which may run at the same time
ALLOWED = {"tried", "unknown"}  # of us; that it is unknown is true where nobody can be asked


@pytest.fixture
def served(dokku_world: Dokku) -> Dokku:
    """With an app that has a process."""
    formation = '{"formation": {"worker": {"quantity": 1}}}\n'
    dokku_world.checkout.commit("Run it", {"app.json": formation})
    return dokku_world


def _compare(trial: Trial, world: Judged, way: Way, part: int, record: Record) -> None:
    count, shown = Counter[str](), list[str]()
    for blow in blows(trial)[part::PARTS]:
        found, words = strike(trial, world, blow)
        count += found + Counter(tried=1)
        shown += [words] if set(found) - ALLOWED else []
        trial.ready()
    record("peers", [way.name, dict(count)])
    print(way.value, dict(count), *shown, sep="\n", file=sys.stderr)
    assert not way.name.startswith("OURS") or set(count) <= ALLOWED, "\n\n".join(shown)


@pytest.mark.hostile
def test_script_says_failure_of_what_is_live_and_we_do_not(served: Dokku, tmp_path: Path) -> None:
    """The connection is cut when the release runs, before the server has said so."""
    blow = Blow("report", Effect.CUT)
    found, words = strike(official(served, tmp_path), served, blow)
    assert found == Counter(red=1), words
    found, words = strike(Trial(served, "deploy"), served, blow)
    assert not found, words


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("way", [Way.OURS_DOKKU, Way.OFFICIAL])
def test_dokku(served: Dokku, tmp_path: Path, record_property: Record, way: Way, part: int) -> None:
    trial = Trial(served, "deploy") if way is Way.OURS_DOKKU else official(served, tmp_path)
    _compare(trial, served, way, part, record_property)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("way", [Way.OURS_COMPOSE, Way.COMPOSE])
def test_docker_host(
    compose_world: Compose, tmp_path: Path, record_property: Record, way: Way, part: int
) -> None:
    ours = way is Way.OURS_COMPOSE
    trial = Trial(compose_world, "deploy") if ours else by_hand(compose_world, tmp_path)
    _compare(trial, compose_world, way, part, record_property)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("way", [Way.OURS_SWARM, Way.STACK])
def test_swarm(
    swarm_world: Swarm, tmp_path: Path, record_property: Record, way: Way, part: int
) -> None:
    ours = way is Way.OURS_SWARM
    trial = Trial(swarm_world, "deploy") if ours else by_hand(swarm_world, tmp_path)
    _compare(trial, swarm_world, way, part, record_property)
