"""The clock of a runner is set back or ahead, by hours or years, while a run goes on: as NTP does,
or when a machine wakes up that was suspended.

Judged like faults of connections, but nothing may come of it: exit code 0. The clocks of hosts are
in tests/compose/test_clocks.py.
"""

from __future__ import annotations

import pytest

from tests.hostile.clocks import ALL, Jump, disturb
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Heroku, Trial

OTHERS = ("rollback", "plan", "history", "review", "destroy")


def _disturb(trial: Trial, record: Record, jumps: list[Jump]) -> None:
    lost = [each for jump in jumps for each in disturb(trial, jump)]
    record("hostile", [Kind.CLOCKS.name, len(jumps), len(lost)])
    assert not lost, "\n\n".join(lost)


def test_clock_that_is_set_years_back(dokku_world: Dokku, record_property: Record) -> None:
    _disturb(Trial(dokku_world, "deploy"), record_property, [ALL[2]])


@pytest.mark.hostile
@pytest.mark.timeout(900)
def test_deploys_to_dokku(dokku_world: Dokku, record_property: Record) -> None:
    _disturb(Trial(dokku_world, "deploy"), record_property, list(ALL))


@pytest.mark.hostile
@pytest.mark.timeout(900)
def test_deploys_to_heroku(heroku_world: Heroku, record_property: Record) -> None:
    _disturb(Trial(heroku_world, "deploy"), record_property, list(ALL))


@pytest.mark.hostile
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", OTHERS)
def test_other_commands(dokku_world: Dokku, record_property: Record, command: str) -> None:
    first = OTHERS.index(command)
    _disturb(Trial(dokku_world, command), record_property, list(ALL[first % 2 :: 2]))
