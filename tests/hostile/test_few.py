"""What each run of the tests tries on Dokku, one after the other on one server: its state after
each disturbance is the next one's beginning. All of it is tried by `make hostile` and `make soak`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import clocks, machines, test_clocks, test_faults, test_identity, test_machine
from tests.hostile.kills import KILL, TERM, Kill, strike
from tests.hostile.proxy import Effect
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Trial

FAULTS = [("pack", Effect.CUT, False), ("report", Effect.TRUNCATE, False)]
MACHINES = ("16 KiB for temporary files", "the workspace is full", "10 open files")


@pytest.mark.long
def test_faults_and_impostors(dokku_world: Dokku, tmp_path: Path, record_property: Record) -> None:
    """Takes two deploys for each of four cases. (faults J2, J6)"""
    trial = Trial(dokku_world, "deploy")
    test_faults.disturb(trial, record_property, Kind.SSH, FAULTS)
    test_identity.deceive(trial, record_property, tmp_path / "impostor", ["build"])


@pytest.mark.long
def test_kills_machines_and_a_clock(dokku_world: Dokku, record_property: Record) -> None:
    """Takes two deploys for each of six cases. (faults J9, J13)"""
    trial = Trial(dokku_world, "deploy")
    assert strike(trial, Kill((KILL,)), 0.4 * trial.took) == []
    assert strike(trial, Kill((TERM, TERM), everyone=True), 0.7 * trial.took) == []
    few = [machine for machine in machines.ALL if machine.name in MACHINES]
    assert len(few) == len(MACHINES)
    test_machine.disturb_all(trial, record_property, few)
    test_clocks.disturb_all(trial, record_property, [clocks.ALL[2]])
