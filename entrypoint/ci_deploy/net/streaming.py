"""Reads a stream that comes bit by bit and may stop, in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

LOOK = 0.1  # seconds between two checks for a cancel


def as_it_comes(
    parts: Iterator[bytes], *, tick: float, check: Callable[[], None]
) -> Iterator[bytes]:
    """Yield each part of `parts` at once, and b"" after each `tick` seconds of silence.

    `check` is called often and raises when the user has cancelled. Errors of `parts` are raised
    here. If the caller leaves, the thread is abandoned: it ends with the process at the latest.
    """
    come: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            for part in parts:
                come.put(part)
            come.put(None)
        except Exception as error:  # noqa: BLE001 - handed to the caller below
            come.put(error)

    threading.Thread(target=work, daemon=True).start()
    heard = time.monotonic()
    while True:
        check()
        try:
            part = come.get(timeout=min(LOOK, tick))
        except queue.Empty:
            if time.monotonic() - heard >= tick:
                heard = time.monotonic()
                yield b""
            continue
        if part is None:
            return
        if isinstance(part, Exception):
            raise part
        heard = time.monotonic()
        yield part
