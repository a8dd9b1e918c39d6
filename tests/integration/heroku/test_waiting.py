"""Somebody else's deploy is waited for, and then everything is decided anew: what is live by then
may be newer, or may be the very revision that is wanted."""

from __future__ import annotations

import threading

import pytest

from standins.heroku.server import HerokuStandIn
from standins.support import until
from tests.integration.heroku.conftest import WITH_PHASE, Jobs

WAYS = pytest.mark.parametrize("method", ["push", "archive"])


def _ends_when_waited_for(heroku: HerokuStandIn, over: threading.Event) -> None:
    """The other deploy ends when ours has looked at it a second time."""

    def looks() -> int:
        return sum(call.path.endswith("/builds") and call.status > 0 for call in heroku.calls)

    before = looks()

    def work() -> None:
        until(lambda: looks() > before + 1, 60)
        over.set()

    threading.Thread(target=work, daemon=True).start()


def _being_built(heroku: HerokuStandIn, job: Jobs) -> str:
    """What is checked out is being built for somebody else until ours has been seen to wait."""
    behaviour = heroku.apps["hello"].behaviour
    behaviour.build_ends = over = threading.Event()
    revision = job.begun()
    until(lambda: bool(heroku.apps["hello"].builds[-1].stream.lines))
    behaviour.build_ends = None
    _ends_when_waited_for(heroku, over)
    return revision


@WAYS
def test_revision_that_was_outdated_meanwhile_is_refused(
    heroku: HerokuStandIn, job: Jobs, method: str
) -> None:
    job.deployed()
    ours = job.checkout.commit("Ours")
    job.checkout.commit("Newer")
    newer = _being_built(heroku, job)
    done = job.run(DEPLOY_REVISION=ours, REFUSE_OUTDATED="true", DEPLOY_METHOD=method)
    assert done.code == 14, done.output
    assert f"{ours[:7]} is older than {newer[:7]}, which is live." in done.output
    assert f"hello still runs {newer[:7]}" in done.output
    assert job.runs("hello", newer)
    assert (heroku.pushes(), heroku.writes()) == (0, [])


def test_history_that_has_diverged_meanwhile_is_refused(heroku: HerokuStandIn, job: Jobs) -> None:
    """A push sees at the beginning what is in git, and is refused then; an archive does not."""
    job.deployed()
    job.checkout.commit("Theirs")
    theirs = _being_built(heroku, job)
    job.checkout.git("reset", "--quiet", "--hard", "HEAD~")
    ours = job.checkout.commit("Ours")
    done = job.run(DEPLOY_METHOD="archive")
    assert done.code == 14, done.output
    assert f"{ours[:7]} has diverged from {theirs[:7]}, which is live." in done.output
    assert job.runs("hello", theirs)
    assert heroku.writes() == []


@WAYS
def test_own_release_phase_of_a_job_that_was_killed_is_not_run_twice(
    heroku: HerokuStandIn, job: Jobs, method: str
) -> None:
    """The retry finds it running, waits, and only verifies: migrations must not run again."""
    job.checkout.commit("Old", WITH_PHASE)
    old = job.deployed()
    new, app = job.checkout.commit("New"), heroku.apps["hello"]
    app.behaviour.phase_ends = over = threading.Event()
    job.begun()
    until(lambda: len(app.releases) == 3 and bool((it := app.releases[-1].stream) and it.lines))
    app.behaviour.phase_ends = None
    _ends_when_waited_for(heroku, over)
    done = job.run(DEPLOY_METHOD=method)
    assert done.code == 0, done.output
    theirs = f"another build or release of hello is running (v{len(app.releases)}); waiting"
    assert theirs in done.output
    assert f"verified: hello runs {new[:7]}, 1 of 1 dynos up" in done.output
    assert done.report["previous_revision"] == old
    assert len(app.releases) == 3
    assert (heroku.pushes(), heroku.writes()) == (0, [])


@pytest.mark.parametrize("older", [False, True], ids=["non-fast-forward", "stale info"])
def test_somebody_who_pushes_at_the_same_time_is_not_overwritten(
    heroku: HerokuStandIn, job: Jobs, older: bool
) -> None:
    """They do it after ours has compared, and before ours arrives."""
    where = heroku.platform.folder / "hello.git"
    quietly = "git -c core.hooksPath=/dev/null receive-pack"
    push = f"git push --quiet --receive-pack='{quietly}' {where} theirs:main"
    hook = job.checkout.path / ".ci-deploy/pre_deploy"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ncd {job.checkout.path} && {push}\n")
    hook.chmod(0o755)
    job.checkout.commit("A hook")
    ours = first = job.deployed()
    if older:
        job.checkout.commit("Second")
        job.deployed()
    else:
        ours = job.checkout.commit("Ours")
    job.checkout.git("checkout", "--quiet", "-b", "theirs", "main" if older else first)
    theirs = job.checkout.commit("Theirs")

    done = job.run(DEPLOY_REVISION=ours)
    assert done.code == 20, done.output
    assert "another push to hello came first, so Heroku rejects this one." in done.output
    assert ("stale info" if older else "non-fast-forward") in done.output
    assert heroku.platform.references("hello") == {"refs/heads/main": theirs}
