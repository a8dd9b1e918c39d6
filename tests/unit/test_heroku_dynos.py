"""Whether the dynos of a release run, by what Heroku lists."""

from __future__ import annotations

import pytest

from ci_deploy.layers.providers.heroku import dynos


@pytest.mark.parametrize(
    ("listed", "formation", "up", "idle"),
    [
        ([], [{"type": "worker", "quantity": 0}], True, True),  # a bot, after its first deploy
        ([], [], True, True),
        ([], [{"type": "worker", "quantity": 1}], False, False),
        (
            [{"type": "web", "name": "web.1", "state": "up", "release": {"version": 3}}],
            [{"type": "web", "quantity": 1}, {"type": "worker", "quantity": 0}],
            True,
            False,
        ),
    ],
)
def test_nothing_wanted_is_told_from_all_up(
    listed: list[dict[str, object]], formation: list[dict[str, object]], up: bool, idle: bool
) -> None:
    found = dynos.health(listed, formation, 3)
    assert (found.up, found.idle) == (up, idle)
