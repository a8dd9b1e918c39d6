"""One run with fake layers: every exit code and status, judged by what is live."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from ci_deploy.ci.gitlab import GitLab
from ci_deploy.errors import (
    Cancelled,
    DeployError,
    DeployFailed,
    Locked,
    OutcomeUnknown,
    Problem,
    Refused,
    RolledBack,
    SettingsError,
    SkipDeploy,
    ToolMissing,
    Unauthorized,
    Unhealthy,
    Unreachable,
)
from ci_deploy.layers.base import Application, Layer, Notifier, ThirdParty
from ci_deploy.layers.providers.base import Provider
from ci_deploy.process.cancellation import Cancellation, Phases
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.process.runner import Runner
from ci_deploy.report.outputs import Report
from ci_deploy.run.context import Context
from ci_deploy.run.deployment import Deployment
from ci_deploy.run.events import Event, on
from ci_deploy.run.notifications import Notice
from ci_deploy.settings.core import CoreSettings
from ci_deploy.state import Live, ProcessAction, Ran
from tests.unit.conftest import Log

OLD, NEW = "a" * 40, "b" * 40
BEFORE = Live(OLD, up=True, url="https://web.example.com")
AFTER = Live(NEW, up=True, url="https://web.example.com", release="v2")
DOWN = Live(NEW, up=False, detail="0 of 1 processes up")
Step = Callable[[], object]


def raising(error: Exception) -> Step:
    def step() -> None:
        raise error

    return step


class Acting:
    """Handles every event of a deploy: notes it, and does what the test wants."""

    name: ClassVar[str]

    def __init__(self, ctx: Context, calls: list[str], **steps: Step) -> None:
        super().__init__(ctx, SimpleNamespace(strict=False))  # type: ignore[call-arg]
        self.calls = calls
        self.steps = steps

    def act(self, event: str) -> None:
        self.calls.append(f"{self.name} {event}")
        self.steps.get(event, lambda: None)()

    @on(Event.CONFIGURE)
    def on_configure(self) -> None:
        self.act("configure")

    @on(Event.PRE_DEPLOY)
    def on_pre_deploy(self) -> None:
        self.act("pre_deploy")

    @on(Event.DEPLOY)
    def on_deploy(self) -> None:
        self.act("deploy")

    @on(Event.POST_DEPLOY)
    def on_post_deploy(self) -> None:
        self.act("post_deploy")

    @on(Event.DEPLOY_SUCCEEDED)
    def on_succeeded(self) -> None:
        self.act("deploy_succeeded")

    @on(Event.DEPLOY_SKIPPED)
    def on_skipped(self) -> None:
        self.act("deploy_skipped")

    @on(Event.DEPLOY_FAILED)
    def on_failed(self) -> None:
        self.act("deploy_failed")


class FakeProvider(Acting, Provider[Any]):
    """Deploys by saying so; answers what the test wants when it is asked what is live."""

    name = "fake"
    exists = True
    before: Live | None = BEFORE
    answer: Live | Exception = AFTER
    start = ""
    asked = 0

    @property
    def scale_command(self) -> str:
        return self.start

    @on(Event.CONFIGURE)
    def on_configure(self) -> None:
        self.ctx.before = self.before
        super().on_configure()

    @on(Event.DEPLOY)
    def on_deploy(self) -> None:
        if self.ctx.change_log.announce("push"):
            super().on_deploy()
            if isinstance(self.answer, Live):
                self.ctx.verified(self.answer)

    def connect(self) -> None:
        """Always there."""

    def live(self) -> Live:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def run(self, command: Sequence[str], **_options: Any) -> Ran:  # noqa: ARG002
        return Ran(0)

    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        """Nothing to do."""

    def config(self) -> Mapping[str, str]:
        return {}


class App(Acting, Application[Any]):
    name = "app"


class Watcher(Acting, ThirdParty[Any]):
    name = "watcher"


class Chat(Notifier[Any]):
    """Notes what it is told."""

    name = "chat"

    def __init__(self, ctx: Context, *, strict: bool = False) -> None:
        super().__init__(ctx, SimpleNamespace(strict=strict))
        self.told: list[str] = []
        self.before_sending: Step = lambda: None

    def send(self, notice: Notice) -> None:
        self.before_sending()
        self.told.append(notice.title.split(": ", 1)[1])


class Scene:
    """A run that is set up, and how it ended."""

    def __init__(
        self, log: Log, runner: Runner, workspace: Path, cleanup: contextlib.ExitStack
    ) -> None:
        self.log = log
        self.workspace = workspace
        self.calls: list[str] = []
        ci = GitLab({"CI_PROJECT_DIR": str(workspace), "CI_JOB_ID": "1"})
        self.ctx = Context(
            command="deploy",
            settings=CoreSettings(app_name="web", environment="staging"),
            ci=ci,
            environ={},
            console=log.console,
            redactor=log.redactor,
            runner=runner,
            change_log=ChangeLog(lambda what: log.console.indent(f"→ {what}")),
            cancellation=runner.cancellation,
            cleanup=cleanup,
            private_dir=workspace,
            repository=cast("Any", SimpleNamespace(subject=lambda _revision: "")),
            report=Report(command="deploy"),
        )
        self.ctx.choose(NEW)
        self.provider = FakeProvider(self.ctx, self.calls)
        self.app = App(self.ctx, self.calls)
        self.watcher = Watcher(self.ctx, self.calls)
        self.chat = Chat(self.ctx)
        self.ctx.provider = self.provider

    @property
    def layers(self) -> list[Layer[Any]]:
        return [self.provider, self.app, self.watcher, self.chat]

    def set(self, **settings: object) -> None:
        """Change settings."""
        wanted = {**vars(self.ctx.settings), **settings}
        self.ctx.settings = CoreSettings(**wanted)

    def fail(self, event: str, error: Exception, answer: Live | Exception = BEFORE) -> Report:
        """A run in which the app's handler of an event raises, and what is live then."""
        self.provider.answer = answer
        self.app.steps[event] = raising(error)
        return self.run()

    def run(self) -> Report:
        code = Deployment(self.ctx, self.layers).run()
        assert code == self.ctx.report.exit_code
        assert self.ctx.report.finished
        return self.ctx.report

    def ended(self) -> tuple[int, str]:
        return self.ctx.report.exit_code, self.ctx.report.status

    @property
    def outcomes(self) -> list[str]:
        """The outcome events that were emitted."""
        return list(dict.fromkeys(call.split()[1] for call in self.calls if "deploy_" in call))[-1:]

    @property
    def dotenv(self) -> dict[str, str]:
        lines = (self.workspace / "deploy.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def scene(log: Log, runner: Runner, workspace: Path) -> Iterator[Scene]:
    with contextlib.ExitStack() as cleanup:
        yield Scene(log, runner, workspace, cleanup)


def cancel(scene: Scene, signum: int = signal.SIGTERM) -> Step:
    """Press the button, and stop as a layer does that is in the middle of something."""

    def step() -> None:
        scene.ctx.cancellation.cancel(signum)
        scene.ctx.cancellation.check()

    return step


# --- good ends ---


def test_success(scene: Scene) -> None:
    report = scene.run()
    assert scene.ended() == (0, "succeeded")
    assert report.changed
    assert (report.previous_revision, report.live_revision) == (OLD, NEW)
    assert report.live == "web runs bbbbbbb"
    assert report.rollback == "ci-deploy rollback"
    assert scene.outcomes == ["deploy_succeeded"]
    assert [event.name for event in report.events] == [
        *("configure", "provision", "pre_deploy", "deploy", "post_deploy"),
    ]
    assert "succeeded: web runs bbbbbbb" in scene.log.text
    assert "before: aaaaaaa" in scene.log.text


@pytest.mark.parametrize("skipped", [False, True])
@pytest.mark.parametrize("command", ["", "dokku ps:scale web NAME=1"])
def test_deploy_of_which_nothing_runs_says_so(scene: Scene, skipped: bool, command: str) -> None:
    """A bot with nothing but a worker, which nobody has scaled up after the first deploy."""
    scene.provider.before = AFTER._replace(idle=skipped)
    scene.provider.answer = AFTER._replace(idle=True)
    scene.provider.start = command
    if skipped:
        scene.app.steps["configure"] = raising(SkipDeploy("web already runs bbbbbbb."))
    report = scene.run()
    assert report.exit_code == 0
    starts = f"; `{command}` starts one" if command else ""
    told = f"no process of web runs, since all are scaled to 0{starts}"
    assert report.idle == told
    assert f"│ {told}" in scene.log.text
    assert "no process of web runs" in report.summary()


def test_deploy_that_runs_says_nothing_of_its_scale(scene: Scene) -> None:
    assert scene.run().idle == ""
    assert "scaled" not in scene.log.text


def test_events_of_a_deploy_come_in_order_provider_first(scene: Scene) -> None:
    scene.run()
    ordinary = [call for call in scene.calls if call.startswith(("fake", "app"))]
    assert ordinary == [
        f"{name} {event}"
        for event in ("configure", "pre_deploy", "deploy", "post_deploy", "deploy_succeeded")
        for name in ("fake", "app")
    ]


def test_skip(scene: Scene) -> None:
    scene.app.steps["configure"] = raising(SkipDeploy("web already runs bbbbbbb."))
    scene.provider.before = AFTER
    report = scene.run()
    assert scene.ended() == (0, "skipped")
    assert not report.changed
    assert scene.outcomes == ["deploy_skipped"]
    assert (report.live, report.live_revision) == ("web already runs bbbbbbb.", NEW)
    assert [(event.name, event.error) for event in report.events] == [("configure", "")]
    assert scene.ctx.change_log.changes == []


def test_optional_layer_that_fails_is_a_warning(scene: Scene) -> None:
    events = ("configure", "deploy", "post_deploy", "deploy_succeeded")
    for event in events:
        scene.watcher.steps[event] = raising(DeployFailed(f"no {event}."))
    report = scene.run()
    assert scene.ended() == (0, "succeeded")
    assert report.warnings == [f"watcher: no {event}." for event in events]


# --- errors before any change keep their class ---

EARLY: list[tuple[DeployError, int]] = [
    (SettingsError(Problem("APP_NAME", "is wrong.")), 2),
    (ToolMissing("no git."), 10),
    (Unreachable("no server."), 11),
    (Unauthorized("no key."), 12),
    (Locked("locked."), 13),
    (Refused("no."), 14),
    (DeployFailed("failed."), 20),
    (OutcomeUnknown("who knows."), 21),
]


@pytest.mark.parametrize(("error", "code"), EARLY, ids=[str(code) for _, code in EARLY])
def test_error_before_any_change_keeps_its_code(
    scene: Scene, error: DeployError, code: int
) -> None:
    report = scene.fail("pre_deploy", error)
    assert scene.ended() == (code, "failed")
    assert scene.provider.asked == 0, "nothing was changed, so nothing has to be asked"
    assert report.live == "web still runs aaaaaaa."
    assert (report.failed_event, report.failed_layer) == ("pre_deploy", "app")
    assert scene.outcomes == ["deploy_failed"]
    assert not report.changed


def test_what_is_known_to_be_live_is_in_the_outputs_of_a_refused_run(scene: Scene) -> None:
    report = scene.fail("pre_deploy", Refused("no."))
    assert (report.live_revision, report.previous_revision) == (OLD, OLD)
    assert scene.dotenv["DEPLOYED_URL"] == BEFORE.url
    assert scene.dotenv["DEPLOYED_PREVIOUS_REVISION"] == OLD


def test_destroy_that_was_refused_has_removed_nothing(scene: Scene) -> None:
    scene.ctx.command = "destroy"
    report = scene.fail("configure", Refused("it is not marked."))
    assert scene.ended() == (14, "failed")
    assert report.live == "nothing was removed."


def test_error_before_anything_is_known_invents_nothing(scene: Scene) -> None:
    scene.provider.before = None
    report = scene.fail("configure", Unreachable("no server."))
    assert scene.ended() == (11, "failed")
    assert report.live.startswith("nothing was changed. What web runs is unknown; check with ")
    assert (report.live_revision, report.previous_revision) == ("", "")


# --- errors after a change are judged by what is live ---


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeployFailed("failed."), 20),
        (Unreachable("lost."), 20),
        (OutcomeUnknown("deadline."), 20),
        (SettingsError(Problem("X", "wrong.")), 2),
        (ToolMissing("no git."), 10),
        (Unauthorized("no key."), 12),
        (Locked("locked."), 13),
        (Refused("diverged."), 14),
    ],
    ids=lambda value: str(value)[:12],
)
def test_old_revision_is_live(scene: Scene, error: DeployError, code: int) -> None:
    report = scene.fail("deploy", error, BEFORE)
    assert scene.ended() == (code, "failed")
    assert scene.provider.asked == 1
    assert report.live == "web still runs aaaaaaa."
    assert not report.changed


