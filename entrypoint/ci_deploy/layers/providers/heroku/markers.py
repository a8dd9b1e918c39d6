"""Reads the markers in the output of one-off commands (the wrapper is in one_off.py)."""

from __future__ import annotations

import re
import time

START = 180.0  # seconds within which a dyno must start; it takes 5 to 20
SILENCE = 90.0  # seconds without a byte, though the wrapper gives a sign of life each 30
AFTER_END = 2.0  # seconds for the CLI to end by itself
LONGEST = 64  # maximum bytes of a marker


class Markers:
    """An output filter for the runner (`process.program.Filter`): removes the wrapper's markers, so
    that only the command's own output goes into the log. `code` and `why` tell how it ended."""

    def __init__(self, word: str, timeout: float = float("inf")) -> None:
        """`word`: the secret word in the markers; `timeout`: seconds for the command, from now."""
        self._word = word.encode()
        mark = re.escape(self._word)
        self._begin = re.compile(mark + rb":begin\r?\n")
        self._tick = re.compile(mark + rb":tick\r?\n")
        self._end = re.compile(mark + rb":end:(\d{1,3}):" + mark + rb"\r?\n")
        self._buffer = b""
        self._until = time.monotonic() + timeout
        self._heard: float | None = None
        self._started = time.monotonic()
        self._ended = float("inf")
        self.begun = False  # whether the marker of the command's beginning was seen
        self.code: int | None = None  # the command's exit code, once the end marker was seen
        self.why = ""  # a clause why the deadline was reached; empty before that

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the output; returns those that are the command's own. Bytes that
        may be the beginning of a marker are held back until more come."""
        self._heard = time.monotonic()
        if self.code is not None:
            return b""
        self._buffer += data
        shown = b""
        if found := self._end.search(self._buffer):
            self.code, self._ended = int(found[1]), time.monotonic()
            shown, self._buffer = self._without(self._buffer[: found.start()]), b""
            return shown
        if not self.begun:
            if not (start := self._begin.search(self._buffer)):
                self._buffer = self._buffer[self._held() :]
                return b""
            self.begun, self._buffer = True, self._buffer[start.end() :]
        self._buffer = self._tick.sub(b"", self._buffer)
        held = self._held()
        shown, self._buffer = self._buffer[:held], self._buffer[held:]
        return shown

    def rest(self) -> bytes:
        """The command's output that was held back; called when no more will come."""
        rest, self._buffer = self._buffer, b""
        return rest if self.begun and self.code is None else b""

    def deadline(self) -> float:
        """When to stop waiting (time.monotonic()); once it has passed, `why` says the reason."""
        if self.code is not None:
            return self._ended + AFTER_END
        if self._heard is None:
            until, why = self._started + START, f"nothing came from its dyno within {START:.0f} s"
        else:
            until, why = self._heard + SILENCE, f"nothing came from its dyno for {SILENCE:.0f} s"
        if self._until < until:
            until, why = self._until, "it timed out"
        self.why = why if time.monotonic() >= until else ""
        return until

    def _held(self) -> int:
        """The position from which the buffer may be a marker; what is before can be shown."""
        buffer, word = self._buffer, self._word
        if (at := buffer.find(word, max(0, len(buffer) - LONGEST))) >= 0:
            return at
        sizes = (size for size in range(len(word) - 1, 0, -1) if buffer.endswith(word[:size]))
        return len(buffer) - next(sizes, 0)

    def _without(self, output: bytes) -> bytes:
        """The last output without markers; if the beginning was lost, all of it counts."""
        if not self.begun and (start := self._begin.search(output)):
            self.begun, output = True, output[start.end() :]
        return self._tick.sub(b"", output) if self.begun else b""
