"""Full disks, missing directories, limits of the machine, and logs that nobody reads.

Judged like faults of connections; besides, nothing may be left on the machine. A few machines in
test_few.py, all of them by `make hostile`, and those that deploy to Docker hosts and swarms by
`make soak`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial

import pytest

from tests.hostile.engines import Compose, Swarm
from tests.hostile.machines import ALL, Machine, can_mount, disturb
from tests.hostile.starve import SIZES, can_limit, squeeze
from tests.hostile.tally import Kind, Record
from tests.hostile.worlds import Dokku, Heroku, Trial

COMMANDS = ("rollback", "plan", "review", "destroy")
EVERY = 4  # of the machines, one in so many for other commands than deploy
# A deploy to Heroku needs no connection of its own, and so less of a machine.
ON_HOSTS = ("deploy", "rollback")
SQUEEZED = SIZES[::4]  # MiB


def disturb_all(trial: Trial, record: Record, machines: Sequence[Machine]) -> None:
    if not can_mount():
        assert "CI" not in os.environ, "`unshare --mount` is needed"
        pytest.skip("`unshare --mount` is not allowed here: machines were not tried")
    lost = [each for machine in machines for each in disturb(trial, machine)]
    record("hostile", [Kind.MACHINES.name, len(machines), len(lost)])
    assert not lost, "\n\n".join(lost)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(3))
def test_deploys_to_dokku(dokku_world: Dokku, record_property: Record, part: int) -> None:
    disturb_all(Trial(dokku_world, "deploy"), record_property, ALL[part::3])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", COMMANDS)
def test_other_commands(dokku_world: Dokku, record_property: Record, command: str) -> None:
    first = COMMANDS.index(command)
    disturb_all(Trial(dokku_world, command), record_property, ALL[first::EVERY])


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_deploys_to_heroku(heroku_world: Heroku, record_property: Record) -> None:
    disturb_all(Trial(heroku_world, "deploy"), record_property, ALL[1::2])


def on_hosts(command: str) -> tuple[Machine, ...]:
    """Every third one for a deploy, fewer for a rollback."""
    return ALL[::3] if command == "deploy" else ALL[1::9]


def _lack(trial: Trial, record: Record, machines: Sequence[Machine], sizes: Sequence[int]) -> None:
    assert can_mount()
    assert can_limit() or not sizes
    lost = list[str]()
    trials = [partial(disturb, trial, machine) for machine in machines]
    for judged in (*trials, *(partial(squeeze, trial, size) for size in sizes)):
        found = judged()
        print(*found, sep="\n\n", file=sys.stderr, end="")
        lost += found
    record("hostile", [Kind.LACKING.name, len(machines) + len(sizes), len(lost)])
    assert not lost, "\n\n".join(lost)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", ON_HOSTS)
def test_jobs_for_a_docker_host(
    compose_world: Compose, record_property: Record, command: str
) -> None:
    sizes = SQUEEZED if command == "deploy" else []
    _lack(Trial(compose_world, command), record_property, on_hosts(command), sizes)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", ON_HOSTS)
def test_jobs_for_a_swarm(swarm_world: Swarm, record_property: Record, command: str) -> None:
    sizes = SQUEEZED if command == "deploy" else []
    _lack(Trial(swarm_world, command), record_property, on_hosts(command), sizes)