@pytest.mark.parametrize(
    "error", [DeployFailed("failed."), Unreachable("lost."), OutcomeUnknown("x."), Refused("no.")]
)
@pytest.mark.parametrize("answer", [Unreachable("gone."), KeyError("a bug")])
def test_what_is_live_cannot_be_known(scene: Scene, error: DeployError, answer: Exception) -> None:
    report = scene.fail("deploy", error, answer)
    assert scene.ended() == (21, "failed")
    assert report.live == "What web runs is unknown; check with `ci-deploy status`."
    assert report.live_revision == ""


def test_another_host_key_at_the_last_question_is_told(scene: Scene) -> None:
    """It was said that the connection was lost, as if nobody were there (faults J6)."""
    said = Unauthorized("web shows another host key. Somebody may be in between.")
    report = scene.fail("deploy", Unreachable("lost."), said)
    assert report.exit_code == 21
    assert report.warnings == [f"what web runs could not be determined: {said}"]


def test_deploy_that_still_goes_on_there_is_unknown_and_not_failed(scene: Scene) -> None:
    """The deadline has passed here, but the server goes on building."""
    busy = Live(OLD, up=True, busy=True)
    scene.fail("deploy", OutcomeUnknown("no end after 3600 s."), busy)
    assert scene.ended() == (21, "failed")


