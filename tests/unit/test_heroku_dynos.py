"""Whether the dynos of a release run, by what Heroku lists."""

from __future__ import annotations

import pytest

from ci_deploy.layers.providers.heroku import dynos


def test_types_that_nobody_has_scaled_up_are_named() -> None:
    """Not those that a buildpack adds for one-off dynos."""
    web = {"type": "web", "name": "web.1", "state": "up", "release": {"version": 3}}
    counts = {"web": 1, "worker": 0, "beat": 0, "console": 0, "rake": 0, "release": 0}
    formation = [{"type": kind, "quantity": count} for kind, count in counts.items()]
    assert dynos.health([web], formation, 3).words == "1 of 1 dynos up; scaled to 0: beat, worker"


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
