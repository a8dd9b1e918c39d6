"""Sidekiq's processes: all that are quieted are restarted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from ci_deploy.errors import OutcomeUnknown, SettingsError
from ci_deploy.layers.applications.rails import Rails, RailsSettings, process_names
from ci_deploy.layers.applications.sidekiq import Sidekiq
from ci_deploy.layers.providers.base import Provider
from ci_deploy.process.runner import Runner
from ci_deploy.state import Live, ProcessAction
from tests.unit.conftest import Log
from tests.unit.test_deployment import BEFORE, FakeProvider, Scene


class Workers:
    """A provider with processes, of which some cannot be restarted."""

    def __init__(self, *names: str, broken: str = "") -> None:
        self.names = names
        self.broken = broken
        self.restarted: list[str] = []

    def processes(self) -> dict[str, int]:
        return dict.fromkeys(self.names, 1)

    def process(self, name: str, action: ProcessAction) -> None:
        assert action is ProcessAction.RESTART
        self.restarted.append(name)
        if name == self.broken:
            message = "no answer."
            raise OutcomeUnknown(message)


def sidekiq(workers: Workers, log: Log, *processes: str) -> Sidekiq:
    return Sidekiq(cast("Provider[object]", workers), processes, log.console)


def test_one_process_that_cannot_be_restarted_leaves_no_other_quiet(log: Log) -> None:
    workers = Workers(broken="worker")
    with pytest.raises(OutcomeUnknown):
        sidekiq(workers, log, "worker", "mailers").wake()
    assert workers.restarted == ["worker", "mailers"]


@pytest.mark.parametrize(
    ("known", "missing"),
    [(("web", "worker"), ("mailers",)), (("worker", "mailers"), ()), ((), ())],
    ids=["one of two", "none", "unknown"],
)
def test_missing_processes(log: Log, known: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert sidekiq(Workers(*known), log, "worker", "mailers").missing() == missing


@pytest.mark.parametrize(
    "text", ["worker mailers", "worker,mailers", "worker\nmailers", "worker, mailers"]
)
def test_names_are_a_list(text: str) -> None:
    assert process_names(text) == ("worker", "mailers")


@pytest.mark.parametrize("text", ["-worker", "worker;x", "worker $(id)"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid process name"):
        process_names(text)


# --- an unknown name is refused before anything is touched ---


@pytest.fixture
def scene(log: Log, runner: Runner, workspace: Path) -> Iterator[Scene]:
    with contextlib.ExitStack() as cleanup:
        yield Scene(log, runner, workspace, cleanup)


class WithWorkers(FakeProvider):
    def processes(self) -> dict[str, int]:
        return {"web": 1, "worker": 1}


def rails(scene: Scene, *workers: str, before: Live = BEFORE) -> Rails:
    """The layer of a run that is to quiet these."""
    scene.ctx.provider = WithWorkers(scene.ctx, [])
    scene.ctx.before = before
    return Rails(scene.ctx, RailsSettings(quiet=True, workers=workers))


def test_unknown_process_is_refused(scene: Scene) -> None:
    with pytest.raises(SettingsError, match="web has no process `wroker`") as caught:
        rails(scene, "worker", "wroker").check_workers()
    assert "Did you mean `worker`?" in str(caught.value)


def test_known_ones_and_a_first_deploy_are_not(scene: Scene) -> None:
    rails(scene, "worker").check_workers()
    rails(scene, "wroker", before=Live()).check_workers()
    scene.ctx.command = "rollback"
    rails(scene, "wroker").check_workers()
