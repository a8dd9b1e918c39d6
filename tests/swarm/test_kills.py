"""SIGKILL at random moments of deploys and rollbacks: the next run reaches the right state."""

from __future__ import annotations

import random
import sys
from collections import Counter

import pytest

from tests.swarm.app import App

GOOD = ["good1", "good2", "good3", "good4"]
ASKING = "docker (stack|service|config)"  # what a manager does for us


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", [1, 2])
def test_kills_at_random_moments_end_in_the_right_state(app: App, part: int) -> None:
    """Forty of each part, every fourth of a rollback: of the job, or of what it has begun on the
    manager too."""
    choose, ends, before = random.Random(f"20261130 {part}"), Counter[str](), ("", "")
    whole = app.deploy("good1")
    assert whole.code == 0, whole.output
    live = (app.checkout.head, "good1")
    for number in range(40):
        back = number % 4 == 3
        tag = choose.choice([each for each in GOOD if each != live[1]])
        wanted = before if back else (app.checkout.commit(f"For {tag}"), tag)
        words = ["rollback", wanted[0]] if back else ["deploy"]
        running = app.start_command(*words, DEPLOY_TAG=wanted[1])
        app.hosts[0].strike(running, whole.seconds, choose, ASKING)
        ends[" ".join(app.tags()) or "nothing"] += 1
        done = app.start_command(*words, DEPLOY_TAG=wanted[1]).done(timeout=300)
        assert done.code == 0, done.output
        assert app.tags() == [wanted[1]]
        before, live = live, wanted
    print(f"40 kills of deploys and rollbacks: {dict(ends)} ran; all healed", file=sys.stderr)
