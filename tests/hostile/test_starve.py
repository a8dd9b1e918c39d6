"""A job whose memory ends: the kernel kills git, ssh, something else that we have started, or us.

Judged like faults of connections; besides, what was killed is named where it matters, and nothing
is left on the machine. One of them here, all by `make hostile`.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.hostile.starve import PROGRAMS, SIZES, can_limit, pick, squeeze
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Heroku, Trial

EACH = {"deploy": 4, "rollback": 1, "review": 1, "plan": 1, "destroy": 1}


def _pick(trial: Trial, record: Record, picked: list[tuple[str, float]]) -> None:
    lost = [each for program, after in picked for each in pick(trial, program, after)]
    record("hostile", [Kind.MEMORY.name, len(picked), len(lost)])
    assert not lost, "\n\n".join(lost)


def _squeeze(trial: Trial, record: Record, sizes: list[int]) -> None:
    if not can_limit():
        assert "CI" not in os.environ, "a control group is needed, to limit memory"
        pytest.skip("no control group can be made here: memory was not limited")
    lost = [each for size in sizes for each in squeeze(trial, size)]
    record("hostile", [Kind.MEMORY.name, len(sizes), len(lost)])
    assert not lost, "\n\n".join(lost)


def _moments(trial: Trial, count: int) -> list[tuple[str, float]]:
    """So many for each program, from a fixed seed."""
    choose = random.Random(f"20261130 {trial.command}")
    return [
        (program, choose.uniform(0.05, 0.7) * trial.took)
        for program in PROGRAMS
        for _ in range(count)
    ]


def test_push_is_killed(dokku_world: Dokku, record_property: Record) -> None:
    trial = Trial(dokku_world, "deploy")
    _pick(trial, record_property, [("git push", 0.1 * trial.took)])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", EACH)
def test_programs_of_ours_are_killed_on_dokku(
    dokku_world: Dokku, record_property: Record, command: str
) -> None:
    trial = Trial(dokku_world, command)
    _pick(trial, record_property, _moments(trial, EACH[command]))


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_programs_of_ours_are_killed_on_heroku(
    heroku_world: Heroku, record_property: Record
) -> None:
    trial = Trial(heroku_world, "deploy")
    moments = [each for each in _moments(trial, 3) if "ssh" not in each[0]]
    _pick(trial, record_property, moments)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", ["deploy", "review"])
def test_job_has_less_and_less_memory(
    dokku_world: Dokku, record_property: Record, command: str
) -> None:
    _squeeze(Trial(dokku_world, command), record_property, list(SIZES))


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_job_to_heroku_has_less_and_less_memory(
    heroku_world: Heroku, record_property: Record
) -> None:
    _squeeze(Trial(heroku_world, "deploy"), record_property, list(SIZES)[::2])
