"""What ci-deploy keeps in a swarm: records of runs, contents of releases, pending tasks, marks of
review apps.

All of it is in configs and secrets of the swarm itself, so that every manager has it, and nothing
is lost with one of them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.swarm import records
from ci_deploy.layers.providers.swarm.contents import Content
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.reading import as_bytes
from ci_deploy.layers.providers.swarm.state import MARK, RESTORE, Kept, Stack
from ci_deploy.run.review_app import ReviewApp
from ci_deploy.run.tasks import Task, dumped
from ci_deploy.settings.lines import from_json


def mark_name(stack: str) -> str:
    """The name of the config that marks the stack `stack` as a review app."""
    return f"ci-deploy.{stack}.{MARK}"


class Store:
    """Reads and writes the configs and secrets of ci-deploy through a manager. In `plan` changes
    are announced but not made."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager

    def data(self, record: Kept) -> dict[str, Any]:
        """The stack file in the record of a release. Raises DeployFailed when the config is gone or
        damaged, Unreachable."""
        answer = self.manager.read(["data"], [record.name])
        try:
            data: dict[str, Any] = from_json(base64.b64decode(from_json(answer.text)))
        except ValueError:
            release, said = record.label("release"), answer.errors or "it contains no stack file"
            message = f"the config {record.name}, the record of {release}, cannot be read: {said}"
            hint = f"Run the job again; if it stays so, deploy the revision of {release} anew."
            raise DeployFailed(message, hint=hint) from None
        return data

    def record(
        self,
        run: records.Run,
        outcome: str,
        data: Mapping[str, Any],
        what: str,
        *,
        client: str = "",
    ) -> None:
        """Record that a run began, or how it ended. `data`: its stack file, empty for none; `what`:
        the text for the log, empty for none; `client`: what a client saw. Raises DeployFailed,
        OutcomeUnknown."""
        uses, images = " ".join(records.used(data)), records.images(data)
        name, labels = run.record(outcome, uses=uses, images=images, client=client)
        self._make("config", name, labels, as_bytes(data), what)

    def create(self, stack: Stack, contents: Sequence[Content]) -> None:
        """Create those configs and secrets of a release that the swarm does not have yet. Raises
        DeployFailed, OutcomeUnknown."""
        there = {(each.kind, each.name) for each in stack.kept}
        labels = records.label_lines({"stack": stack.name, "kind": "content"})
        for each in contents:
            if (each.kind, each.name) not in there:
                what = f"create the {each.kind} {each.name}"
                self._make(each.kind, each.name, [*each.options, *labels], each.data, what)

    def mark(self, review: ReviewApp) -> None:
        """Mark the stack as the review app `review`. Raises DeployFailed, OutcomeUnknown."""
        at = records.now()
        labels = {"stack": self.manager.stack, "kind": MARK, "review": review.base, "at": at}
        labels |= {"branch": review.branch, "app": review.name}
        given = records.label_lines({key: value for key, value in labels.items() if value})
        what = f"mark {review.name} in the swarm as a review app of {review.base}"
        self._make("config", mark_name(self.manager.stack), given, b"-", what)

    def note(self, old: Sequence[str], text: str, what: str) -> None:
        """Replace the task records `old` (names of configs) by one with `text`; if that is empty,
        only remove them. `what` is the text for the log. Raises DeployFailed, OutcomeUnknown."""
        if text:
            self._note("note", "note", text, what)
        self.drop(old, "" if text else what)

    def _note(self, kind: str, word: str, text: str, what: str) -> None:
        stack = self.manager.stack
        name = f"ci-deploy.{stack[:24]}.{word}-{secrets.token_hex(4)}"
        labels = records.label_lines({"stack": stack, "kind": kind, "note": text})
        self._make("config", name, labels, b"-", what)

    def restoring(self, old: Sequence[str], task: Task) -> None:
        """Replace the records `old` (names of configs) by `task`, a restore with what it has
        stopped. Raises DeployFailed, OutcomeUnknown."""
        self._note(RESTORE, "restoring", dumped([task]), "")
        self.drop(old)

    def drop(self, configs: Sequence[str], what: str = "") -> None:
        """Remove configs of ours by name; those that are in use stay. Raises OutcomeUnknown."""
        if configs:
            self.manager.change(["tidy"], [f"config:{each}" for each in configs], what)

    def _make(self, kind: str, name: str, labels: Sequence[str], data: bytes, what: str) -> None:
        result = self.manager.change(["create"], [kind, name, *labels], what, data)
        if result.exit_code and not result.planned:
            message = f"the {kind} {name} cannot be created: {' '.join(result.lines)}"
            raise DeployFailed(message, lines=result.lines)

    def tidy(
        self, stack: Stack, data: Mapping[str, Any], release: str, gone: Sequence[str]
    ) -> None:
        """After `release`, with the stack file `data`, is live: remove the services `gone`, ended
        one-off commands, and the records and contents that neither it nor a kept release needs.
        Warns of a service that stays. Raises OutcomeUnknown."""
        named = [f"service:{stack.name}_{name}" for name in gone]
        jobs = [f"service:{name}" for name in stack.ended_jobs]
        if named:
            what = f"remove {', '.join(gone)}, which an earlier release had"
            self._remove(named, what)
        if old := [*jobs, *records.superfluous(stack, data, release)]:
            self._remove(old, "")

    def _remove(self, named: Sequence[str], what: str) -> None:
        """Remove objects. A failure is a warning: the release is live anyway."""
        for line in self.manager.change(["tidy"], named, what).lines:
            if line.startswith("left "):
                _, name, reason = [*line.split(" ", 2), ""][:3]
                self.manager.warn(f"the service {name} could not be removed: {reason.strip()}")
