"""Guards by the facts of the job. `check` runs before any layer's settings are read, `check_code`
when the checkout is open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Refused, SkipDeploy

if TYPE_CHECKING:
    from ci_deploy.git.repository import Repository

# Commands that are refused instead of skipped: a green job would suggest that they have run.
ANSWERS = {"backups", "doctor", "history", "logs", "restore", "run", "status", "unlock"}
NOT_PRODUCTION = re.compile(r"stag|test|dev|review|preview|qa|demo|sandbox", re.I)


def doubts(facts: CIContext) -> list[str]:
    """Warnings, a sentence each, about facts of the job that are probably mistakes, but no reason
    to refuse; empty if there are none."""
    found = []
    if facts.tier == "production" and NOT_PRODUCTION.search(facts.environment):
        found = [
            (
                f"the tier of the environment `{facts.environment}` is production: set the input "
                "`tier` of the component (`deployment_tier` of the job) to match the environment."
            )
        ]
    if facts.tests not in {"", "success"}:
        fit = "`if: github.event.workflow_run.conclusion == 'success'`"
        ended = f"the workflow run that this one follows ended as {facts.tests}"
        found += [f"{ended}: to deploy only after success, add {fit} to the job."]
    return found


def check(command: str, facts: CIContext, allow: tuple[str, ...], *, review_app: str = "") -> None:
    """Check that this job may run `command`. Raises Refused when it may not, SkipDeploy when there
    is nothing to do: the code of a fork or of Dependabot, a closed pull request.

    `allow` is DEPLOY_ALLOW. `review_app` is not empty when it is known on which app the command
    acts, as with REVIEW_APP_NAME: then the job's branch does not matter.
    """
    _check_origin(command, facts, allow)
    if facts.freeze and command in {"deploy", "promote"} and "freeze" not in allow:
        message = "a deploy freeze of the GitLab project is in force (CI_DEPLOY_FREEZE)."
        raise Refused(message, hint="Wait for its end, or set DEPLOY_ALLOW=freeze for this job.")
    if facts.unasked and command == "destroy":
        message = "this job would remove a review app, but it was started automatically."
        hint = "Remove `when` from the input `rules`, since it also applies to the stop job, or "
        raise Refused(message, hint=hint + "write `when: manual`.")
    if not review_app:
        _check_which_app(command, facts)


def check_code(
    facts: CIContext, repository: Repository, revision: str, allow: tuple[str, ...]
) -> None:
    """Raise Refused if the job may run a stranger's code with our secrets: anybody can start it,
    and the history in `repository` does not show that `revision` (empty: none) and the checkout's
    HEAD are part of the default branch. `allow` is DEPLOY_ALLOW."""
    if not facts.anyones or "untrusted" in allow:
        return
    base = facts.revision
    for sha in filter(None, {revision, repository.head} - {base}):
        if not (repository.has(base) and repository.has(sha) and repository.is_ancestor(sha, base)):
            message = (
                f"anybody can start a `{facts.event}` job, and {sha[:7]} is not known to be part "
                "of the default branch, so it may be a stranger's code."
            )
            hint = (
                "If it is part of it, fetch the whole history (`fetch-depth: 0`). Otherwise deploy "
                "it from a `pull_request` job, or, if you have checked who wrote it, set "
                "DEPLOY_ALLOW=untrusted."
            )
            raise Refused(message, hint=hint)


def _check_which_app(command: str, facts: CIContext) -> None:
    name = "Set REVIEW_APP_NAME to name the app."
    if command == "review" and facts.closed:
        change = f"pull request {facts.change}".rstrip()
        message = f"{change} is closed, so its review app is not recreated: nothing was done."
        raise SkipDeploy(message)
    if command == "review" and facts.event == "delete":
        message = f"{facts.astray}, so there is no code for its review app."
        raise Refused(message, hint="To remove that app, run `destroy` in this job.")
    if command in {"review", "destroy"} and facts.astray and facts.event != "delete":
        message = f"{facts.astray}, so it is unknown which review app is meant."
        raise Refused(message, hint=name)
    if command == "rollback" and facts.of_a_change:
        message = (
            "this job belongs to a merge or pull request or to a review environment, but "
            "`rollback` without REVIEW_APP_NAME would roll back the base app."
        )
        hint = f"{name} To roll back the base app, run `rollback` in a job of its environment."
        raise Refused(message, hint=hint)


def _check_origin(command: str, facts: CIContext, allow: tuple[str, ...]) -> None:
    if facts.doubt and "untrusted" not in allow:
        hint = (
            "Deploy from a `push` or `pull_request` job, or, if you have checked whose code it is, "
        )
        raise Refused(facts.doubt, hint=hint + "set DEPLOY_ALLOW=untrusted.")
    if facts.untrusted and "untrusted" not in allow:
        message, hint = _untrusted(facts)
        raise Refused(message, hint=hint)
    if "fork" in allow:
        return
    message = ""
    if facts.fork and not facts.untrusted:
        message = "the code comes from a fork, whose jobs usually get no secrets: nothing was done."
    elif facts.dependabot:
        message = "Dependabot's pull requests usually get no secrets: nothing was done."
    hint = "If this job does have the secrets, set DEPLOY_ALLOW=fork."
    if message and command in ANSWERS:  # a green job would say that it was done
        raise Refused(message, hint=hint)
    if message:
        raise SkipDeploy(f"{message} {hint}")


def _untrusted(facts: CIContext) -> tuple[str, str]:
    """The reason to refuse, and what to do."""
    know = "if you know what you are doing, set DEPLOY_ALLOW=untrusted."
    if facts.fork:
        message = f"a `{facts.event}` job runs a stranger's code with this project's secrets."
        hint = "Deploy it from a `pull_request` job of a branch of this repository instead; "
        return message, hint + know
    message = f"this `{facts.event}` job follows a run for a pull request, whose code may not be "
    message += "merged."
    hint = "Add to the job `if: github.event.workflow_run.event == 'push'`; "
    return message, hint + know
