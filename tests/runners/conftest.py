"""A stand-in Heroku for jobs in containers, which reach it on the network of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.heroku.server import HerokuStandIn


@pytest.fixture
def heroku(tmp_path: Path) -> Iterator[HerokuStandIn]:
    """With the two apps of the examples; what it does not know fails the test."""
    with HerokuStandIn(tmp_path / "heroku") as server:
        server.create("hello")
        server.create("hello-staging")
        yield server
        assert server.unexpected() == []
