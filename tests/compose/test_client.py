"""What the host says of what a client saw, with a stand-in for `docker` and a real server."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.loopback import Web, answering
from standins.support import until
from tests.compose.alone import Alone


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Alone]:
    """A host that runs good1."""
    host = Alone(tmp_path)
    assert host.deploy("good1") == "live good1-1"
    yield host
    host.kill()
    host.check()


@pytest.fixture
def url() -> Iterator[str]:
    """Of the app."""
    with answering() as base:
        yield f"{base}/up"


def _switching(live: Alone, url: str) -> str:
    """A run that has been asking for a while."""
    live.hold("* up -d *")
    run = live.start("good2", client_url=url)
    live.held()
    until(lambda: live.file(f"runs/{run}/client").count(" 200") > 5)
    return run


def test_client_that_is_always_answered_is_counted(live: Alone, url: str) -> None:
    run = _switching(live, url)
    live.release()
    assert live.end(run) == "live good2-1"
    said = re.search(r"/up: ((\d+) requests during the switch, 0 failed)", live.log(run))
    assert said, live.log(run)
    assert int(said[2]) > 5
    assert f'"client":"{said[1]}' in live.file("audit.jsonl")


def test_time_in_which_nobody_was_answered_is_told_as_a_client_saw_it(
    live: Alone, url: str
) -> None:
    """Not as the engine has it: its containers run while the app boots. (faults H9)"""
    run = _switching(live, url)
    Web.status = 0
    until(lambda: " none" in live.file(f"runs/{run}/client"))
    time.sleep(1)
    Web.status = 200
    known = live.file(f"runs/{run}/client").count(" 200")
    until(lambda: live.file(f"runs/{run}/client").count(" 200") > known + 1)
    live.release()
    assert live.end(run) == "live good2-1"
    said = re.search(r"no answer for ([\d.]+) s during the switch: (\d+) of \d+", live.log(run))
    assert said, live.log(run)
    assert float(said[1]) >= 1
    assert int(said[2]) >= 1
    assert "stopped: " not in live.log(run), "one of the two"


def test_app_that_answers_badly_before_is_not_measured(live: Alone, url: str) -> None:
    Web.status = 503
    run = live.start("good2", client_url=url)
    assert live.end(run) == "live good2-1"
    assert "answers 503 before the switch, so what clients see is not measured" in live.log(run)
    assert "during the switch" not in live.log(run)


def test_nobody_asks_any_more_when_the_run_was_killed(live: Alone, url: str) -> None:
    """And nobody keeps its lock."""
    run = _switching(live, url)
    asker = int(live.file(f"runs/{run}/client").split()[0])
    for pid in live.processes():
        if pid != asker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    until(lambda: not live.processes())
    live.release()
    assert live.deploy("good3") == "live good3-1", live.log(run)
