"""Many deploys of one app started together: a dozen, in `make soak` twenty.

More than sshd lets in at once; they follow each other, so that it takes a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Run, settings_for
from tests.hostile.tally import Kind, Record, tried

WHOLE = 20  # what docs/reliability.md has


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [12, pytest.param(WHOLE, marks=pytest.mark.soak)])
def test_deploys_started_together_all_end_right(
    tmp_path: Path, checkout: Checkout, record_property: Record, count: int
) -> None:
    """sshd as it is by default: it drops connections when more than ten are not yet let in.

    Takes a minute: a dozen are more than ten, and each is a whole deploy."""
    if count == WHOLE:
        tried(record_property, Kind.TOGETHER, count)
    heads = [checkout.head] + [checkout.commit(f"Commit {number}") for number in range(1, count)]
    with DokkuStandIn(
        tmp_path / "dokku",
        delay=0.02,
        checks_wait=0.0,
        build_seconds=0.1,
        max_startups="10:30:100",
        max_sessions=10,
    ) as dokku:
        Client(dokku, tmp_path / "home", multiplex=False).dokku("apps:create hello")
        running = []
        for number, head in enumerate(heads):
            workspace = tmp_path / f"clone{number}"
            checkout.git("clone", "--quiet", "--shared", str(checkout.path), str(workspace))
            env = settings_for(dokku, DEPLOY_REVISION=head)
            running.append(Run("deploy", cwd=workspace, env=env))
        done = [each.done(timeout=280) for each in running]
        app = dokku.app("hello")
        for each in done:
            overtaken = "was deployed right after it" in each.output
            assert each.code == 0 or (each.code == 20 and overtaken), each.output
        assert sum(each.code == 0 for each in done) >= count // 2
        assert app.running_revision in heads
        assert not app.locked
        assert not any("unlock" in call.raw for call in dokku.calls())
        _one_at_a_time(app.builds)


def _one_at_a_time(builds: Sequence[Mapping[str, Any]]) -> None:
    """Builds that were let in (the others were refused by the lock) do not overlap."""
    spans = sorted(
        (each["started_at"], each["finished_at"]) for each in builds if each["exit_code"] == 0
    )
    assert spans
    for (_, end), (start, _) in pairwise(spans):
        assert start >= end
