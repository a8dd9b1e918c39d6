"""Sends notices in the background, so that they never delay a deploy."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from ci_deploy.process import threads
from ci_deploy.run.events import Subscriber

SLICE = 0.1  # seconds; a signal does not end a join()


class SendQueue:
    """Sends a run's notices in threads, one for each notifier: several in parallel, each one's
    notices in order."""

    def __init__(self) -> None:
        self._queues: dict[Any, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._threads: dict[Any, threads.Thread] = {}
        self._errors: list[tuple[Subscriber, Exception]] = []
        self._troubles: dict[threads.Thread, Exception] = {}

    def post(self, layer: Subscriber, send: Callable[[], None]) -> None:
        """Call `send` in the layer's thread, after the notices that the layer has posted before;
        returns at once."""
        if layer not in self._queues:
            self._queues[layer] = queue.SimpleQueue()
            self._threads[layer] = threads.start(self._work, layer, self._queues[layer])
        self._queues[layer].put(send)

    def note(self, error: Exception) -> None:
        """Record the `error` after which a notice is sent again, for the message if it is not sent
        in time; to be called by the thread that sends."""
        self._troubles[threading.current_thread()] = error

    def close(
        self, seconds: float, left: Callable[[], float] = lambda: math.inf
    ) -> list[tuple[Subscriber, Exception]]:
        """Wait for all notices, at most `seconds` together; returns (layer, first error) for each
        layer with an error, TimeoutError if a notice was not sent in time.

        `left` returns the seconds that remain and is called repeatedly: a cancel leaves fewer.
        """
        started = time.monotonic()
        until = started + seconds
        for waiting in self._queues.values():
            waiting.put(None)
        for layer, thread in self._threads.items():
            while (rest := min(until - time.monotonic(), left())) > 0 and thread.is_alive():
                thread.join(min(rest, SLICE))
            if thread.is_alive():
                why = self._troubles.get(thread)
                reason = f" ({str(why).rstrip('.')})" if why else ""
                waited = min(seconds, time.monotonic() - started)
                late = TimeoutError(f"not sent within {waited:.0f} s{reason}")
                self._errors.append((layer, late))
        self._queues.clear()
        self._threads.clear()
        errors, self._errors = self._errors, []
        first: dict[Subscriber, Exception] = {}
        for layer, error in errors:
            first.setdefault(layer, error)
        return list(first.items())

    def _work(
        self, layer: Subscriber, waiting: queue.SimpleQueue[Callable[[], None] | None]
    ) -> None:
        while send := waiting.get():
            try:
                send()
            except Exception as error:  # noqa: BLE001 - reported by close()
                self._errors.append((layer, error))