def test_no_secret_gets_into_the_report(scene: Scene) -> None:
    """Not with the words of an error, nor with those of a change."""
    secret = "s3cr3t-of-the-team"
    scene.ctx.redactor.add(secret)
    error = DeployFailed(f"it said {secret}.", hint=f"Take {secret} away.")
    scene.app.steps["pre_deploy"] = lambda: scene.ctx.change_log.announce(f"set {secret}")
    report = scene.fail("post_deploy", error, AFTER)
    assert report.message.startswith("it said ")
    assert len(report.changes) == 2
    told = [report.message, report.hint, *report.changes, *report.warnings]
    assert secret not in "\n".join(told)


@pytest.mark.parametrize(
    "error",
    [DeployFailed("x."), Unreachable("x."), OutcomeUnknown("x."), Refused("x."), Locked("x.")],
    ids=lambda error: type(error).__name__,
)
def test_new_revision_is_live_despite_the_error(scene: Scene, error: DeployError) -> None:
    report = scene.fail("post_deploy", error, AFTER)
    assert scene.ended() == (22, "live-but-failed")
    assert report.changed
    assert report.live == "web runs bbbbbbb."
    assert report.live_revision == NEW
    assert scene.outcomes == ["deploy_failed"]
    box = scene.log.text.split("┌")[1]
    assert "live but failed: web runs bbbbbbb." in box.splitlines()[1]


