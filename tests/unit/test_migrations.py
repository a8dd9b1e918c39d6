"""When migrations run, in deploys and promotions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.layers.applications.migrations import Migrations


@pytest.mark.parametrize(
    ("command", "by_deploy", "migrate", "wanted", "position"),
    [
        ("deploy", False, "after", "", "after"),
        ("deploy", True, "before", "", "before"),
        ("deploy", True, "before", "after", "after"),
        ("promote", False, "after", "before", "after"),  # a release that is there already
        ("promote", True, "before", "", "before"),
        ("promote", True, "before", "after", "after"),
    ],
)
def test_migrations_run_before_the_traffic_wherever_the_release_is_held_back(
    command: str, by_deploy: bool, migrate: str, wanted: str, position: str
) -> None:
    provider = SimpleNamespace(promotes_by_deploy=by_deploy, migrate=migrate)
    layer = SimpleNamespace(
        settings=SimpleNamespace(migrate=True, position=wanted),
        ctx=SimpleNamespace(command=command, provider=provider),
        by_platform=lambda: "",
    )
    found = cast("Any", Migrations.position).fget(layer)
    assert found == position
