"""An app of its own for each test, on the hosts that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.compose.app import App
from standins.dockerhosts import DockerHost, Registry
from tests.compose.alone import Alone


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Alone]:
    """A host with an engine that knows only what our program asks."""
    made = Alone(tmp_path)
    yield made
    made.kill()
    made.check()


@pytest.fixture
def app(docker_hosts: list[DockerHost], registry: Registry, tmp_path: Path) -> Iterator[App]:
    """An app with a directory on both hosts, not yet deployed."""
    made = App(docker_hosts, registry, tmp_path)
    yield made
    for host in docker_hosts:
        if host.faulty:
            host.release()
    made.remove()


@pytest.fixture
def live(app: App) -> App:
    """One that runs good1, and has a newer commit."""
    done = app.deploy("good1")
    assert done.code == 0, done.output
    app.checkout.commit("Next")
    return app
