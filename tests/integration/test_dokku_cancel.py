"""A cancel while the server has the code: what runs is told, and our build is stopped."""

from __future__ import annotations

import time

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, Run, run, settings_for, until

SLOW = {"ps:inspect": 20.0, "ps:report": 20.0, "git:report": 20.0, "urls": 20.0}  # seconds


def _asked(dokku: DokkuStandIn, words: str) -> bool:
    return any(words in call.raw for call in dokku.calls())


def test_cancel_names_what_runs_though_the_server_is_slow_with_all_else(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """`apps:report` names it at once (faults K7)."""
    env = settings_for(dokku)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    good = checkout.head
    checkout.commit("Second")
    dokku.configure(build_seconds=30.0)
    running = Run("deploy", cwd=checkout.path, env=env)
    running.wait_for("Building hello")
    dokku.configure(build_seconds=30.0, seconds=SLOW)
    started = time.monotonic()
    running.process.terminate()
    done = running.done(timeout=10)
    assert time.monotonic() - started < 5.0
    assert done.code == 143
    assert f"cancelled: hello still runs {good[:7]} (its processes were not checked;" in done.output
    assert done.report["live_revision"] == good


@pytest.mark.parametrize("method", ["push", "archive"])
def test_build_that_has_begun_without_a_word_is_cancelled(
    dokku: DokkuStandIn, checkout: Checkout, method: str
) -> None:
    """Between the push and "Cleaning up" (faults K7)."""
    dokku.faults(Fault("received", "hang"))
    env = settings_for(dokku, DEPLOY_METHOD=method)
    running = Run("deploy", cwd=checkout.path, env=env)
    until(lambda: dokku.app("hello").locked)
    running.process.terminate()
    done = running.done(timeout=10)
    assert done.code == 143
    assert _asked(dokku, "builds:cancel hello")
    until(lambda: not dokku.app("hello").locked, what=done.output)
    assert dokku.app("hello").builds[-1]["status"] == "canceled"


def test_build_of_somebody_else_is_not_cancelled(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """(faults K7)"""
    dokku.configure(build_seconds=20.0)
    push = naive.begin_push(checkout.path, "hello", "main:master")
    until(lambda: dokku.app("hello").locked)
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("hello is locked, by another deploy")
    running.process.terminate()
    assert running.done(timeout=10).code == 143
    assert not _asked(dokku, "builds:cancel")
    push.kill()
    push.wait()
    naive.dokku("builds:cancel hello")


def test_cancel_during_the_checks_names_the_container_that_stays(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """Dokku does not remove it (faults K7)."""
    naive.dokku("ps:scale hello worker=1")
    dokku.faults(Fault("checks", "hang"))
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("Attempting pre-flight checks")
    running.process.terminate()
    done = running.done(timeout=10)
    assert done.code == 143
    assert "docker ps --filter name=hello.worker.1.upcoming" in done.output
    assert any("hello.worker.1.upcoming" in each for each in done.report["warnings"])


def test_plan_does_not_skip_what_crashes_again_and_again(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """Docker shows it as running between two crashes (faults K3)."""
    naive.dokku("ps:scale hello worker=1")
    env = settings_for(dokku)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    assert run("ci-deploy", "plan", cwd=checkout.path, env=env).report["status"] == "skipped"
    dokku.app("hello").crash("worker.1")
    planned = run("ci-deploy", "plan", cwd=checkout.path, env=env)
    assert any("rebuild hello" in change for change in planned.report["changes"]), planned.output