def test_live_but_failed_is_a_warning_when_wanted(scene: Scene) -> None:
    scene.set(live_but_failed="warn")
    report = scene.fail("post_deploy", DeployFailed("no migration."), AFTER)
    assert scene.ended() == (0, "live-but-failed")
    assert report.warnings == ["exit code 0 (LIVE_BUT_FAILED=warn), although no migration."]


def test_warn_does_not_make_a_failed_deploy_green(scene: Scene) -> None:
    scene.set(live_but_failed="warn")
    scene.fail("deploy", DeployFailed("x."), BEFORE)
    assert scene.ended() == (20, "failed")


def test_never_green_while_its_processes_are_down(scene: Scene) -> None:
    scene.set(live_but_failed="warn")
    report = scene.fail("post_deploy", DeployFailed("x."), DOWN)
    assert report.exit_code == 22
    assert "web runs bbbbbbb, but is not fully up: 0 of 1 processes up" in report.live


def test_same_revision_deployed_again_and_verified_is_live_when_a_later_step_fails(
    scene: Scene,
) -> None:
    scene.provider.before = AFTER
    scene.fail("post_deploy", DeployFailed("x."), AFTER)
    assert scene.ended() == (22, "live-but-failed")


def test_same_revision_that_could_not_be_deployed_again_is_no_success(scene: Scene) -> None:
    scene.provider.before = AFTER
    scene.provider.answer = AFTER
    scene.provider.steps["deploy"] = raising(DeployFailed("x."))
    scene.run()
    assert scene.ended() == (20, "failed")


