"""Guards: jobs that must not touch anything, and the words that let them."""

from __future__ import annotations

import pytest

from ci_deploy import guards
from ci_deploy.ci.base import CIContext
from ci_deploy.context import CoreSettings
from ci_deploy.errors import Refused, SkipDeploy
from ci_deploy.settings import load
from ci_deploy.source import Source

FREEZE = CIContext(freeze=True)
FORK = CIContext(fork=True)
UNTRUSTED = CIContext(fork=True, untrusted=True, event="pull_request_target")
COMMANDS = ("deploy", "review", "promote", "rollback", "destroy")


@pytest.mark.parametrize("command", COMMANDS)
def test_ordinary_jobs_pass(command: str) -> None:
    guards.check(command, CIContext(), ())


@pytest.mark.parametrize("command", ["deploy", "promote"])
def test_freeze_stops_what_brings_code(command: str) -> None:
    with pytest.raises(Refused, match="CI_DEPLOY_FREEZE") as caught:
        guards.check(command, FREEZE, ("fork", "untrusted"))
    assert caught.value.code == 14
    assert "DEPLOY_ALLOW=freeze" in caught.value.hint
    guards.check(command, FREEZE, ("freeze",))


@pytest.mark.parametrize("command", ["rollback", "review", "destroy"])
def test_freeze_does_not_stop_going_back_or_reviewing(command: str) -> None:
    guards.check(command, FREEZE, ())


@pytest.mark.parametrize("command", COMMANDS)
def test_fork_is_skipped_and_not_a_failure(command: str) -> None:
    with pytest.raises(SkipDeploy, match="comes from a fork"):
        guards.check(command, FORK, ("freeze", "untrusted"))
    guards.check(command, FORK, ("fork",))


@pytest.mark.parametrize("command", COMMANDS)
def test_strangers_code_with_our_secrets_is_refused(command: str) -> None:
    with pytest.raises(Refused, match="a `pull_request_target` job runs a stranger's code"):
        guards.check(command, UNTRUSTED, ("fork", "freeze"))
    guards.check(command, UNTRUSTED, ("untrusted",))


@pytest.mark.parametrize("command", COMMANDS)
def test_code_that_nobody_has_merged_is_refused_beside_our_secrets(command: str) -> None:
    unmerged = CIContext(untrusted=True, event="workflow_run")
    with pytest.raises(Refused, match="follows the run of a pull request") as caught:
        guards.check(command, unmerged, ("fork", "freeze"))
    assert caught.value.code == 14
    assert "github.event.workflow_run.event == 'push'" in caught.value.hint
    guards.check(command, unmerged, ("untrusted",))


@pytest.mark.parametrize("command", COMMANDS)
def test_dependabot_is_skipped_and_not_a_failure(command: str) -> None:
    with pytest.raises(SkipDeploy, match="Dependabot's pull requests get no secrets"):
        guards.check(command, CIContext(dependabot=True), ("freeze", "untrusted"))
    guards.check(command, CIContext(dependabot=True), ("fork",))


@pytest.mark.parametrize("command", COMMANDS)
def test_review_app_is_not_removed_by_a_job_that_started_by_itself(command: str) -> None:
    if command != "destroy":
        return guards.check(command, CIContext(unasked=True), ())
    with pytest.raises(Refused, match="has started by itself") as caught:
        guards.check(command, CIContext(unasked=True), ("freeze", "fork", "untrusted"))
    assert "`rules` has a `when`" in caught.value.hint
    return None


def test_names_of_guards_are_checked() -> None:
    source = Source({"APP_NAME": "web", "DEPLOY_ALLOW": "freeze, forks"})
    assert load(CoreSettings, source, lambda _secret: None) is None
    (problem,) = source.problems
    assert "`forks` is not one of freeze, fork, untrusted. Did you mean `fork`?" in str(problem)


def test_deploying_what_has_failed_its_tests_is_worth_a_warning() -> None:
    (doubt,) = guards.doubts(CIContext(event="workflow_run", tests="failure"))
    assert "ended as failure" in doubt
    assert guards.doubts(CIContext(event="workflow_run", tests="success")) == []
