"""Records of runs in the swarm, so that every manager has them: a config for each run that began,
and one for each that ended. For a release that was live it contains the stack file, with pinned
images."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ci_deploy.layers.providers.docker.rollback_target import Earlier, choose
from ci_deploy.layers.providers.swarm.judge import digest
from ci_deploy.layers.providers.swarm.state import OURS, Kept, Stack
from ci_deploy.state import Deployed, Live

KEEP = 5  # releases to keep that were live
LIVE, STARTED = "live", "started"


class Run(NamedTuple):
    """A deploy or rollback that is recorded; `begin` makes it."""

    name: str  # of the config that records its begin; `.end` follows for its end
    facts: Mapping[str, str]  # the labels of both

    def record(self, outcome: str, **more: str) -> tuple[str, list[str]]:
        """The name and the `name=value` labels of the config that records `outcome` now: STARTED,
        LIVE, `failed`, `rolled-back`, `unknown` or `cancelled`. `more` are labels too."""
        labels = {**self.facts, "outcome": outcome, "at": now(), "run": self.name, **more}
        name = self.name if outcome == STARTED else f"{self.name}.end"
        return name, [f"{OURS}{key}={value}" for key, value in labels.items() if value]


def begin(stack: str, action: str, facts: Mapping[str, str], release: str) -> Run:
    """A run that begins now. `action`: `deploy` or `rollback`; `facts`: revision, tag, pipeline and
    actor, for the record."""
    began = datetime.now(UTC)
    stamp = f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03}{secrets.token_hex(1)}"
    keys = ("revision", "tag", "pipeline", "actor")
    known = {key: facts[key] for key in keys if facts.get(key)}
    more = {"stack": stack, "kind": "record", "action": action, "release": release}
    return Run(f"ci-deploy.{stack[:24]}.{stamp}", {**known, **more})


def now() -> str:
    """The present time, ISO 8601 in UTC with whole seconds, as in the records."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def records(stack: Stack) -> list[Kept]:
    """All records, newest first by the index that the swarm gives them: clocks of runners
    differ."""
    found = (each for each in stack.kept if each.label("kind") == "record")
    return sorted(found, key=lambda each: each.version, reverse=True)


def verified(stack: Stack) -> list[Kept]:
    """The newest record of each release that was live, newest first."""
    first: dict[str, Kept] = {}
    for each in records(stack):
        if each.label("outcome") == LIVE:
            first.setdefault(each.label("release"), each)
    return list(first.values())


def deployments(stack: Stack) -> list[Deployed]:
    """The results of all recorded runs, newest first; for a run without a result, its start."""
    found = records(stack)
    ended = {each.label("run") for each in found if each.label("outcome") != STARTED}
    return [
        Deployed(
            each.label("revision"), each.label("at"), _status(each), each.label("release"),
            each.label("pipeline") or each.label("actor"), each.label("outcome") == LIVE,
        )
        for each in found
        if each.label("outcome") != STARTED or each.label("run") not in ended
    ]  # fmt: skip


def _status(record: Kept) -> str:
    outcome = record.label("outcome")
    if outcome == STARTED:
        return "started; its end was not recorded"
    back = record.label("action") == "rollback" and outcome == LIVE
    return f"{outcome}{' by rollback' if back else ''}"


def target(app: str, stack: Stack, live: Live, wanted: str) -> Kept:
    """The record of the release to roll back to. `wanted`: an id, a tag or the beginning of a
    revision; empty for the previous release. Raises Refused."""
    known = {each.label("release"): each for each in verified(stack)}
    current = live.release if live.up else ""
    kept = [Earlier(name, e.label("tag"), e.label("revision")) for name, e in known.items()]
    return known[choose(kept, current, wanted, app)]


def superfluous(stack: Stack, data: Mapping[str, Any], release: str) -> list[str]:
    """What can be removed once `release`, with the stack file `data`, is live, as `kind:name`:
    records older than those of the kept releases, and contents that none of these uses."""
    kept = [each for each in verified(stack) if each.label("release") != release][: KEEP - 1]
    found = records(stack)
    older = found[found.index(kept[-1]) + 1 :] if len(kept) == KEEP - 1 else []
    uses = set(used(data))
    for each in kept:
        uses |= set(each.label("uses").split())
    runs = {each.label("run") for each in kept}
    gone = [f"config:{each.name}" for each in older if each.label("run") not in runs]
    gone += [
        f"{each.kind}:{each.name}"
        for each in stack.kept
        if each.label("kind") == "content" and each.name not in uses
    ]
    return gone


def images(data: Mapping[str, Any]) -> str:
    """The image digests of the services whose images are pinned, `NAME=DIGEST …`, for a label of a
    record."""
    found = (
        (name, str(entry.get("image"))) for name, entry in (data.get("services") or {}).items()
    )
    return " ".join(f"{name}={digest(image)}" for name, image in found if "@" in image)


def used(data: Mapping[str, Any]) -> Iterable[str]:
    """The names of the configs and secrets that a stack file uses."""
    for kind in ("configs", "secrets"):
        yield from (str(each.get("name")) for each in (data.get(kind) or {}).values())


def label_lines(values: Mapping[str, str]) -> Sequence[str]:
    """Labels of ours, given without their prefix, as `name=value` arguments."""
    return [f"{OURS}{key}={value}" for key, value in values.items()]
