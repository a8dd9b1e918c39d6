"""SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGPIPE at random moments, twice, and to all our processes.

Judged like faults of connections; besides, a cancel is over in time and says what is live, and
nothing is left on the machine. A few of them here, all by `make hostile`; `make soak` has those on
Docker hosts.
"""

from __future__ import annotations

import pytest

from tests.hostile.kills import KILL, TERM, Kill, moments, strike
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Heroku, Trial

COUNTS = {"deploy": 40, "rollback": 15, "review": 15, "destroy": 10}
PARTS = 3  # of each, which may run at the same time


def _strike(trial: Trial, record: Record, kind: Kind, kills: list[tuple[Kill, float]]) -> None:
    lost = [each for kill, after in kills for each in strike(trial, kill, after)]
    record("hostile", [kind.name, len(kills), len(lost)])
    assert not lost, "\n\n".join(lost)


def test_few_kills(dokku_world: Dokku, record_property: Record) -> None:
    """(faults J9)"""
    trial = Trial(dokku_world, "deploy")
    kills = [
        (Kill((KILL,)), 0.4 * trial.took),
        (Kill((TERM, TERM), everyone=True), 0.7 * trial.took),
    ]
    _strike(trial, record_property, Kind.KILLS_DOKKU, kills)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("command", COUNTS)
def test_kills_on_dokku(
    dokku_world: Dokku, record_property: Record, command: str, part: int
) -> None:
    trial = Trial(dokku_world, command)
    kills = moments(trial, COUNTS[command])[part::PARTS]
    _strike(trial, record_property, Kind.KILLS_DOKKU, kills)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("command", COUNTS)
def test_kills_on_heroku(
    heroku_world: Heroku, record_property: Record, command: str, part: int
) -> None:
    trial = Trial(heroku_world, command)
    kills = moments(trial, COUNTS[command])[part::PARTS]
    _strike(trial, record_property, Kind.KILLS_HEROKU, kills)