def test_some_other_revision_is_live(scene: Scene) -> None:
    report = scene.fail("deploy", DeployFailed("x."), Live("c" * 40, up=True))
    assert scene.ended() == (20, "failed")
    assert report.live == "web runs ccccccc."


def test_nothing_is_live(scene: Scene) -> None:
    scene.provider.before = Live()
    report = scene.fail("deploy", DeployFailed("x."), Live())
    assert scene.ended() == (20, "failed")
    assert report.live == "web runs no known release."


# --- rolled back ---


def test_rolled_back_has_its_own_code(scene: Scene) -> None:
    report = scene.fail("post_deploy", RolledBack("not healthy."), BEFORE)
    assert scene.ended() == (23, "rolled-back")
    assert report.live == "web runs aaaaaaa."
    assert not report.changed


def test_unhealthy_release_is_rolled_back_when_wanted(scene: Scene) -> None:
    scene.set(rollback_on_failure=True)
    back: list[str] = []

    def roll_back(revision: str) -> None:
        back.append(revision)
        scene.provider.answer = BEFORE

    scene.provider.roll_back = roll_back  # type: ignore[method-assign]
    scene.fail("post_deploy", Unhealthy("not healthy."), AFTER)
    assert scene.ended() == (23, "rolled-back")
    assert back == [OLD]


def test_rollback_that_fails_leaves_the_new_release_and_says_so(scene: Scene) -> None:
    scene.set(rollback_on_failure=True)

    def roll_back(revision: str) -> None:
        raise DeployFailed("no.")

    scene.provider.roll_back = roll_back  # type: ignore[method-assign]
    report = scene.fail("post_deploy", Unhealthy("not healthy."), AFTER)
    assert scene.ended() == (22, "live-but-failed")
    assert f"the rollback to {OLD[:7]} failed too: no." in report.warnings


def test_unhealthy_release_stays_when_no_rollback_is_wanted(scene: Scene) -> None:
    scene.fail("post_deploy", Unhealthy("not healthy."), AFTER)
    assert scene.ended() == (22, "live-but-failed")


# --- cancelled ---


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("event", "answer", "live", "changed"),
    [
        ("pre_deploy", BEFORE, "web still runs aaaaaaa.", False),
        ("deploy", BEFORE, "web still runs aaaaaaa.", False),
        ("post_deploy", AFTER, "web runs bbbbbbb.", True),
        (
            "deploy",
            Unreachable("gone."),
            "What web runs is unknown; check with `ci-deploy status`.",
            False,
        ),
    ],
)
def test_cancel_wins_and_says_what_is_live(
    scene: Scene,
    signum: int,
    code: int,
    event: str,
    answer: Live | Exception,
    live: str,
    changed: bool,
) -> None:
    scene.provider.answer = answer
    scene.app.steps[event] = cancel(scene, signum)
    report = scene.run()
    assert scene.ended() == (code, "cancelled")
    assert (report.live, report.changed) == (live, changed)
    assert f"cancelled: {live}" in scene.log.text
    assert scene.outcomes == ["deploy_failed"]
    assert scene.chat.told[-1].startswith("cancelled")


