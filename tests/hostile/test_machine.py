"""Full disks, missing directories, limits of the machine, and logs that nobody reads.

Judged like faults of connections; besides, nothing may be left on the machine. A few machines here,
all of them by `make hostile`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from tests.hostile.machines import ALL, Machine, can_mount, disturb
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Heroku, Trial

FEW = ("16 KiB for temporary files", "the workspace is full", "10 open files")
COMMANDS = ("rollback", "plan", "review", "destroy")
EVERY = 4  # of the machines, one in so many for other commands than deploy
# A deploy to Heroku needs no connection of its own, and so less of a machine.


def _disturb(trial: Trial, record: Record, machines: Sequence[Machine]) -> None:
    if not can_mount():
        assert "CI" not in os.environ, "`unshare --mount` is needed"
        pytest.skip("`unshare --mount` is not allowed here: machines were not tried")
    lost = [each for machine in machines for each in disturb(trial, machine)]
    record("hostile", [Kind.MACHINES.name, len(machines), len(lost)])
    assert not lost, "\n\n".join(lost)


def test_few_machines(dokku_world: Dokku, record_property: Record) -> None:
    """(faults J13)"""
    machines = [machine for machine in ALL if machine.name in FEW]
    assert len(machines) == len(FEW)
    _disturb(Trial(dokku_world, "deploy"), record_property, machines)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(3))
def test_deploys_to_dokku(dokku_world: Dokku, record_property: Record, part: int) -> None:
    _disturb(Trial(dokku_world, "deploy"), record_property, ALL[part::3])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_other_commands(dokku_world: Dokku, record_property: Record, command: str) -> None:
    first = COMMANDS.index(command)
    _disturb(Trial(dokku_world, command), record_property, ALL[first::EVERY])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_deploys_to_heroku(heroku_world: Heroku, record_property: Record) -> None:
    _disturb(Trial(heroku_world, "deploy"), record_property, ALL[1::2])
