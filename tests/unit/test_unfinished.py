"""What has to follow a deploy is not forgotten while its revision may still become live."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ci_deploy.errors import DeployFailed, OutcomeUnknown, SkipDeploy, Unreachable
from ci_deploy.layers.applications.commands import TO_BE_RUN, Commands, CommandsSettings
from ci_deploy.layers.base import Layer
from ci_deploy.process.runner import Runner
from ci_deploy.run.events import Event
from ci_deploy.run.tasks import Task
from ci_deploy.state import Live
from tests.unit.conftest import Log
from tests.unit.test_deployment import (
    AFTER,
    BEFORE,
    NEW,
    OLD,
    FakeProvider,
    Scene,
    Step,
    cancel,
    raising,
)  # fmt: skip

BUSY = Live(OLD, up=True, busy=True)


class Noting(FakeProvider):
    """Keeps the note."""

    tasks: Sequence[Task] = ()

    def note(self, tasks: Sequence[Task]) -> None:
        if self.ctx.change_log.announce("note"):
            self.tasks = tasks

    def unfinished(self) -> Sequence[Task]:
        return self.tasks


class WithCommand(Scene):
    """A run with POST_DEPLOY_COMMAND."""

    def prepare(self) -> None:
        self.provider: Noting = Noting(self.ctx, self.calls)
        self.ctx.provider = self.provider
        self.commands = Commands(self.ctx, CommandsSettings(after=(("bin/warm",),)))

    @property
    def layers(self) -> list[Layer[object]]:
        return [*super().layers, self.commands]


@pytest.fixture
def scene(log: Log, runner: Runner, workspace: Path) -> Iterator[WithCommand]:
    with contextlib.ExitStack() as cleanup:
        scene = WithCommand(log, runner, workspace, cleanup)
        scene.prepare()
        yield scene


def end(scene: WithCommand, event: Event, step: Step, answer: Live | Exception) -> int:
    """A run that ends so; its exit code."""
    scene.provider.answer = answer
    scene.app.steps[event] = step
    scene.run()
    return scene.ctx.report.exit_code


@pytest.mark.parametrize(
    ("error", "answer", "code"),
    [
        (OutcomeUnknown("no end after 3600 s."), BUSY, 21),
        (Unreachable("lost."), Unreachable("gone."), 21),
        (DeployFailed("who knows."), BUSY, 20),
        (DeployFailed("not up."), AFTER, 22),
    ],
)
def test_kept_while_the_revision_is_live_or_may_become_so(
    scene: WithCommand, error: Exception, answer: Live | Exception, code: int
) -> None:
    assert end(scene, Event.DEPLOY, raising(error), answer) == code
    assert scene.provider.unfinished() == [TO_BE_RUN]


@pytest.mark.parametrize("answer", [BEFORE, BUSY, Unreachable("gone.")])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_kept_after_a_cancel_once_the_server_has_the_code(
    scene: WithCommand, answer: Live | Exception, signum: int
) -> None:
    """The build goes on there, although the old revision is what answers now."""
    assert end(scene, Event.DEPLOY, cancel(scene, signum), answer) == 128 + signum
    assert scene.provider.unfinished() == [TO_BE_RUN]


def test_the_next_run_finds_the_revision_live_and_finishes_it(scene: WithCommand) -> None:
    scene.provider.note([TO_BE_RUN])
    scene.provider.before = AFTER
    scene.provider.steps[Event.CONFIGURE] = raising(SkipDeploy("it runs."))
    assert scene.run().status == "skipped"
    assert scene.provider.unfinished() == []


@pytest.mark.parametrize(
    ("event", "step", "code"),
    [
        (Event.DEPLOY, raising(DeployFailed("no build.")), 20),
        (Event.PRE_DEPLOY, raising(DeployFailed("no backup.")), 20),
    ],
)
def test_dropped_when_the_revision_cannot_come(
    scene: WithCommand, event: Event, step: Step, code: int
) -> None:
    assert end(scene, event, step, BEFORE) == code
    assert scene.provider.unfinished() == []


def test_dropped_after_a_cancel_before_the_server_has_the_code(scene: WithCommand) -> None:
    """Somebody else's deploy goes on there; ours has not begun."""
    assert end(scene, Event.PRE_DEPLOY, cancel(scene), BUSY) == 143
    assert scene.provider.unfinished() == []


def test_what_goes_on_there_is_in_the_report(scene: WithCommand) -> None:
    end(scene, Event.DEPLOY, raising(OutcomeUnknown("no end.")), BUSY)
    assert scene.ctx.report.busy
    assert scene.ctx.report.live_revision == OLD != NEW
