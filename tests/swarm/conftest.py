"""A real swarm: one of the Docker hosts is its manager, and a test may let the other join."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.dockerhosts import DockerHost, Fleet, swarm_of
from tests.swarm.app import App


@pytest.fixture(scope="package")
def swarm(docker_fleet: Fleet) -> Iterator[Fleet]:
    """The hosts and their registry; the first is a swarm of its own."""
    with swarm_of(docker_fleet):
        yield docker_fleet


@pytest.fixture
def app(swarm: Fleet, tmp_path: Path) -> Iterator[App]:
    """An app that was not yet deployed."""
    made = App(*swarm, tmp_path)
    yield made
    made.remove()


@pytest.fixture
def live(app: App) -> App:
    """One that runs good1, and has a newer commit."""
    done = app.deploy("good1")
    assert done.code == 0, done.output
    app.checkout.commit("Next")
    return app


@pytest.fixture
def worker(swarm: Fleet) -> Iterator[DockerHost]:
    """The second host, as a worker."""
    manager, host = swarm[0][:2]
    token = manager.root("docker", "swarm", "join-token", "-q", "worker").strip()
    host.root("docker", "swarm", "join", "--token", token, f"{manager.address}:2377")
    yield host
    host.root("docker", "swarm", "leave", check=False)
    name = "host2"
    down = f"docker node inspect -f '{{{{.Status.State}}}}' {name} | grep -q down"
    manager.until(f"{down} && docker node rm --force {name}")
