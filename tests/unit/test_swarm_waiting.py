"""What the program that holds the lock on a manager says."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.layers.providers.swarm.waiting import has, wait_for


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


def test_waiting_for_the_lock_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time left a sleep returns at once, and it went on for all of LOCK_TIMEOUT
    (faults J2)."""
    now, naps = [1000.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += min(seconds, max(0.0, 1005.0 - now[0])) or 0.001

    ctx = SimpleNamespace(
        runner=SimpleNamespace(until=1005.0),
        cancellation=SimpleNamespace(sleep=sleep),
        console=SimpleNamespace(indent=lambda _text: None),
    )
    child = SimpleNamespace(alive=True, out=0)
    said = wait_for(cast("Any", child), lambda _out: "waiting for job 7\n", cast("Any", ctx), 900)
    assert "waiting for job 7" in said
    assert now[0] == pytest.approx(1005.0, abs=0.1)
    assert len(naps) < 200
