"""A job that is cancelled: it leaves in time, the host finishes or goes back, and people know."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import pytest

from standins.compose.app import VERIFYING, App
from standins.support import until


@pytest.fixture
def slow(live: App) -> App:
    """With a host that takes its time to look at what it has started."""
    live.hosts[0].hold(VERIFYING)
    return live


def test_cancelled_job_leaves_at_once_and_the_host_finishes(slow: App) -> None:
    running = slow.start("good2")
    slow.hosts[0].held()
    asked = time.monotonic()
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert time.monotonic() - asked < 5
    assert done.code == 143, done.output
    assert done.report["status"] == "cancelled"
    assert "finishes good2-" in done.output
    assert "without this job" in done.output
    slow.hosts[0].release()
    slow.settle()
    slow.runs("good2")


def test_what_a_cancelled_job_says_of_following_it_is_true(slow: App) -> None:
    running = slow.start("good2")
    slow.hosts[0].held()
    running.signal(signal.SIGINT)
    done = running.done(timeout=10)
    assert done.code == 130
    found = re.search(r"Follow it with `ssh (\S+) '(.*)'`", done.output)
    assert found, done.output
    slow.hosts[0].release()
    said = found[2].replace("'\"'\"'", "'")
    followed = slow.hosts[0].sh(said)
    assert "app-1: healthy" in followed
    assert "live good2-" in followed
    slow.runs("good2")


def test_cancelled_job_goes_back_on_request(slow: App) -> None:
    running = slow.start("good2", ON_CANCEL="rollback")
    slow.hosts[0].held()
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143
    assert "(ON_CANCEL=rollback)" in done.output
    slow.hosts[0].release()
    slow.settle()
    slow.runs("good1")
    assert slow.outcomes()[-1] == "recalled"


def test_cancel_while_waiting_for_somebody_else_changes_nothing(live: App) -> None:
    live.hosts[0].hold("pull*good2")
    first = live.start("good2")
    live.hosts[0].held()
    second = live.start("good3", ON_CANCEL="rollback")
    until(lambda: "waiting for deploy of good2" in live.newest("log"))
    second.signal(signal.SIGTERM)
    assert second.done(timeout=10).code == 143
    live.hosts[0].release()
    assert first.done().code == 0
    live.settle()
    live.runs("good2")


def test_lost_network_is_no_failure_the_job_connects_again(slow: App) -> None:
    running = slow.start("good2")
    slow.hosts[0].held()
    subprocess.run(["pkill", "-KILL", "-P", str(running.process.pid), "ssh"], check=True)
    slow.hosts[0].release()
    done = running.done()
    assert done.code == 0, done.output
    assert "was lost; the deployment continues on the host" in done.output
    slow.runs("good2")