def test_cancel_while_one_layer_restores_leaves_the_next_its_time(scene: Scene) -> None:
    scene.app.steps["deploy"] = raising(DeployFailed("it broke."))
    scene.app.steps["deploy_failed"] = cancel(scene)
    checked: list[bool] = []
    scene.watcher.steps["deploy_failed"] = lambda: checked.append(scene.ctx.cancellation.pending)
    scene.run()
    assert checked == [False]
    assert scene.ended() == (143, "cancelled")


def test_cancel_while_the_last_handlers_run_wins_over_success(scene: Scene) -> None:
    scene.app.steps["deploy_succeeded"] = cancel(scene)
    report = scene.run()
    assert scene.ended() == (143, "cancelled")
    assert report.live == "web runs bbbbbbb"
    assert report.changed


def test_cancel_while_the_last_notice_is_sent_wins_over_success(scene: Scene) -> None:
    def press() -> None:
        if len(scene.chat.told) == 1:
            time.sleep(0.1)
            scene.ctx.cancellation.cancel(signal.SIGINT)

    scene.chat.before_sending = press
    scene.run()
    assert scene.ended() == (130, "cancelled")


def test_cancel_ends_the_waiting_for_notices(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Phases, "LEAVE", 0.3)

    def hang() -> None:
        scene.ctx.cancellation.sleep(10)

    scene.chat.before_sending = hang
    scene.app.steps["deploy_succeeded"] = cancel(scene)
    started = time.monotonic()
    scene.run()
    assert time.monotonic() - started < 5
    assert scene.ended() == (143, "cancelled")


def test_cancel_tells_the_provider_to_stop_what_it_has_started(scene: Scene) -> None:
    stopped: list[bool] = []
    scene.provider.interrupted = lambda: stopped.append(True)  # type: ignore[method-assign]
    scene.app.steps["deploy"] = cancel(scene)
    scene.run()
    assert stopped == [True]


@pytest.mark.parametrize("error", [Unreachable("gone."), KeyError("a bug")])
def test_provider_that_cannot_stop_it_does_not_stop_us(scene: Scene, error: Exception) -> None:
    scene.provider.interrupted = raising(error)  # type: ignore[assignment]
    scene.app.steps["deploy"] = cancel(scene)
    scene.run()
    assert scene.ended() == (143, "cancelled")


# --- bugs, and errors after the end ---


def test_bug_is_told_with_a_traceback_and_the_truth(scene: Scene) -> None:
    report = scene.fail("deploy", KeyError("oops"), BEFORE)
    assert report.exit_code == 1
    assert "Traceback" in scene.log.text
    assert report.live == "web still runs aaaaaaa."
    assert scene.outcomes == ["deploy_failed"]


def test_strict_layer_that_fails_after_success_is_live_but_failed(scene: Scene) -> None:
    report = scene.fail("deploy_succeeded", DeployFailed("late."), AFTER)
    assert scene.ended() == (22, "live-but-failed")
    assert report.message == "app: late."
    assert (report.failed_event, report.failed_layer) == ("deploy_succeeded", "app")


def test_all_handlers_of_an_outcome_run_whatever_the_others_do(scene: Scene) -> None:
    for layer in (scene.provider, scene.app, scene.watcher):
        layer.steps["deploy_failed"] = raising(KeyError(layer.name))
    report = scene.fail("deploy", DeployFailed("the reason."), BEFORE)
    assert scene.calls[-3:] == ["fake deploy_failed", "app deploy_failed", "watcher deploy_failed"]
    assert scene.ended() == (20, "failed")
    assert report.message == "the reason."
    assert scene.chat.told[-1].startswith("deploy failed")


def test_duration_is_that_of_the_whole_run(scene: Scene) -> None:
    """What is built again after a failure takes minutes (faults K1)."""
    scene.app.steps["deploy_failed"] = lambda: time.sleep(0.3)
    report = scene.fail("deploy", DeployFailed("it did not start."))
    assert report.duration >= 0.3
    assert json.loads((scene.workspace / "deploy-report.json").read_text())["duration"] >= 0.3


