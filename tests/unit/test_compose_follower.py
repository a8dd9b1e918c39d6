"""Following runs on Docker hosts over lost connections, with a clock of our own and no ssh."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.errors import OutcomeUnknown
from ci_deploy.layers.providers.compose.follower import PATIENCE, Follower
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.net.ssh.server import server
from ci_deploy.process.program import Command

Say = Callable[[str], None]


class Clock:
    """Replaces time.monotonic."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, which only a test moves."""
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def _follow(sessions: Sequence[Callable[[Say], None]]) -> str:
    """Follow one host; each session is what is heard before the connection is lost."""
    left = iter(sessions)

    def change_all(changes: Sequence[Any], ok: object = None) -> None:
        next(left)(changes[0].watch)

    host = Host(server("deploy@host"))
    sanitizer = SimpleNamespace(feed=lambda _: None)
    ctx: Any = SimpleNamespace(
        console=SimpleNamespace(child=lambda **_: nullcontext(sanitizer), indent=lambda _: None),
        runner=SimpleNamespace(change_all=change_all),
        cancellation=SimpleNamespace(sleep=lambda _: None),
    )
    hosts: Any = SimpleNamespace(
        prefix=lambda _: "", command=lambda *_: Command(["true"]), connected=lambda _: True,
        watch_command=lambda *_: "watch",
    )  # fmt: skip
    follower = Follower(ctx, hosts, "shop", "run", "t0ken", lambda *_: "")
    [log] = follower.follow([host])
    return log.end.word if log.end else ""


def _end(say: Say) -> None:
    say("@t0ken ended live")


def test_long_silent_phase_is_no_lost_connection(clock: Clock) -> None:
    """A pull that takes ten minutes prints nothing, but the host says that it goes on."""

    def tick(say: Say) -> None:
        for _ in range(200):
            clock.now += 5
            say("@t0ken tick pulling")

    assert _follow([tick, _end]) == "live"


def test_host_that_is_not_heard_of_is_given_up_at_last(clock: Clock) -> None:
    def silence(_: Say) -> None:
        clock.now += PATIENCE / 2

    with pytest.raises(OutcomeUnknown, match=r"lost contact with .* for 300 s; the result"):
        _follow([silence] * 5)
