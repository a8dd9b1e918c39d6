"""The clock of a runner is set back or ahead, by hours or years, while a run goes on: as NTP does,
or when a machine wakes up that was suspended.

Judged like faults of connections, but nothing may come of it: exit code 0. The clocks of hosts are
in tests/compose/test_clocks.py.
"""

from __future__ import annotations

import os

import pytest

from standins.heroku.model import timestamp
from tests.hostile.clocks import ALL, Jump, disturb, sweep
from tests.hostile.tally import Kind, Record, tried
from tests.hostile.worlds import REVIEW, Dokku, Heroku, Trial

OTHERS = ("rollback", "plan", "history", "review", "destroy")


def disturb_all(trial: Trial, record: Record, jumps: list[Jump]) -> None:
    lost = [each for jump in jumps for each in disturb(trial, jump)]
    record("hostile", [Kind.CLOCKS.name, len(jumps), len(lost)])
    assert not lost, "\n\n".join(lost)


@pytest.mark.hostile
def test_sweep_of_dokku_goes_by_the_servers_clock(
    dokku_world: Dokku, record_property: Record
) -> None:
    """A process of the base app says what time it is there."""
    formation = '{"formation": {"worker": {"quantity": 1}}}\n'
    dokku_world.checkout.commit("Run it", {"app.json": formation})
    trial = Trial(dokku_world, "destroy")
    trial.sure("deploy")
    tried(record_property, Kind.CLOCKS, 2)
    done = sweep(trial, 20)
    assert done.code == 0, done.output
    assert dokku_world.state(REVIEW).exists
    assert f"kept {REVIEW}: not deployed for 14 days by this runner's clock" in done.output
    ref = dokku_world.server.app(REVIEW).repo / "refs/heads/master"
    os.utime(ref, (ref.stat().st_mtime - 15 * 86_400,) * 2)
    done = sweep(trial, -20)
    assert done.code == 0, done.output
    assert not dokku_world.state(REVIEW).exists


def test_sweep_of_heroku_goes_by_its_clock(heroku_world: Heroku, record_property: Record) -> None:
    trial = Trial(heroku_world, "destroy")
    tried(record_property, Kind.CLOCKS, 2)
    assert sweep(trial, 20).code == 0
    assert heroku_world.state(REVIEW).exists
    heroku_world.server.apps[REVIEW].released_at = timestamp(0)
    assert sweep(trial, -20).code == 0
    assert not heroku_world.state(REVIEW).exists


@pytest.mark.hostile
@pytest.mark.timeout(900)
def test_deploys_to_dokku(dokku_world: Dokku, record_property: Record) -> None:
    disturb_all(Trial(dokku_world, "deploy"), record_property, list(ALL))


@pytest.mark.hostile
@pytest.mark.timeout(900)
def test_deploys_to_heroku(heroku_world: Heroku, record_property: Record) -> None:
    disturb_all(Trial(heroku_world, "deploy"), record_property, list(ALL))


@pytest.mark.hostile
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", OTHERS)
def test_other_commands(dokku_world: Dokku, record_property: Record, command: str) -> None:
    first = OTHERS.index(command)
    disturb_all(Trial(dokku_world, command), record_property, list(ALL[first % 2 :: 2]))
