"""What an older, a diverged and an unknown revision may replace, by push and by archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for

pytestmark = pytest.mark.parametrize("method", ["push", "archive"])


def _changes(dokku: DokkuStandIn) -> int:
    ours = ("git-receive-pack", "git:from-archive", "ps:rebuild")
    return sum(call.raw.startswith(ours) for call in dokku.calls())


@pytest.fixture
def env(dokku: DokkuStandIn, method: str) -> dict[str, str]:
    return settings_for(dokku, DEPLOY_METHOD=method)


def test_older_revision_is_deployed_with_a_warning(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    old = checkout.head
    new = checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    done = run("deploy", cwd=checkout.path, env={**env, "DEPLOY_REVISION": old})
    assert done.code == 0, done.output
    assert f"{old[:7]} is older than {new[:7]}" in done.output
    assert done.report["live_revision"] == old


def test_older_revision_is_refused_when_asked_and_nothing_is_touched(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    old = checkout.head
    checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    changes = _changes(dokku)
    outdated = {**env, "DEPLOY_REVISION": old, "REFUSE_OUTDATED": "true"}
    assert run("deploy", cwd=checkout.path, env=outdated).code == 14
    assert _changes(dokku) == changes


def test_checkout_that_lacks_the_live_revision(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], tmp_path: Path, method: str
) -> None:
    """A push has to ask the server what it replaces; an archive does without, and says so."""
    old = checkout.head
    checkout.git("clone", "--quiet", str(checkout.path), str(tmp_path / "old"))
    live = checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    guarded = run("deploy", cwd=tmp_path / "old", env={**env, "REFUSE_OUTDATED": "true"})
    assert guarded.code == 14
    older = f"{old[:7]} is older than {live[:7]}"
    refused = {"push": older, "archive": "since this checkout does not have that commit"}
    assert refused[method] in guarded.output
    done = run("deploy", cwd=tmp_path / "old", env=env)
    assert done.code == 0, done.output
    known = {"push": older, "archive": f"it is unknown whether {older}"}
    assert known[method] in done.output
    assert done.report["live_revision"] == old


def test_diverged_revision_is_refused_unless_forced(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    start = checkout.head
    live = checkout.commit("One way")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    checkout.git("reset", "--quiet", "--hard", start)
    other = checkout.commit("The other way")
    changes = _changes(dokku)
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 14
    assert f"{other[:7]} has diverged from {live[:7]}" in done.output
    assert _changes(dokku) == changes
    done = run("deploy", cwd=checkout.path, env={**env, "FORCE_PUSH": "true"})
    assert done.code == 0, done.output
    assert done.report["live_revision"] == other


def test_review_app_follows_a_rebased_branch(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    env |= {"REVIEW_APP_NAME": "hello-review"}
    start = checkout.head
    checkout.commit("One way")
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0
    checkout.git("reset", "--quiet", "--hard", start)
    other = checkout.commit("Rebased")
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert done.report["live_revision"] == other


def test_the_way_may_change_from_one_deploy_to_the_next(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], method: str
) -> None:
    """An archive becomes a commit of Dokku's own, which no revision of ours contains."""
    other = {"push": "archive", "archive": "push"}[method]
    for way in (method, other, method):
        head = checkout.commit(f"By {way}")
        done = run("deploy", cwd=checkout.path, env={**env, "DEPLOY_METHOD": way})
        assert done.code == 0, done.output
        assert done.report["live_revision"] == head
        assert "diverged" not in done.output
