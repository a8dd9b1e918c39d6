"""Waits for what may never come, in a thread of its own: one result, or a stream."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

LOOK = 0.1  # seconds between two checks for a cancel


def in_thread(
    call: Callable[[], T],
    *,
    until: float,
    interrupt: Callable[[], None],
    late: Callable[[], Exception],
) -> T:
    """Return what `call` returns, or raise its error; raise `late()` if it has not ended at `until`
    of the monotonic clock. `interrupt` is called often and raises when the user has cancelled."""
    done: list[T | Exception] = []

    def work() -> None:
        try:
            done.append(call())
        except Exception as error:  # noqa: BLE001 - handed to the caller below
            done.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive() and time.monotonic() < until:
        thread.join(0.05)
        interrupt()
    if not done:
        raise late()
    if isinstance(done[0], Exception):
        raise done[0]
    return done[0]


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
