"""What the program that holds the lock on a manager says."""

from __future__ import annotations

import pytest

from ci_deploy.layers.providers.swarm.waiting import has


@pytest.mark.parametrize(
    ("said", "locked", "busy"),
    [
        ("locked\n", True, False),
        ("waiting for job 7\nlocked\n", True, False),
        ("waiting for deploy of unlocked-1 by https://ci.example.com/locked/busy\n", False, False),
        ("waiting for locked\nbusy\n", False, True),
        ("", False, False),
    ],
)
def test_lock_is_held_when_a_line_says_so_and_no_name_in_it(
    said: str, locked: bool, busy: bool
) -> None:
    assert (has(said, "locked"), has(said, "busy")) == (locked, busy)
