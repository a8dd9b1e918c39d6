"""Trying again: how often, how long, and only what may be repeated."""

from __future__ import annotations

import threading
import time

import pytest

from ci_deploy.errors import Cancelled, DeployFailed, Unreachable
from ci_deploy.net.retry import retry
from ci_deploy.process.cancellation import Cancellation


class Call:
    """Fails a number of times; sleeps are noted and not slept."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.error = error or Unreachable("not yet")
        self.calls = 0
        self.slept: list[float] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def test_success_is_returned_at_once() -> None:
    call = Call(0)
    assert retry(call, on=Unreachable, sleep=call.slept.append) == "done"
    assert (call.calls, call.slept) == (1, [])


def test_it_is_tried_again_until_it_succeeds() -> None:
    call = Call(2)
    assert retry(call, on=Unreachable, sleep=call.slept.append) == "done"
    assert call.calls == 3


def test_last_error_comes_as_it_was() -> None:
    call = Call(9)
    with pytest.raises(Unreachable) as caught:
        retry(call, on=Unreachable, sleep=call.slept.append, attempts=3)
    assert caught.value is call.error
    assert (call.calls, len(call.slept)) == (3, 2)


@pytest.mark.parametrize("error", [DeployFailed("no"), Cancelled("now"), KeyError("bug")])
def test_other_errors_are_not_tried_again(error: Exception) -> None:
    call = Call(9, error)
    with pytest.raises(type(error)):
        retry(call, on=Unreachable, sleep=call.slept.append)
    assert call.calls == 1


def test_waits_grow_with_jitter_up_to_the_most() -> None:
    call = Call(6)
    retry(call, on=Unreachable, sleep=call.slept.append, attempts=9, first=1, most=5, within=999)
    for number, seconds in enumerate(call.slept):
        assert min(2**number, 5) <= seconds <= min(2**number + 1, 5)


def test_waits_are_those_that_the_server_asks_for() -> None:
    call = Call(2)
    asked = iter([3.0, None])
    told: list[float] = []
    retry(
        call,
        on=(Unreachable, DeployFailed),
        sleep=call.slept.append,
        wait=lambda _error: next(asked),
        say=lambda _error, seconds: told.append(seconds),
    )
    assert call.slept[0] == 3.0
    assert told == call.slept


def test_it_does_not_begin_a_wait_that_would_end_too_late() -> None:
    call = Call(9)
    with pytest.raises(Unreachable):
        retry(call, on=Unreachable, sleep=call.slept.append, within=60, wait=lambda _error: 61.0)
    assert (call.calls, call.slept) == (1, [])


def test_cancel_wakes_up_the_wait() -> None:
    cancellation, call = Cancellation(), Call(9)
    threading.Timer(0.1, cancellation.cancel, [15]).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        retry(call, on=Unreachable, sleep=cancellation.sleep, wait=lambda _error: 30.0)
    assert time.monotonic() - started < 5
