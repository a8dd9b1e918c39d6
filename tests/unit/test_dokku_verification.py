"""What a deploy to Dokku is believed on: looks at the server, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.processes import Health, Process
from ci_deploy.layers.providers.dokku.upload import Archive
from ci_deploy.layers.providers.dokku.verification import steady, verify
from ci_deploy.state import Live

OURS, BEFORE, OTHER = "a" * 40, "b" * 40, "c" * 40
UP = Process("web 1", "running", "c9eadf8152a", "earlier", 0)


def state(revision: str, process: Process = UP) -> State:
    health = Health((process,))
    live = Live(revision, up=health.up, detail=health.detail)
    return State(exists=True, live=live, health=health)


class App:
    """An app whose server answers with these states, and with the last of them again and again."""

    def __init__(self, *states: State) -> None:
        self.now = [1000.0]
        self.warned = list[str]()
        self.looks = 0
        self.verified = Live()
        self._states = states
        self.state = State(exists=True, live=Live(BEFORE))
        self.check_command = "ssh … apps:report hello"
        self.apps = SimpleNamespace(look=self._look, url=lambda _name: "http://asked")
        self.ctx = SimpleNamespace(
            app="hello",
            before=Live(BEFORE),
            console=SimpleNamespace(warning=self.warned.append),
            verified=self._verified,
            cancellation=SimpleNamespace(sleep=self._sleep),
        )

    def _look(self, _name: str, _before: State, _beside: Any = None) -> State:
        self.looks += 1
        return self._states[min(self.looks, len(self._states)) - 1]

    def _verified(self, live: Live, _what: str) -> None:
        self.verified = live

    def _sleep(self, seconds: float) -> None:
        self.now[0] += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def verified(app: App, clock: list[float], *, said: Sequence[Any] = (answers.DEPLOYED,)) -> Live:
    app.now = clock
    code = SimpleNamespace(
        revision=OURS,
        urls=["http://a", "https://b"],
        said=lambda each: each in said,
        unstarted={},
    )
    verify(cast("Any", app), cast("Any", code), lambda _code: cast("Any", None))
    return app.verified


def test_two_looks_have_to_find_it_up(clock: list[float]) -> None:
    """(faults K3)"""
    app = App(state(OURS))
    assert verified(app, clock).revision == OURS
    assert (app.looks, app.warned) == (2, [])
    assert app.state.live.url == "https://b"  # what the deploy has named


@pytest.mark.parametrize(
    "change", [{"restarts": 1}, {"started": "later"}, {"cid": "0123456789a"}], ids=str
)
def test_process_that_was_restarted_between_the_looks_is_looked_at_again(
    clock: list[float], change: dict[str, Any]
) -> None:
    """(faults K3)"""
    app = App(state(OURS), state(OURS, UP._replace(**change)))
    assert verified(app, clock).up
    assert app.looks == 3


def test_crash_loop_is_never_verified_and_is_told(clock: list[float]) -> None:
    """(faults K3)"""
    loop = [state(OURS, UP._replace(restarts=number)) for number in range(200)]
    with pytest.raises(DeployFailed, match="Docker keeps restarting web 1"):
        verified(App(*loop), clock)


def test_deploy_that_was_overtaken_after_it_was_seen_up_is_no_failure(clock: list[float]) -> None:
    """The server has reported it as what runs; the truth is then told (faults D5)."""
    app = App(state(OURS), state(OTHER))
    assert verified(app, clock).revision == OTHER
    assert "was deployed and verified, but ccccccc was deployed right after it" in app.warned[0]


@pytest.mark.parametrize("other", [OTHER, BEFORE], ids=["another", "the one before, again"])
def test_deploy_that_was_overtaken_at_once_is_no_deploy_that_did_nothing(
    clock: list[float], other: str
) -> None:
    """The server recorded ours when it said so: even the one before has come anew (faults D5)."""
    with pytest.raises(DeployFailed, match=r"[0-9a-z]{7} was deployed, but .* right after it"):
        verified(App(state(other)), clock)


def test_deploy_that_did_nothing_is_not_taken_for_one_that_was_overtaken(
    clock: list[float],
) -> None:
    """(faults D5)"""
    with pytest.raises(DeployFailed, match="reports bbbbbbb as deployed"):
        verified(App(state(BEFORE)), clock, said=())


@pytest.mark.parametrize(
    ("later", "expected", "looks"),
    [(UP, True, 0), (UP._replace(restarts=7), True, 1), (UP._replace(restarts=8), False, 1)],
)
def test_what_docker_has_restarted_is_looked_at_twice(
    later: Process, expected: bool, looks: int
) -> None:
    """A skip must not believe one look at a crash loop (faults K3)."""
    app = App(state(OURS, later))
    app.state = state(OURS, UP._replace(restarts=7) if looks else UP)
    assert steady(cast("Any", app)) is expected
    assert app.looks == looks


@pytest.mark.parametrize(
    ("there", "since", "fails"),
    [
        ({"old"}, {"old", "ours"}, False),
        ({"old"}, {"old", "ours", "another"}, True),
        (set(), set(), False),  # Dokku before 0.38 lists none
    ],
)
def test_archive_is_ours_only_if_no_other_build_came_after_it(
    there: set[str], since: set[str], fails: bool
) -> None:
    """Dokku's own commit of an archive does not name the revision (faults D5)."""
    server = SimpleNamespace(builds=lambda _app: frozenset(since))
    ctx = SimpleNamespace(app="hello")
    archive = Archive(cast("Any", ctx), cast("Any", server), State(), Live, revision=OURS)
    archive._builds = frozenset(there)
    found = State(identity="d" * 40)
    if fails:
        with pytest.raises(DeployFailed, match="another build has begun since"):
            archive.identity(found)
    else:
        assert archive.identity(found) == "d" * 40
