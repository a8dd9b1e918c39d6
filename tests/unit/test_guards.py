"""Guards: jobs that must not touch anything, and the words that let them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Refused, SkipDeploy
from ci_deploy.run import guards
from ci_deploy.settings import load
from ci_deploy.settings.core import CoreSettings
from ci_deploy.settings.sources import Source

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
    with pytest.raises(Refused, match="follows a run for a pull request") as caught:
        guards.check(command, unmerged, ("fork", "freeze"))
    assert caught.value.code == 14
    assert "github.event.workflow_run.event == 'push'" in caught.value.hint
    guards.check(command, unmerged, ("untrusted",))


@pytest.mark.parametrize("command", COMMANDS)
def test_dependabot_is_skipped_and_not_a_failure(command: str) -> None:
    with pytest.raises(SkipDeploy, match=r"usually get no secrets.*DEPLOY_ALLOW=fork"):
        guards.check(command, CIContext(dependabot=True), ("freeze", "untrusted"))
    guards.check(command, CIContext(dependabot=True), ("fork",))


@pytest.mark.parametrize("command", COMMANDS)
def test_review_app_is_not_removed_by_a_job_that_started_by_itself(command: str) -> None:
    if command != "destroy":
        return guards.check(command, CIContext(unasked=True), ())
    with pytest.raises(Refused, match="it was started automatically") as caught:
        guards.check(command, CIContext(unasked=True), ("freeze", "fork", "untrusted"))
    assert "Remove `when` from the input `rules`" in caught.value.hint
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


USING = (*COMMANDS, "plan", "doctor", "run", "history", "unlock")


@pytest.mark.parametrize("command", USING)
def test_code_of_which_nothing_is_known_is_refused(command: str) -> None:
    """(faults J5)"""
    facts = CIContext(doubt="the payload cannot be read.")
    with pytest.raises(Refused, match="cannot be read") as caught:
        guards.check(command, facts, ("fork", "freeze"))
    assert caught.value.code == 14
    assert "DEPLOY_ALLOW=untrusted" in caught.value.hint
    guards.check(command, facts, ("untrusted",))


@pytest.mark.parametrize("command", ["doctor", "run", "history", "unlock"])
def test_command_that_answers_is_not_green_in_a_fork(command: str) -> None:
    """(faults J5)"""
    with pytest.raises(Refused, match="comes from a fork"):
        guards.check(command, FORK, ())


@pytest.mark.parametrize("command", ["review", "destroy"])
def test_review_app_is_not_that_of_the_default_branch(command: str) -> None:
    """A comment `/destroy` removed hello-main. (faults A13)"""
    facts = CIContext(ref="main", astray="a `issue_comment` job runs on the default branch")
    with pytest.raises(Refused, match="which review app is meant") as caught:
        guards.check(command, facts, ())
    assert "REVIEW_APP_NAME" in caught.value.hint
    guards.check(command, facts, (), review_app="hello-login")


def test_deleted_branch_has_its_review_app_removed_but_not_made() -> None:
    """(faults A13)"""
    facts = CIContext(ref="old", event="delete", astray="the branch of this event is gone")
    guards.check("destroy", facts, ())
    with pytest.raises(Refused, match="is gone, so there is no code") as caught:
        guards.check("review", facts, ())
    assert "`destroy`" in caught.value.hint


def test_closed_pull_request_gets_no_review_app() -> None:
    """(faults A13)"""
    facts = CIContext(ref="feature", change="5", closed=True)
    with pytest.raises(SkipDeploy, match="pull request 5 is closed"):
        guards.check("review", facts, ())
    guards.check("destroy", facts, ())


@pytest.mark.parametrize(
    "facts", [CIContext(change="5"), CIContext(environment="review/login")], ids=["change", "env"]
)
def test_rollback_in_the_job_of_a_review_app_is_not_that_of_production(facts: CIContext) -> None:
    """(faults E3)"""
    with pytest.raises(Refused, match="would roll back the base app") as caught:
        guards.check("rollback", facts, ())
    assert caught.value.code == 14
    guards.check("rollback", facts, (), review_app="hello-login")
    guards.check("rollback", facts._replace(environment="production"), ())


class History:
    """A checkout whose HEAD is a stranger's."""

    head = "b" * 40

    def has(self, _sha: str) -> bool:
        """All is there."""
        return True

    def is_ancestor(self, old: str, _new: str) -> bool:
        """Only one commit is part of the default branch."""
        return old == "c" * 40


def test_comment_brings_no_strangers_code_beside_our_secrets() -> None:
    """Neither as revision nor, for its hooks, as checkout. (faults J4)"""
    facts = CIContext(event="issue_comment", revision="a" * 40, anyones=True)
    history = cast("Any", History())
    with pytest.raises(Refused, match="bbbbbbb is not known to be part of the default branch"):
        guards.check_code(facts, history, facts.revision, ())
    guards.check_code(facts, history, facts.revision, ("untrusted",))
    history.head = facts.revision
    guards.check_code(facts, history, "c" * 40, ())
    with pytest.raises(Refused, match="ddddddd"):
        guards.check_code(facts, history, "d" * 40, ())
