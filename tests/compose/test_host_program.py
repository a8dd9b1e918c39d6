"""The host's program alone, with a stand-in for `docker` (alone.py says why): what is proven, what
is kept, what is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.alone import Alone


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Alone]:
    """A host with an engine that knows only what our program asks."""
    made = Alone(tmp_path)
    yield made
    made.kill()
    made.check()


@pytest.fixture
def live(host: Alone) -> Alone:
    """One that runs good1."""
    assert host.deploy("good1") == "live good1-1"
    return host


def test_stand_in_is_good_enough_for_a_whole_deploy_and_a_way_back(live: Alone) -> None:
    assert live.deploy("good2") == "live good2-1"
    live.runs_only("good2")
    assert live.deploy("bad1").startswith("rolled-back shop-app-1: unhealthy")
    live.runs_only("good2")
