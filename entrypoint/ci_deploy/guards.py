"""Guards that look at the job alone, before any setting of a layer is read."""

from __future__ import annotations

import re

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Refused, SkipDeploy

NOT_PRODUCTION = re.compile(r"stag|test|dev|review|preview|qa|demo|sandbox", re.I)


def doubts(facts: CIContext) -> list[str]:
    """What is probably a mistake, but no reason to refuse."""
    found = []
    if facts.tier == "production" and NOT_PRODUCTION.search(facts.environment):
        found = [f"the tier of `{facts.environment}` is production: set the input `tier` to fit."]
    if facts.tests not in {"", "success"}:
        fit = "`if: github.event.workflow_run.conclusion == 'success'`"
        found += [f"the workflow run that this one follows ended as {facts.tests}: add {fit}."]
    return found


def check(command: str, facts: CIContext, allow: tuple[str, ...]) -> None:
    """Raise SkipDeploy or Refused when this job must not touch anything."""
    if facts.untrusted and "untrusted" not in allow:
        message, hint = _untrusted(facts)
        raise Refused(message, hint=hint)
    if facts.fork and not facts.untrusted and "fork" not in allow:
        message = "this comes from a fork, which has no secrets to deploy with: nothing was done."
        raise SkipDeploy(message)
    if facts.dependabot and "fork" not in allow:
        message = "Dependabot's pull requests get no secrets to deploy with: nothing was done."
        raise SkipDeploy(message)
    if facts.freeze and command in {"deploy", "promote"} and "freeze" not in allow:
        message = "a deploy freeze is in force (CI_DEPLOY_FREEZE)."
        raise Refused(message, hint="Wait for its end, or set DEPLOY_ALLOW=freeze for this job.")
    if facts.unasked and command == "destroy":
        message = "this job, which removes a review app, has started by itself."
        hint = "The input `rules` has a `when`, which the stop job then has too: leave it out, or "
        raise Refused(message, hint=hint + "write `when: manual`.")


def _untrusted(facts: CIContext) -> tuple[str, str]:
    """What is wrong, and what to do."""
    know = "if you know what you do: DEPLOY_ALLOW=untrusted."
    if facts.fork:
        message = f"a `{facts.event}` job runs a stranger's code with this project's secrets."
        hint = "Deploy it from a `pull_request` job of a branch of this repository instead; "
        return message, hint + know
    message = f"this `{facts.event}` follows the run of a pull request, which nobody has merged."
    hint = "Add to the job `if: github.event.workflow_run.event == 'push'`; "
    return message, hint + know
