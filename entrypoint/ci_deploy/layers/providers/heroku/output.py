"""Output that Heroku streams: of builds and of the release phase.

Source: `output_stream_url` is plain text without credentials, so the URL itself is secret; 404
until the command has started; as `heroku releases:output` shows, it can be read again later, from
its start.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ci_deploy.errors import Unreachable
from ci_deploy.run.context import Context

STARTS = 30.0  # seconds that a stream may be 404
TICK = 5.0  # seconds of silence after which `leave` is called
TRIES = 2  # attempts to show all of an output that has ended
LINES = 20  # last lines that are kept


class Output:
    """Shows the output of one command in the log: of a build, a release phase or a setup; `what`
    names it in messages. Heroku sends an output from its start each time, so the bytes that are in
    the log already are skipped: `follow` can be called again after it has broken off."""

    def __init__(self, ctx: Context, what: str) -> None:
        self._ctx = ctx
        self._what = what
        self._shown = 0  # bytes that are in the log
        self._whole = False  # no more will come
        self._over = False  # the command has ended
        self._tail: deque[str] = deque(maxlen=LINES)
        self._begun = time.monotonic()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, at most LINES, of what was shown; redacted."""
        return tuple(self._tail)

    def follow(self, url: str, *, leave: Callable[[], bool]) -> None:
        """Show the output at `url` until it ends or breaks off, until `leave` (called after each
        TICK seconds of silence) returns True, or until the end of the run. An error is only logged,
        since the output decides nothing. Raises only Cancelled."""
        from ci_deploy.net.http import HttpError

        if self._whole:
            return
        try:
            self._show(url, leave)
        except HttpError as error:
            early = time.monotonic() - self._begun < STARTS
            if not (error.response.status == 404 and early):
                self._ctx.console.debug(f"no output of {self._what}: {error}")
                self._whole = error.response.status == 404
        except Unreachable as error:
            left = "has ended" if self._over else "may still be running"
            words = f"{error.message} A part of the output may be missing: {self._what} {left}."
            self._ctx.console.indent(words)

    def complete(self, url: str) -> None:
        """Show what the log still lacks of the output of a command that has ended; nothing if `url`
        is empty."""
        self._over = True
        self._begun = 0.0  # a 404 is final by now
        for _ in range(TRIES if url else 0):
            self.follow(url, leave=lambda: True)

    def _take(self, line: str) -> None:
        self._tail.append(self._ctx.redactor.text(line))

    def _show(self, url: str, leave: Callable[[], bool]) -> None:
        position = 0
        with self._ctx.console.child(watch=self._take) as sanitizer:
            for part in self._ctx.http.stream(url, tick=TICK):
                if not part:
                    if leave():
                        return
                    continue
                position += len(part)
                fresh = part[max(0, len(part) - (position - self._shown)) :]
                if position > self._shown:
                    sanitizer.feed(fresh)
                    self._shown = position
                if time.monotonic() >= self._ctx.runner.until:  # it may never fall silent
                    return
        self._whole = True
