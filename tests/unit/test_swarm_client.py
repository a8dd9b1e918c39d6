"""What a manager says of what a client saw, with a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ci_deploy.layers.providers.swarm.manager import script
from standins.loopback import Web, answering
from standins.support import until

SHELLS = [each for each in ("bash", "dash") if shutil.which(each)]


@pytest.fixture
def url() -> Iterator[str]:
    """Of the app."""
    with answering() as base:
        yield f"{base}/up"


@contextmanager
def asker(shell: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """The manager's program."""
    argv = [shell, "-c", script("ask", "client")]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{url}\n")
        process.stdin.flush()
        yield process
        process.kill()


@pytest.mark.parametrize("shell", SHELLS)
def test_client_that_is_always_answered_is_counted(shell: str, url: str) -> None:
    with asker(shell, url) as process:
        until(lambda: Web.asked > 5)
        said = process.communicate(timeout=30)[0].splitlines()
    assert said[0] == "asking"
    assert re.match(r"\d+ requests during the switch, 0 failed", said[1])
    known = Web.asked
    until(lambda: process.poll() is not None)
    assert Web.asked <= known + 1, "nobody asks any more"


@pytest.mark.parametrize("shell", SHELLS)
def test_time_without_an_answer_is_told(shell: str, url: str) -> None:
    """As a client sees it, not as the engine does. (faults H9)"""
    with asker(shell, url) as process:
        until(lambda: Web.asked > 2)
        for status in (0, 200):
            known = Web.asked
            Web.status = status
            until(lambda at=known: Web.asked > at + 4)  # type: ignore[misc]
        said = process.communicate(timeout=30)[0].splitlines()
    found = re.match(r"no answer for [\d.]+ s during the switch: (\d+) of (\d+) requests", said[1])
    assert found, said
    assert 4 <= int(found[1]) < int(found[2])


@pytest.mark.parametrize("shell", SHELLS)
def test_app_that_answers_badly_before_is_not_measured(shell: str, url: str) -> None:
    Web.status = 503
    with asker(shell, url) as process:
        said = process.communicate(timeout=30)[0]
    assert said == f"{url} answers 503 before the switch, so what clients see is not measured\n"
