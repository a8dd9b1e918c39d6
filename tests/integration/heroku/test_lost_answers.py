"""The connection is reset in the middle of a write: it is sent once, then looked up.

`reset` comes before Heroku has done anything, `lost` after it. The CLI would send each six times.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from ci_deploy.ci import detect
from ci_deploy.commands.assembly import Assembly
from ci_deploy.errors import DeployFailed
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.report.console import Console
from ci_deploy.run.context import Context
from ci_deploy.state import ProcessAction
from standins.heroku.faults import Fault
from standins.heroku.server import HerokuStandIn
from tests.integration.heroku.conftest import WITH_PHASE, Jobs, on

ARCHIVE = {"DEPLOY_METHOD": "archive"}
Arrange = Callable[[Jobs, HerokuStandIn], Mapping[str, str]]


def _nothing(_job: Jobs, _heroku: HerokuStandIn) -> Mapping[str, str]:
    return {}


def _failed_before(job: Jobs, heroku: HerokuStandIn) -> Mapping[str, str]:
    """A release phase that failed, so that its slug is released again."""
    job.checkout.commit("Phase", WITH_PHASE)
    heroku.apps["hello"].behaviour.phase = "fail"
    assert job.run().code == 20
    heroku.apps["hello"].behaviour.phase = "succeed"
    return {}


def _two_releases(job: Jobs, _heroku: HerokuStandIn) -> Mapping[str, str]:
    job.deployed()
    job.checkout.commit("New")
    job.deployed()
    return {}


def _review(job: Jobs, heroku: HerokuStandIn) -> Mapping[str, str]:
    heroku.pipeline("pipe", production="hello")
    return on("topic", job.checkout)


def _with_app_json(job: Jobs, heroku: HerokuStandIn) -> Mapping[str, str]:
    job.checkout.commit("Manifest", {"app.json": "{}"})
    return _review(job, heroku)


def _review_app(job: Jobs, heroku: HerokuStandIn) -> Mapping[str, str]:
    settings = _review(job, heroku)
    assert job.run("review", settings=settings).code == 0
    return settings


def _staging(job: Jobs, heroku: HerokuStandIn) -> Mapping[str, str]:
    heroku.create("hello-staging")
    heroku.pipeline("pipe", staging="hello-staging", production="hello")
    job.deployed("hello-staging")
    return {}


def _down(job: Jobs, heroku: HerokuStandIn) -> Mapping[str, str]:
    job.deployed()
    for dyno in heroku.apps["hello"].dynos:
        dyno.boot = "crash"
    return {}


@dataclass
class Write:
    """A write, the command that makes it, and how often its call is made."""

    call: str
    command: str = "deploy"
    settings: Mapping[str, str] = field(default_factory=dict)
    arrange: Arrange = _nothing
    code: int = 20  # when it was not done
    sends: int = 1
    not_done_when_lost: bool = False  # what it made cannot be found, and is removed


WRITES = [
    Write("POST /sources", settings=ARCHIVE, code=0, sends=2),  # the first upload is for nobody
    Write("PUT /_sources/", settings=ARCHIVE, code=0, sends=2),
    Write("POST /apps/hello/builds", settings=ARCHIVE),
    Write("POST /apps/hello/releases", arrange=_failed_before),
    Write("POST /apps/hello/releases", "rollback", arrange=_two_releases),
    Write("POST /pipeline-promotions", "promote", arrange=_staging),
    Write("PATCH /apps/hello/config-vars", settings={"APP_CONFIG": "GREETING=hello\n"}),
    Write("PATCH /apps/hello$", settings={"HEROKU_MAINTENANCE": "true"}, sends=2),  # off
    Write("POST /apps$", settings={"APP_NAME": "brand-new", "HEROKU_CREATE_APP": "true"}),
    Write(
        "POST /teams/apps",
        settings={"APP_NAME": "brand-new", "HEROKU_CREATE_APP": "true", "HEROKU_TEAM": "acme"},
    ),
    Write("DELETE /apps/hello/dynos", arrange=_down),
    Write("POST /apps$", "review", arrange=_review),
    Write("POST /pipeline-couplings", "review", arrange=_review),
    Write("POST /app-setups", "review", arrange=_with_app_json, not_done_when_lost=True),
    Write("DELETE /apps/hello-topic$", "destroy", arrange=_review_app),
]


@pytest.mark.parametrize("how", ["reset", "lost"])
@pytest.mark.parametrize("write", WRITES, ids=lambda each: f"{each.call} ({each.command})")
def test_write_is_sent_once_and_looked_up(
    heroku: HerokuStandIn, job: Jobs, write: Write, how: str
) -> None:
    settings = {**write.arrange(job, heroku), **write.settings}
    heroku.calls.clear()
    heroku.faults(Fault(write.call, how))

    done = job.run(write.command, settings=settings)

    was_done = how == "lost" and not write.not_done_when_lost
    assert done.code == (0 if was_done else write.code), done.output
    first = write.call.rstrip("$").split()
    sent = [c for c in heroku.calls if c.method == first[0] and c.path.startswith(first[1])]
    assert len(sent) == write.sends, [call.name for call in sent]
    if was_done and write.code:
        assert "no response, but" in done.output
    elif not was_done and write.code:
        assert "safe to retry" in done.output


# --- what layers ask for, and no command alone ---


@pytest.fixture
def ctx(heroku: HerokuStandIn, job: Jobs) -> Iterator[Context]:
    """A run, up to where layers may ask something of the provider; `hello` has two processes."""
    job.deployed()
    with contextlib.ExitStack() as cleanup, open("/dev/null", "wb") as log:
        given = {**job.env, "PATH": job.env["PATH"]}
        platform, redactor = detect(given), Redactor()
        console = Console(platform, redactor, fd=log.fileno(), child_fd=log.fileno())
        assembly = Assembly(given, platform, console, redactor, Cancellation(), cleanup)
        made, layers = assembly.context("deploy")
        for layer in layers:
            layer.begin()
        made.provider.connect()
        heroku.calls.clear()
        yield made


@pytest.mark.parametrize("how", ["", "lost"])
def test_processes_are_restarted_stopped_started_and_scaled(
    heroku: HerokuStandIn, ctx: Context, how: str
) -> None:
    app, process = heroku.apps["hello"], ctx.provider.process
    old = {dyno.id for dyno in app.dynos}
    heroku.faults(*[Fault("(DELETE|PATCH) /apps/hello/form", how, times=9)] if how else [])
    process("web", ProcessAction.RESTART)
    assert old.isdisjoint(dyno.id for dyno in app.dynos)
    for action, count, wanted in (
        (ProcessAction.SCALE, 3, 3),
        (ProcessAction.STOP, None, 0),
        (ProcessAction.START, None, 1),
    ):
        process("worker", action, count)
        assert app.formation["worker"].quantity == wanted
        assert ctx.provider.processes() == {"web": 1, "worker": wanted}
    assert len(heroku.writes()) == 4


@pytest.mark.parametrize(
    ("name", "action"), [("web", ProcessAction.RESTART), ("web", ProcessAction.STOP)]
)
def test_process_that_was_not_changed_is_said_so(
    heroku: HerokuStandIn, ctx: Context, name: str, action: ProcessAction
) -> None:
    heroku.faults(Fault("(DELETE|PATCH) /apps/hello/form", "reset"))
    with pytest.raises(DeployFailed, match="no response"):
        ctx.provider.process(name, action)
    assert len(heroku.writes()) == 1


def test_process_that_is_not_there(ctx: Context) -> None:
    with pytest.raises(DeployFailed, match="process type"):
        ctx.provider.process("wroker", ProcessAction.SCALE, 2)
