"""`MIGRATE=before` on Dokku: what goes live is what was migrated, and its end is found out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import DeployFailed, Locked
from ci_deploy.layers.providers.dokku import before_traffic, notes
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.before_traffic import QUIET, BeforeTraffic
from ci_deploy.layers.providers.dokku.processes import Health, Process
from ci_deploy.process.program import Result
from ci_deploy.run.tasks import Task

OURS, BEFORE, OTHER = "a" * 40, "b" * 40, "c" * 40
OLD = Process("web 1", "running", "0123456789a")
BUILT = "=====> hello app information\n       App deploy source metadata: {}\n"
PS = "=====> hello ps information\n       Running: true\n       Status web 1: running (CID: {})\n"


class Server:
    """Answers by the first word, and notes what is changed, in order."""

    def __init__(self, *, built: str = OURS, cid: str = "fedcba98765", builds: str = "[]") -> None:
        self.told = list[str]()
        self._answers = {"apps:report": BUILT.format(built), "ps:report": PS.format(cid)}
        self._builds = builds

    def ask(self, *questions: Sequence[str]) -> list[Result]:
        return [Result(("ssh",), 0, out=self._answers[each[0]].encode()) for each in questions]

    def running_builds(self, _app: str) -> list[dict[str, str]]:
        return cast("list[dict[str, str]]", json.loads(self._builds))

    def lost(self, _result: Result) -> bool:
        return False

    def change(self, words: Sequence[str], **_options: Any) -> Result:
        self.told.append(" ".join(words))
        return Result(("ssh",), 0)


def go(server: Server) -> bool:
    ctx = SimpleNamespace(app="hello", planning=False)
    provider = SimpleNamespace(remember=lambda _note: None)
    code = SimpleNamespace(revision=OURS, run=lambda: None, said=lambda _: True, watch=None)
    way = BeforeTraffic(
        cast("Any", ctx),
        cast("Any", server),
        cast("Any", provider),
        State(exists=True, health=Health((OLD,))),
    )
    return way.run(cast("Any", code), (), lambda: server.told.append("restore"))


def test_what_was_built_goes_live_while_others_are_held_back() -> None:
    """`deploy` takes no lock: until it has ended, a push is only built (faults K1)."""
    server = Server()
    assert go(server)
    assert server.told == ["ps:set hello skip-deploy true", "deploy hello latest", "restore"]


def test_what_somebody_else_has_built_meanwhile_is_not_deployed_as_ours() -> None:
    """(faults K1)"""
    server = Server(built=OTHER)
    with pytest.raises(DeployFailed, match="ccccccc was built meanwhile, so this build was not"):
        go(server)
    assert server.told == ["ps:set hello skip-deploy true"]


def test_what_somebody_else_builds_now_would_become_what_is_deployed() -> None:
    """(faults K1)"""
    server = Server(builds='[{"id": "mx1", "source": "git-hook"}]')
    with pytest.raises(DeployFailed, match="another build has begun meanwhile"):
        go(server)
    assert "deploy hello latest" not in server.told


def test_deploy_that_has_replaced_no_container_is_none() -> None:
    """Its exit code is all that Dokku says (faults K1)."""
    with pytest.raises(DeployFailed, match="Dokku did not start the new release of"):
        go(Server(cid=OLD.cid))


class Holder:
    """An app that another run holds back, for so many looks; it works in the first of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, held: int, working: int) -> None:
        self.now, self.looks, self._held = [1000.0], 0, held
        monkeypatch.setattr(time, "monotonic", lambda: self.now[0])
        settings = SimpleNamespace(lock_timeout=120)
        self.ctx = SimpleNamespace(
            app="hello",
            settings=settings,
            runner=SimpleNamespace(until=float("inf")),
            console=SimpleNamespace(indent=lambda _text: None),
            cancellation=SimpleNamespace(sleep=self._sleep),
        )
        self.state = State(exists=True, skip_deploy=held > 0)
        self.server = SimpleNamespace(works=lambda _app: self.looks < working)
        self.apps = SimpleNamespace(survey=self._survey)

    def unfinished(self) -> list[Task]:
        return [notes.built_over(BEFORE, [OLD.cid])]

    def _survey(self, _name: str, **_options: bool) -> tuple[State, list[Result]]:
        self.looks += 1
        return State(exists=True, skip_deploy=self.looks < self._held), []

    def _sleep(self, seconds: float) -> None:
        self.now[0] += seconds


def test_run_whose_migrations_run_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """(faults K1)"""
    app = Holder(monkeypatch, held=10, working=10)
    assert before_traffic.wait(cast("Any", app))
    assert app.looks == 10


def test_run_that_was_killed_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """(faults K1)"""
    app = Holder(monkeypatch, held=1000, working=3)
    assert before_traffic.wait(cast("Any", app))
    assert QUIET < app.now[0] - 1000.0 - 3 * before_traffic.PAUSE < 2 * QUIET


def test_run_whose_migrations_never_end_is_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """(faults K1)"""
    app = Holder(monkeypatch, held=1000, working=1000)
    with pytest.raises(Locked, match="LOCK_TIMEOUT"):
        before_traffic.wait(cast("Any", app))


def test_run_that_has_no_time_left_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep then returns at once, and the server was asked again and again."""
    app = Holder(monkeypatch, held=1000, working=1000)
    app.ctx.runner.until = 1030.0
    with pytest.raises(Locked, match="DEPLOY_TIMEOUT"):
        before_traffic.wait(cast("Any", app))
    assert app.looks == 15


def test_nothing_is_waited_for_where_nothing_is_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Holder(monkeypatch, held=0, working=0)
    assert not before_traffic.wait(cast("Any", app))
    assert app.looks == 0
