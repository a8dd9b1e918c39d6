"""The worlds that are disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from standins.compose.app import App
from standins.dockerhosts import DockerHost, Fleet, Registry, swarm_of
from standins.dokku.server import DokkuStandIn
from standins.heroku.server import HerokuStandIn
from standins.support import Checkout
from tests.hostile.engines import Compose, Swarm
from tests.hostile.proxy import FaultProxy
from tests.hostile.worlds import Dokku, Heroku
from tests.swarm.app import App as Stack


@pytest.fixture
def dokku_world(dokku: DokkuStandIn, checkout: Checkout) -> Iterator[Dokku]:
    with FaultProxy(dokku.host, dokku.port) as proxy:
        yield Dokku(dokku, proxy, checkout)


@pytest.fixture
def heroku_world(tmp_path: Path) -> Iterator[Heroku]:
    with HerokuStandIn(tmp_path / "heroku") as server:
        server.create("hello")
        with FaultProxy("127.0.0.1", urlsplit(server.url).port or 0) as proxy:
            checkout = Checkout(tmp_path / "checkout", {"Procfile": "web: sleep 600\n"})
            (tmp_path / "home").mkdir()
            yield Heroku(server, proxy, checkout, tmp_path / "home")
            server.platform.base = server.url


@pytest.fixture
def compose_world(
    docker_hosts: list[DockerHost], registry: Registry, tmp_path: Path
) -> Iterator[Compose]:
    app = App(docker_hosts, registry, tmp_path)
    with FaultProxy(app.hosts[0].address, 22) as proxy:
        yield Compose(app, proxy)
    app.remove()


@pytest.fixture(scope="module")
def swarm(docker_fleet: Fleet) -> Iterator[Fleet]:
    """The first host is a swarm as long as these tests run."""
    with swarm_of(docker_fleet):
        yield docker_fleet


@pytest.fixture
def swarm_world(swarm: Fleet, tmp_path: Path) -> Iterator[Swarm]:
    app = Stack(*swarm, tmp_path)
    with FaultProxy(app.hosts[0].address, 22) as proxy:
        world = Swarm(app, proxy)
        yield world
    world.remove()
