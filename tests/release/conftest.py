"""A fork that is ready to be released."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.engine import build_image, loopback_registry, need_docker
from tests.release.fork import Fork


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Fork:
    """Without registries; tests take a copy."""
    return Fork(tmp_path_factory.mktemp("fork") / "prepared").make()


@pytest.fixture
def fork(prepared: Fork, tmp_path: Path) -> Fork:
    """A fork whose newest commit can be released, and nothing to push images to."""
    return prepared.copy(tmp_path / "fork")


@pytest.fixture
def registries() -> Iterator[tuple[str, str]]:
    """Two empty registries."""
    need_docker()
    build_image("dokku")  # and with it the images of this machine
    with loopback_registry() as first, loopback_registry() as second:
        yield first, second
