"""SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGPIPE at random moments, twice, and to all our processes.

Judged like faults of connections; besides, a cancel is over in time and says what is live, and
nothing is left on the machine. A few of them in test_few.py, a tenth of those on Dokku and Heroku
by `make hostile`, two hundred of each provider by `make soak`; tests/compose and tests/swarm kill
jobs and the hosts' own programs two hundred times more.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

from tests.hostile.engines import Compose, Swarm
from tests.hostile.kills import Kill, moments, strike
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Heroku, Trial

COUNTS = {"deploy": 100, "rollback": 40, "review": 35, "destroy": 25}
ON_HOSTS = {"deploy": 140, "rollback": 60}
ON_SWARMS = {"deploy": 100, "rollback": 40, "review": 35, "destroy": 25}
PARTS = 5  # of each, which may run at the same time
TENTH = 10
WHOLE = [pytest.param((part, PARTS), marks=pytest.mark.soak) for part in range(PARTS)]
SHARES = [pytest.param((0, TENTH), marks=pytest.mark.hostile, id="a tenth"), *WHOLE]


def _strike(trial: Trial, kills: list[tuple[Kill, float]]) -> list[str]:
    """What was lost; shown at once, for so many take an hour."""
    lost = list[str]()
    for kill, after in kills:
        found = strike(trial, kill, after)
        print(*found, sep="\n\n", file=sys.stderr, end="")
        lost += found
    return lost


def _all(
    trial: Trial,
    record: Record,
    kind: Kind,
    share: tuple[int, int],
    counts: Mapping[str, int] = COUNTS,
) -> None:
    """Those of a share; the page has those of the whole."""
    first, step = share
    kills = moments(trial, counts[trial.command])[first::step]
    lost = _strike(trial, kills)
    if step == PARTS:
        record("hostile", [kind.name, len(kills), len(lost)])
    assert not lost, "\n\n".join(lost)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("command", COUNTS)
def test_kills_on_dokku(
    dokku_world: Dokku, record_property: Record, command: str, share: tuple[int, int]
) -> None:
    _all(Trial(dokku_world, command), record_property, Kind.KILLS_DOKKU, share)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("command", COUNTS)
def test_kills_on_heroku(
    heroku_world: Heroku, record_property: Record, command: str, share: tuple[int, int]
) -> None:
    _all(Trial(heroku_world, command), record_property, Kind.KILLS_HEROKU, share)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", WHOLE)
@pytest.mark.parametrize("command", ON_HOSTS)
def test_kills_on_a_docker_host(
    compose_world: Compose, record_property: Record, command: str, share: tuple[int, int]
) -> None:
    _all(Trial(compose_world, command), record_property, Kind.KILLS_HOST, share, ON_HOSTS)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", WHOLE)
@pytest.mark.parametrize("command", ON_SWARMS)
def test_kills_on_a_swarm(
    swarm_world: Swarm, record_property: Record, command: str, share: tuple[int, int]
) -> None:
    _all(Trial(swarm_world, command), record_property, Kind.KILLS_SWARM, share, ON_SWARMS)