def test_first_error_stops_the_events(scene: Scene) -> None:
    scene.fail("pre_deploy", DeployFailed("x."))
    assert not [call for call in scene.calls if call.endswith((" deploy", " post_deploy"))]


def test_last_lines_of_a_program_are_shown_once(scene: Scene) -> None:
    shown = DeployFailed("x.", lines=("already shown",), shown=True)
    scene.fail("deploy", shown)
    assert "already shown" not in scene.log.text
    assert scene.ctx.report.lines == ("already shown",)


def test_last_lines_that_were_not_shown_are(scene: Scene) -> None:
    scene.fail("deploy", DeployFailed("x.", lines=("not yet shown",), shown=False))
    assert scene.log.text.count("not yet shown") == 1


def test_secrets_in_errors_reach_no_output(scene: Scene) -> None:
    scene.ctx.redactor.add("s3cret-s3cret")
    error = DeployFailed("no s3cret-s3cret.", hint="s3cret-s3cret", lines=("s3cret-s3cret",))
    scene.ctx.change_log.announce("push to s3cret-s3cret")
    scene.fail("deploy", error)
    assert "s3cret" not in scene.log.text
    for path in scene.workspace.iterdir():
        assert "s3cret" not in path.read_text(), path


# --- notices ---


def test_notices_come_in_order(scene: Scene) -> None:
    scene.chat.before_sending = lambda: time.sleep(0.02)
    scene.run()
    assert scene.chat.told == ["deploying bbbbbbb", "deployed bbbbbbb"]


def test_notice_that_cannot_be_sent_is_a_warning(scene: Scene) -> None:
    scene.chat.before_sending = raising(Unreachable("chat is dead."))
    report = scene.run()
    assert scene.ended() == (0, "succeeded")
    assert report.warnings == ["chat: chat is dead."]  # one, for both messages


def test_strict_notice_that_cannot_be_sent_fails_a_success(scene: Scene) -> None:
    scene.chat = Chat(scene.ctx, strict=True)
    scene.chat.before_sending = raising(Unreachable("chat is dead."))
    report = scene.run()
    assert scene.ended() == (22, "live-but-failed")
    assert report.message == "chat: chat is dead."


def test_strict_notice_does_not_turn_a_failure_into_something_better(scene: Scene) -> None:
    scene.chat = Chat(scene.ctx, strict=True)
    scene.chat.before_sending = raising(Unreachable("chat is dead."))
    report = scene.fail("deploy", DeployFailed("the reason."), BEFORE)
    assert scene.ended() == (20, "failed")
    assert report.message == "the reason."
    assert "chat: chat is dead." in report.warnings


def test_strict_notice_does_not_win_over_a_cancel(scene: Scene) -> None:
    scene.chat = Chat(scene.ctx, strict=True)
    scene.chat.before_sending = raising(Unreachable("chat is dead."))
    scene.app.steps["deploy"] = cancel(scene)
    scene.run()
    assert scene.ended() == (143, "cancelled")


# --- outputs ---


def test_outputs_are_there_before_the_first_event(scene: Scene) -> None:
    seen: dict[str, str] = {}
    scene.app.steps["configure"] = lambda: seen.update(scene.dotenv)
    scene.run()
    assert (seen["DEPLOYED_STATUS"], seen["DEPLOYED_APP"]) == ("failed", "web")
    assert scene.dotenv["DEPLOYED_STATUS"] == "succeeded"
    assert scene.dotenv["DEPLOYED_CHANGED"] == "true"
    assert scene.dotenv["DEPLOYED_RELEASE"] == "v2"
    report = json.loads((scene.workspace / "deploy-report.json").read_text())
    assert report["changes"] == ["push"]


def test_outputs_that_cannot_be_written_are_only_warnings(scene: Scene) -> None:
    scene.workspace.rmdir()
    scene.run()
    assert scene.ended() == (0, "succeeded")
    assert scene.log.text.count("an output could not be written: deploy.env, deploy-report") == 1


