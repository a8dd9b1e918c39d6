"""Retries; the only importer of `tenacity`.

Only calls that can be repeated without harm are retried: connecting, reading, notices, uploads of
which nothing is deployed yet. Never a push, a migration or a process action.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")


def retry(
    call: Callable[[], T],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    sleep: Callable[[float], None],
    attempts: int = 3,
    first: float = 1.0,
    most: float = 15.0,
    within: float = 60.0,
    left: Callable[[], float] = lambda: float("inf"),
    wait: Callable[[Exception], float | None] = lambda _error: None,
    say: Callable[[Exception, float], None] = lambda _error, _seconds: None,
) -> T:
    """Call `call` until it raises none of the errors `on`, at most `attempts` times and for about
    `within` seconds; returns its result.

    Waits grow from `first` to `most` seconds, with jitter so that jobs started together spread out;
    `wait` may return other seconds for an error (a server's Retry-After). `sleep` must wake up on
    cancel; `say` is called before each wait with the error and the seconds. A wait that would end
    later than `left` seconds from now is not begun. The last error is raised as it was, and so is
    at once an error that is none of `on`.
    """
    grow = tenacity.wait_exponential_jitter(multiplier=first, max=most, jitter=first)

    def seconds(state: tenacity.RetryCallState) -> float:
        asked = wait(_error(state))
        return grow(state) if asked is None else asked

    limits = tenacity.stop_after_attempt(attempts) | tenacity.stop_before_delay(within)
    retrying = tenacity.Retrying(
        stop=lambda state: limits(state) or state.upcoming_sleep >= left(),
        wait=seconds,
        retry=tenacity.retry_if_exception_type(on),
        sleep=sleep,
        before_sleep=lambda state: say(_error(state), state.upcoming_sleep),
        reraise=True,
    )
    return retrying(call)


def _error(state: tenacity.RetryCallState) -> Exception:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Exception) else RuntimeError("no error")
