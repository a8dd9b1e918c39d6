"""Limits the total time that Sentry may take, including retries and waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ci_deploy.errors import Unreachable

T = TypeVar("T")

TRIES = 4  # attempts of one call
ONE_TRY = 10.0  # seconds that one attempt may take
LEAST = 0.2  # seconds; with fewer left, no request is begun


class TimeBudget:
    """The `seconds` that calls to Sentry may take, which they use up one after the other; the layer
    has one budget before the deployment and one after it. `sleep` must wake up on cancel."""

    def __init__(self, seconds: float, sleep: Callable[[float], None]) -> None:
        self.total = seconds
        self._left = seconds
        self._sleep = sleep

    def call(self, what: str, call: Callable[[float], T], *, longest: float = ONE_TRY) -> T:
        """Call `call` with the seconds that an attempt may take, at most `longest`; up to TRIES
        times while it raises Unreachable. Returns its result.

        Raises the last attempt's error, or Unreachable when there is no time left for the first
        one. `what` is the action for that message, like `create the release`.
        """
        from ci_deploy.net.retry import retry

        started = time.monotonic()
        until = started + self._left
        why: Unreachable | None = None

        def attempt() -> T:
            nonlocal why
            left = until - time.monotonic()
            if left < LEAST:
                message = (
                    f"cannot {what}: the time for it is used up ({self.total:.0f} s, a part of "
                    "SENTRY_TIMEOUT)."
                )
                raise why or Unreachable(message)
            try:
                return call(min(left, longest))
            except Unreachable as error:
                why = error
                raise

        try:
            return retry(
                attempt,
                on=Unreachable,
                sleep=lambda seconds: self._sleep(min(seconds, until - time.monotonic())),
                attempts=TRIES,
                first=0.5,
                most=4.0,
                within=self._left,
                wait=lambda error: getattr(error, "retry_after", None),
            )
        finally:
            self._left -= time.monotonic() - started
