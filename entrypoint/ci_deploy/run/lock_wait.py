"""Waiting for another job that holds the app's lock. What the lock is depends on the provider."""

from __future__ import annotations

import time
from collections.abc import Callable

from ci_deploy.errors import Locked
from ci_deploy.report.console import SILENCE
from ci_deploy.run.context import Context


class LockWait:
    """One wait for a lock: at most LOCK_TIMEOUT seconds, and not beyond the run's deadline."""

    def __init__(self, ctx: Context, beyond: float = 0.0) -> None:
        """`beyond`: seconds to wait longer than LOCK_TIMEOUT, if the server enforces LOCK_TIMEOUT
        itself."""
        self._ctx = ctx
        self.began = time.monotonic()
        self._until = self.began + ctx.settings.lock_timeout + beyond
        self._reserved = 0.0
        self._told = float("-inf")

    def reserve(self, seconds: float) -> None:
        """Reserve the last `seconds` before the run's deadline for what follows the wait."""
        self._reserved = seconds

    @property
    def told(self) -> bool:
        """Whether `tell` has logged what is waited for."""
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
        """The name of the setting that ends the wait: LOCK_TIMEOUT, or DEPLOY_TIMEOUT for the run's
        deadline, which on GitLab may also be the job's own timeout."""
        return "DEPLOY_TIMEOUT" if self._run_until < self._until else "LOCK_TIMEOUT"

    def tell(self, words: str) -> None:
        """Log `words`, which say what is waited for, at most every SILENCE seconds."""
        if time.monotonic() >= self._told + SILENCE:
            self._told = time.monotonic()
            self._ctx.console.indent(words)

    def pause(self, words: str, seconds: float, locked: Callable[[], Locked]) -> None:
        """Log `words` (`tell`), and sleep for `seconds`, but not beyond the end of the wait. Raises
        Cancelled, and when no time is left the error that `locked` returns."""
        if (left := self.left) <= 0:
            raise locked()
        self.tell(words)
        self._ctx.cancellation.sleep(min(seconds, left))
