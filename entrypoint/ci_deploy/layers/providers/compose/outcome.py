"""The outcome of a deploy, from the ends of the runs on the hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    Locked,
    OutcomeUnknown,
    Refused,
    RolledBack,
)
from ci_deploy.layers.providers.compose.host_run_log import HostRunLog

# Errors of registries and Docker about an image that cannot be pulled.
PULL_HINTS = {
    r"no basic auth|unauthorized|(?<!permission )denied|authentication required": (
        "The registry requires a login, or this login may not pull the image: check "
        "DOCKER_REGISTRY, DOCKER_USER and DOCKER_PASS, and the image's name."
    ),
    r"manifest unknown|manifest for|not found|no such manifest": (
        "No such image: the job that builds it must push it with the tag that `ci-deploy "
        "tag` prints, or DEPLOY_TAG must name its tag."
    ),
}
UNKNOWN = "did not report how its run ended"
BYSTANDERS = {"live", "noop", "unchanged", "recalled"}  # ends of hosts that did not fail first


def failure(logs: Sequence[HostRunLog], how_to_follow: str) -> DeployError | None:
    """The error that follows from how the runs ended on the hosts; None when all of them run the
    release. `how_to_follow`: commands for people, for the hint."""
    bad = [log for log in logs if not (log.end and log.end.good)]
    if not bad:
        return None
    first = next((w for w in bad if w.end and w.end.word not in BYSTANDERS), bad[0])
    word, text = (first.end.word, first.end.text) if first.end else ("died", "")
    several = len(logs) > 1
    where = f"{first.host}: " if several else ""
    lines = tuple(first.trouble[-20:])
    others = _others(logs, first) if several else ""
    back = any(log.end and log.end.word in {"rolled-back", "recalled"} for log in logs)
    if word == "locked":
        return Locked(f"{where}{text}.", hint=how_to_follow)
    if word == "refused":
        return Refused(f"{where}{text}.")
    if word == "died":
        message = f"{where}the run on the host was killed. {others}".rstrip()
        hint = "Run the job again: it completes the unfinished release, or rolls it back."
        return OutcomeUnknown(message, hint=hint)
    if word == "broken":
        hint = "The next deployment first tries again to repair what is unfinished on the host."
        return DeployFailed(f"{where}{text}. {others}".rstrip(), hint=hint, lines=lines)
    if word == "stopped":
        why = "The new containers were stopped, since there is no earlier release to roll back to."
        hint = "Fix the cause and deploy again."
        return DeployFailed(f"{where}{text}. {why} {others}".rstrip(), hint=hint, lines=lines)
    if word in {"rolled-back", "recalled"} or back:
        return RolledBack(f"{where}{text}. {others}".rstrip(), lines=lines)
    message = f"{where}{text}. No running container was replaced by this release. {others}".rstrip()
    hints = (hint for said, hint in PULL_HINTS.items() if re.search(said, text, re.I))
    hint = "" if first.bad_files else next(hints, "")
    return DeployFailed(message, hint=hint, lines=lines)


def _others(logs: Sequence[HostRunLog], first: HostRunLog) -> str:
    """A sentence about the other hosts."""
    said = {
        "live": "runs this release",
        "noop": "runs this release",
        "unchanged": "is unchanged",
        "recalled": "rolled back",
        "rolled-back": "rolled back",
        "stopped": "stopped the new containers",
        "died": UNKNOWN,
    }
    parts = [
        f"{log.host} {said.get(log.end.word, log.end.word) if log.end else UNKNOWN}"
        for log in logs
        if log is not first
    ]
    return f"{', '.join(parts)}." if parts else ""
