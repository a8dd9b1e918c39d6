"""What the program that holds the lock on a manager says."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.layers.providers.swarm.waiting import has, holder, wait_for


@pytest.mark.parametrize(
    ("said", "locked", "busy", "by"),
    [
        ("locked\n", True, False, ""),
        ("waiting\tjob 7\nlocked\n", True, False, "job 7"),
        ("waiting\tdeploy of unlocked-1 by https://x/locked/busy\n", False, False,
         "deploy of unlocked-1 by https://x/locked/busy"),
        ("waiting\tlocked\nbusy\n", False, True, "locked"),
        ("waiting\tdeploy by A\u2028locked\n", False, False, "deploy by A\u2028locked"),
        ("waiting\t\n", False, False, "another job"),
        ("waiting\tdeploy of we", False, False, ""),
        ("", False, False, ""),
    ],
)  # fmt: skip
def test_lock_is_held_when_a_line_says_so_and_no_name_in_it(
    said: str, locked: bool, busy: bool, by: str
) -> None:
    assert (has(said, "locked"), has(said, "busy"), holder(said)) == (locked, busy, by)


def test_waiting_for_the_lock_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time left a sleep returns at once, and it went on for all of LOCK_TIMEOUT
    (faults J2)."""
    now, naps = [1000.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        now[0] += min(seconds, max(0.0, 1005.0 - now[0])) or 0.001

    ctx = SimpleNamespace(
        settings=SimpleNamespace(lock_timeout=900),
        runner=SimpleNamespace(until=1005.0),
        cancellation=SimpleNamespace(sleep=sleep),
        console=SimpleNamespace(indent=lambda _text: None),
    )
    child = SimpleNamespace(alive=True, out=0)
    said = wait_for(cast("Any", child), lambda _out: "waiting\tjob 7\n", cast("Any", ctx))
    assert holder(said) == "job 7"
    assert now[0] == pytest.approx(1005.0, abs=0.1)
    assert len(naps) < 200
