"""What a person reads at the end of commands: no more than is true, and in lines that fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for


def test_history_says_what_came_of_each_and_marks_the_live_one(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """(faults G4)"""
    env = settings_for(dokku)
    revisions = [checkout.head]
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    revisions.append(checkout.commit("New"))
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    new, old = run("ci-deploy", "history", cwd=checkout.path, env=env).output.splitlines()
    assert ("  deployed  " in new, "  deployed  " in old) == (True, True)
    assert (new.endswith("  live"), "  live" in old) == (True, False)
    assert (revisions[1] in new, revisions[0] in old) == (True, True)


def test_doctor_names_only_programs_that_a_deploy_calls(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """A deploy to Dokku calls no heroku and no sentry-cli (faults G4)."""
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "  git: " in done.output
    assert "  ssh: " in done.output
    assert "heroku" not in done.output
    assert "sentry" not in done.output


@pytest.mark.unknown("apps:report nobody")
def test_plan_of_an_unknown_app_fits_on_a_screen(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """Its box does; a longer line goes over the edge, so that it can be copied (faults G4)."""
    done = run("ci-deploy", "plan", cwd=checkout.path, env=settings_for(dokku, APP_NAME="nobody"))
    assert done.code == 2, done.output
    edges = [line for line in done.output.splitlines() if line.startswith(("┌", "└"))]
    assert [len(line) for line in edges] == [100, 100]
    assert "`dokku apps:create nobody`, or set DOKKU_CREATE_APP=true, with which" in done.output


def test_destroy_at_a_delete_event_names_neither_an_address_nor_another_commit(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """GITHUB_SHA and GITHUB_REF are those of the default branch then, and the app is gone
    afterwards (faults G4)."""
    (tmp_path / "event").write_text(json.dumps({"ref": "feature", "ref_type": "branch"}))
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(checkout.path),
        "GITHUB_SHA": checkout.head,
        "GITHUB_EVENT_PATH": str(tmp_path / "event"),
    }
    branch = {"GITHUB_REF": "refs/heads/feature", "GITHUB_REF_NAME": "feature"}
    env = settings_for(dokku, **github)
    made = run("ci-deploy", "review", cwd=checkout.path, env={**env, **branch,
               "GITHUB_EVENT_NAME": "push"})  # fmt: skip
    assert made.code == 0, made.output
    assert made.report["url"]
    main = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"}
    done = run("ci-deploy", "destroy", cwd=checkout.path, env={**env, **main,
               "GITHUB_EVENT_NAME": "delete"})  # fmt: skip
    assert done.code == 0, done.output
    assert "hello-feature is removed" in done.output
    assert made.report["url"] not in done.output
    assert done.report["url"] == ""
    assert f"{checkout.head[:7]} (" not in done.output
    assert "Say hello" not in done.output
