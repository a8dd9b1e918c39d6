"""SIGKILL at random moments: the next run reaches the right end state, every time.

Fixed seeds; three moments of each command here, fifty in `make soak`. Each needs two or three whole
runs, so that they take half a minute.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Run, run, settings_for, until

FEW, ALL = 3, 50
COUNTS = [FEW, pytest.param(ALL, marks=pytest.mark.soak)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DokkuStandIn]:
    with DokkuStandIn(tmp_path / "dokku", delay=0.02, checks_wait=0.0, build_seconds=0.2) as dokku:
        Client(dokku, tmp_path / "home", multiplex=False).dokku("apps:create hello")
        yield dokku


def _killed(seconds: float, *command: str, cwd: Path, env: dict[str, str]) -> None:
    """Run a command and kill it after a while; what it has started on the server goes on."""
    running = Run(*command, cwd=cwd, env=env)
    time.sleep(seconds)
    running.signal(signal.SIGKILL)
    running.done(timeout=20)


def _settle(server: DokkuStandIn) -> None:
    until(lambda: not any(server.app(name).locked for name in server.apps()))


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", COUNTS)
def test_deploy(server: DokkuStandIn, checkout: Checkout, count: int) -> None:
    """Takes a minute: each kill at a random moment is followed by a whole run that has to heal."""
    choose = random.Random(20261120)
    env = settings_for(server, APP_CONFIG="A=1\n", DOKKU_SERVICES="redis")
    took = run("deploy", cwd=checkout.path, env=env).seconds
    for number in range(count):
        head = checkout.commit(f"Commit {number}")
        env["APP_CONFIG"] = f"A={number}\n"
        _killed(choose.uniform(0.05, took), "deploy", cwd=checkout.path, env=env)
        done = run("deploy", cwd=checkout.path, env=env)
        assert done.code == 0, done.output
        app = server.app("hello")
        assert app.running_revision == head
        assert app.config["A"] == str(number)
        assert "CI_DEPLOY_UNFINISHED" not in app.config
        assert list(server.services("redis")) == ["hello-redis"]
        _settle(server)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", COUNTS)
def test_review(server: DokkuStandIn, checkout: Checkout, count: int) -> None:
    """Takes a minute: each kill at a random moment is followed by a whole run that has to heal."""
    choose = random.Random(20261121)
    took = 0.0
    for number in range(count + 1):
        name = f"review-{number}"
        env = settings_for(
            server, REVIEW_APP_NAME=name, DOKKU_SERVICES="postgres redis", REVIEW_CONFIG="A=1\n"
        )
        if took:
            _killed(choose.uniform(0.05, took), "ci-deploy", "review", cwd=checkout.path, env=env)
        done = run("ci-deploy", "review", cwd=checkout.path, env=env)
        took = took or done.seconds
        assert done.code == 0, done.output
        app = server.app(name)
        assert app.running_revision == checkout.head
        assert app.config["A"] == "1"
        assert app.config["DATABASE_URL"]
        assert app.config["REDIS_URL"]
        assert "CI_DEPLOY_REVIEW_APP" in app.config
        _settle(server)
    assert len(server.services("postgres")) == count + 1


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", COUNTS)
def test_destroy(server: DokkuStandIn, checkout: Checkout, count: int) -> None:
    """Takes a minute: each kill at a random moment is followed by a whole run that has to heal."""
    choose = random.Random(20261122)
    took = 0.0
    for number in range(count + 1):
        env = settings_for(
            server, REVIEW_APP_NAME=f"review-{number}", DOKKU_SERVICES="postgres redis"
        )
        made = run("ci-deploy", "review", cwd=checkout.path, env=env)
        assert made.code == 0, made.output
        if took:
            _killed(choose.uniform(0.05, took), "ci-deploy", "destroy", cwd=checkout.path, env=env)
        done = run("ci-deploy", "destroy", cwd=checkout.path, env=env)
        took = took or done.seconds
        assert done.code == 0, done.output
        assert server.apps() == ["hello"]
        assert not server.services("postgres")
        assert not server.services("redis")