# --- planning ---


@pytest.fixture
def plan(scene: Scene) -> Scene:
    scene.ctx.planning = scene.ctx.change_log.planning = True
    return scene


def test_plan_names_changes_and_makes_none(plan: Scene) -> None:
    report = plan.run()
    assert plan.ended() == (0, "succeeded")
    assert report.changes == ["push"]
    assert "fake deploy" not in plan.calls
    assert not report.changed
    assert plan.outcomes == []
    assert plan.chat.told == []
    assert "chat would send:" in plan.log.text
    assert "1 change would be made" in plan.log.text


def test_plan_that_would_be_refused_fails_like_the_deploy(plan: Scene) -> None:
    plan.fail("configure", Refused("outdated."))
    assert plan.ended() == (14, "failed")
    assert plan.outcomes == []
    assert plan.provider.asked == 0
    assert "would be made" not in plan.log.text, "how much it would change is not known"


def test_plan_of_a_skip_is_one(plan: Scene) -> None:
    plan.app.steps["configure"] = raising(SkipDeploy("already there."))
    plan.run()
    assert plan.ended() == (0, "skipped")
    assert plan.outcomes == []


def test_plan_never_touches_what_is_live_when_it_fails_late(plan: Scene) -> None:
    plan.fail("post_deploy", DeployFailed("x."), AFTER)
    assert plan.provider.asked == 0
    assert plan.ctx.report.exit_code == 20


def test_cancellation_is_the_one_of_the_runner(scene: Scene, cancellation: Cancellation) -> None:
    """Otherwise the tests above would prove nothing."""
    assert scene.ctx.cancellation is cancellation is scene.ctx.runner.cancellation
    assert isinstance(cancellation.leaving, bool)
    with pytest.raises(Cancelled):
        cancel(scene)()


# --- the provider has the last word ---


class Silent(FakeProvider):
    """Deploys, and does not say what runs then."""

    @on(Event.DEPLOY)
    def on_deploy(self) -> None:
        self.ctx.change_log.announce("push")


@pytest.mark.parametrize(
    ("answer", "code", "asked"),
    [(AFTER, 0, 1), (BEFORE, 20, 2), (DOWN, 22, 2), (Live(), 20, 2), (Unreachable("gone."), 21, 2)],
    ids=["new", "old", "down", "nothing", "unknown"],
)
def test_what_a_provider_does_not_report_is_no_success(
    scene: Scene, answer: Live | Exception, code: int, asked: int
) -> None:
    """One that has not verified it by itself is asked (faults A1)."""
    scene.provider = scene.ctx.provider = Silent(scene.ctx, scene.calls)
    scene.provider.answer = answer
    scene.run()
    assert (scene.ctx.report.exit_code, scene.provider.asked) == (code, asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (BEFORE, f"{NEW[:7]} is not live: fake reports {OLD[:7]} instead."),
        (Live(), f"{NEW[:7]} is not live: fake reports no known revision instead."),
        (DOWN, f"{NEW[:7]} is live, but not fully up: 0 of 1 processes up."),
        (DOWN._replace(detail=""), f"{NEW[:7]} is live, but not fully up."),
    ],
    ids=["old", "nothing", "down", "down without a detail"],
)
def test_revision_that_is_not_live_or_not_up_is_told_apart(
    scene: Scene, answer: Live, said: str
) -> None:
    scene.provider = scene.ctx.provider = Silent(scene.ctx, scene.calls)
    scene.provider.answer = answer
    assert scene.run().message == said


def test_what_cannot_be_stopped_after_a_cancel_is_said(scene: Scene) -> None:
    """It may still go live, and the log is all that anybody has (faults D1)."""
    scene.app.steps["deploy"] = cancel(scene)
    scene.provider.interrupted = raising(Unreachable("no answer."))  # type: ignore[assignment,method-assign]
    report = scene.run()
    assert report.status == "cancelled"
    assert report.warnings == [
        "what this run started on the server could not be stopped: no answer."
    ]
