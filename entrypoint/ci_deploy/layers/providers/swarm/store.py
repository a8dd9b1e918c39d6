"""What ci-deploy keeps in a swarm: records of runs, contents of releases, pending tasks.

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
    """The name of the config that marks a review app."""
    return f"ci-deploy.{stack}.{MARK}"


class Store:
    """Reads and writes these configs and secrets through a manager."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager

    def data(self, record: Kept) -> dict[str, Any]:
        """The stack file of a recorded release. Raises DeployFailed."""
        answer = self.manager.read(["data"], [record.name])
        try:
            data: dict[str, Any] = from_json(base64.b64decode(from_json(answer.text)))
        except ValueError:
            said = answer.errors or answer.text
            message = f"the config {record.name}, a record of a release, cannot be read: {said}"
            raise DeployFailed(message) from None
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
        """Record that a run began, or how it ended. Raises DeployFailed, OutcomeUnknown."""
        uses, images = " ".join(records.used(data)), records.images(data)
        name, labels = run.record(outcome, uses=uses, images=images, client=client)
        self._make("config", name, labels, as_bytes(data), what)

    def create(self, stack: Stack, contents: Sequence[Content]) -> None:
        """Create the missing configs and secrets of a release. Raises DeployFailed,
        OutcomeUnknown."""
        there = {(each.kind, each.name) for each in stack.kept}
        labels = records.label_lines({"stack": stack.name, "kind": "content"})
        for each in contents:
            if (each.kind, each.name) not in there:
                what = f"create the {each.kind} {each.name}"
                self._make(each.kind, each.name, [*each.options, *labels], each.data, what)

    def mark(self, review: ReviewApp) -> None:
        """Mark the stack as a review app before anything else of it exists. Raises DeployFailed."""
        at = records.now()
        labels = {"stack": self.manager.stack, "kind": MARK, "review": review.base, "at": at}
        labels |= {"branch": review.branch, "app": review.name}
        given = records.label_lines({key: value for key, value in labels.items() if value})
        what = f"mark {review.name} in the swarm as a review app of {review.base}"
        self._make("config", mark_name(self.manager.stack), given, b"-", what)

    def note(self, old: Sequence[str], text: str, what: str) -> None:
        """Replace the task records `old` by `text`; if that is empty, only remove them. Raises
        DeployFailed."""
        if text:
            self._note("note", "note", text, what)
        self.drop(old, "" if text else what)

    def _note(self, kind: str, word: str, text: str, what: str) -> None:
        stack = self.manager.stack
        name = f"ci-deploy.{stack[:24]}.{word}-{secrets.token_hex(4)}"
        labels = records.label_lines({"stack": stack, "kind": kind, "note": text})
        self._make("config", name, labels, b"-", what)

    def restoring(self, old: Sequence[str], task: Task) -> None:
        """Replace the records `old` by the task of a restore, with what has to be started again.
        Raises DeployFailed."""
        self._note(RESTORE, "restoring", dumped([task]), "")
        self.drop(old)

    def drop(self, configs: Sequence[str], what: str = "") -> None:
        """Remove configs of ours; those that are in use stay."""
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
        """After `release` is live: remove the services `gone`, ended one-off commands, and the
        records and contents of earlier releases that are not needed any more."""
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
