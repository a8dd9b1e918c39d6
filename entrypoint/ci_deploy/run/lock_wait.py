"""Waiting for another job that has the app's lock, whatever that is on the provider."""

from __future__ import annotations

import time
from collections.abc import Callable

from ci_deploy.errors import Locked
from ci_deploy.report.console import SILENCE
from ci_deploy.run.context import Context


class LockWait:
    """One wait: at most LOCK_TIMEOUT seconds, and never longer than the run may take."""

    def __init__(self, ctx: Context, beyond: float = 0.0) -> None:
        """`beyond`: seconds to wait longer than LOCK_TIMEOUT, for a server that applies it too."""
        self._ctx = ctx
        self.began = time.monotonic()
        self._until = self.began + ctx.settings.lock_timeout + beyond
        self._reserved = 0.0
        self._told = float("-inf")

    def reserve(self, seconds: float) -> None:
        """Leave the last `seconds` of the run to what follows the wait."""
        self._reserved = seconds

    @property
    def told(self) -> bool:
        """Whether the log says that there is somebody to wait for."""
        return self._told > 0

    @property
    def _run_until(self) -> float:
        return self._ctx.runner.until - self._reserved

    @property
    def left(self) -> float:
        """The seconds that remain; 0 or less when the wait is over."""
        return min(self._until, self._run_until) - time.monotonic()

    @property
    def limit(self) -> str:
        """The setting that ends the wait."""
        return "DEPLOY_TIMEOUT" if self._run_until < self._until else "LOCK_TIMEOUT"

    def tell(self, words: str) -> None:
        """Log what is waited for, unless the last such line is recent."""
        if time.monotonic() >= self._told + SILENCE:
            self._told = time.monotonic()
            self._ctx.console.indent(words)

    def pause(self, words: str, seconds: float, locked: Callable[[], Locked]) -> None:
        """Log what is waited for, and sleep. Raises Cancelled, and when the wait is over what
        `locked` returns."""
        if (left := self.left) <= 0:
            raise locked()
        self.tell(words)
        self._ctx.cancellation.sleep(min(seconds, left))
