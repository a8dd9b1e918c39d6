"""What is pending on Heroku may take long, and may print nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.ci.local import Local
from ci_deploy.layers.providers.heroku.pending import until_over
from tests.unit.conftest import Log


def test_release_phase_that_prints_nothing_is_mentioned(
    make_log: Callable[..., Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CircleCI stopped the job after ten minutes without a line."""
    log, now = make_log(Local({})), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def silence(_url: str, leave: Callable[[], bool]) -> None:
        while not leave():
            now[0] += 5.0

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def look() -> dict[str, str]:
        return {"status": "pending" if now[0] < 1100.0 else "succeeded", "output_stream_url": "u"}

    ctx = SimpleNamespace(
        console=log.console,
        runner=SimpleNamespace(until=float("inf")),
        cancellation=SimpleNamespace(sleep=sleep),
    )
    output = SimpleNamespace(follow=silence, complete=lambda _url: None)
    found = until_over(cast("Any", ctx), look(), look, what="v3", output=cast("Any", output))
    assert found["status"] == "succeeded"
    assert log.lines == [f"  … still running, {seconds} s" for seconds in (30, 60, 90)]
