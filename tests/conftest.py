"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout

pytest_plugins = ["standins.reaper", "tests.containers", "standins.dockerhosts", "tests.golden"]

# An app without web process is deployed in a moment; tests that need answers use examples/hello.
QUICK = {"Procfile": "worker: sleep 600\n"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two workers begin with what needs Docker hosts (one, where that is little), since each starts
    engines of its own for it; the others with what takes long."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    hosts, long, others = list[pytest.Item](), list[pytest.Item](), list[pytest.Item]()
    for item in items:
        if "docker_fleet" in getattr(item, "fixturenames", ()):
            hosts.append(item)
        else:
            (long if item.get_closest_marker("long") else others).append(item)
    few, size = min(2, workers, 1 + len(hosts) // 8), -(-len(others) // workers)
    parts = [others[at * size : (at + 1) * size] for at in range(workers)]
    for at in range(few):
        parts[at] = hosts[at::few] + parts[at]
    for at, item in enumerate(long):
        parts[workers - 1 - at % max(1, workers - few)].insert(0, item)
    items[:] = [item for part in parts for item in part]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """An app in a git repository, as CI has checked it out."""
    return Checkout(tmp_path / "checkout", QUICK)


@pytest.fixture
def empty_dokku(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DokkuStandIn]:
    """A stand-in Dokku without apps that answers at once.

    A command that it does not model fails the test, unless the test is marked with `unknown`.
    """
    expected = request.node.get_closest_marker("unknown")
    with DokkuStandIn(tmp_path / "dokku", delay=0.0, checks_wait=0.0) as server:
        yield server
        prefixes = expected.args if expected else ()
        assert [raw for raw in server.unknown() if not raw.startswith(prefixes)] == []


@pytest.fixture
def naive(empty_dokku: DokkuStandIn, tmp_path: Path) -> Client:
    """Plain ssh and plain git, for what a test prepares or compares with."""
    return Client(empty_dokku, tmp_path / "home", multiplex=False)


@pytest.fixture
def dokku(empty_dokku: DokkuStandIn, naive: Client) -> DokkuStandIn:
    """The same with an app `hello`, to which nothing was deployed yet."""
    naive.dokku("apps:create hello")
    return empty_dokku
