"""Runs calls that may never return in threads, so that a timeout or a cancel can abandon them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ci_deploy.process import threads

T = TypeVar("T")

LOOK = 0.1  # seconds between two checks for a cancel


def in_thread(
    call: Callable[[], T],
    *,
    until: float,
    interrupt: Callable[[], None],
    late: Callable[[], Exception],
) -> T:
    """Run `call` in a thread: return its result, or raise its error. Raises the error that `late`
    returns if it has not ended at `until` (time.monotonic()). `interrupt` is called every 0.05 s
    meanwhile, and may raise (Cancelled on a cancel). A thread that does not end is abandoned."""
    done: list[T | Exception] = []

    def work() -> None:
        try:
            done.append(call())
        except Exception as error:  # noqa: BLE001 - handed to the caller below
            done.append(error)

    thread = threads.start(work)
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
    """Iterate over `parts` in a thread: yield each part at once, and b"" after each `tick` seconds
    of silence.

    `check` is called every LOOK seconds, and raises Cancelled on a cancel. Errors of `parts` are
    raised here. If the caller leaves, the thread is abandoned: it ends with the process at the
    latest.
    """
    come: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            for part in parts:
                come.put(part)
            come.put(None)
        except Exception as error:  # noqa: BLE001 - handed to the caller below
            come.put(error)

    threads.start(work)
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
