"""What a cancelled run stops on a Dokku server, and what it asks in its last seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import Unreachable
from ci_deploy.layers.providers.dokku import answers, stopping
from ci_deploy.layers.providers.dokku.app import App, State
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.program import Result
from ci_deploy.state import Live

SHA = "a" * 40
APPS = f"""=====> hello app information
       App deploy source:             git-push
       App deploy source metadata:    {SHA}
       App locked:                    {{locked}}
"""


class Stopped:
    """An app whose server begins a build after some questions, and can cancel it after others."""

    def __init__(self, *, begins: int = 0, cancels: int = 0, building: bool = False) -> None:
        self.asked, self.told, self.warned = 0, list[str](), list[str]()
        self._begins, self._cancels = begins, cancels
        self._left = 1.0
        self.server = SimpleNamespace(
            at_least=lambda *_version: True, has_begun=self._has_begun, change=self._change
        )
        cancellation = SimpleNamespace(left=lambda: self._left, sleep=self._sleep)
        console = SimpleNamespace(warning=self.warned.append)
        self.ctx = SimpleNamespace(app="hello", cancellation=cancellation, console=console)
        self.code = SimpleNamespace(
            building=building, begun=time.monotonic(), said=lambda _pattern: False, checked=""
        )

    def _has_begun(self, _app: str, _seconds: float) -> bool:
        self.asked += 1
        return self.asked > self._begins

    def _change(self, words: Sequence[str], **_options: Any) -> Result:
        self.told.append(" ".join(words))
        done = len(self.told) > self._cancels
        line = "-----> Killing app deploy" if done else "-----> App not currently deploying"
        return Result(("ssh",), 0, lines=(line,))

    def _sleep(self, seconds: float) -> None:
        self._left -= seconds

    def stop(self) -> list[str]:
        stopping.stop(cast("Any", self), cast("Any", self.code))
        return self.told


def test_build_that_begins_while_we_ask_is_cancelled() -> None:
    """(faults K7)"""
    assert Stopped(begins=3).stop() == ["builds:cancel hello"]


def test_nothing_is_cancelled_where_nothing_has_begun() -> None:
    """(faults K7)"""
    assert Stopped(begins=1000).stop() == []


def test_lock_that_is_only_being_written_is_asked_again() -> None:
    """Dokku records a build before it notes it in the lock file (faults K7)."""
    assert Stopped(cancels=2).stop() == 3 * ["builds:cancel hello"]
    assert len(Stopped(cancels=1000).stop()) < 12


@pytest.mark.parametrize(
    ("begun", "locked"), [(0.0, False), (time.monotonic(), True)], ids=["not sent", "refused"]
)
def test_build_of_somebody_else_is_left_alone(begun: float, locked: bool) -> None:
    """(faults K7)"""
    app = Stopped()
    app.code.begun = begun
    app.code.said = lambda pattern: pattern is answers.LOCKED and locked
    assert app.stop() == []
    assert app.asked == 0


def test_container_that_dokku_leaves_is_named() -> None:
    """(faults K7)"""
    app = Stopped(building=True)
    app.code.checked = "web.1"
    app.stop()
    assert "docker ps --filter name=hello.web.1.upcoming" in app.warned[0]


class Slow:
    """A server that tells the revision at once, and the rest never."""

    def __init__(self, *, locked: str = "false", builds: str | None = "[]") -> None:
        self._locked, self._builds = locked, builds

    def ask(self, *questions: Sequence[str], **_options: Any) -> list[Result]:
        ((name, *_),) = questions
        if name == "apps:report":
            return [Result(("ssh",), 0, out=APPS.format(locked=self._locked).encode())]
        if name == "builds:list" and self._builds is not None:
            return [Result(("ssh",), 0, out=self._builds.encode())]
        raise Unreachable("it took too long.")


@pytest.mark.parametrize(
    ("server", "busy"),
    [
        (Slow(), False),
        (Slow(locked="true"), False),
        (Slow(locked="true", builds='[{"id": "mx1"}]'), True),
        (Slow(locked="true", builds=None), True),
    ],
)
def test_glance_names_the_revision_whatever_else_is_slow(server: Slow, busy: bool) -> None:
    """(faults K7)"""
    app = App(cast("Any", server), Redactor())
    before = State(exists=True, branch="main", live=Live(url="http://hello.example.com"))
    live = app.glance("hello", before).live
    assert (live.revision, live.unchecked, live.up) == (SHA, True, False)
    assert (live.url, live.busy) == ("http://hello.example.com", busy)
