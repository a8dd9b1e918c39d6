"""Notices on their way: sent in the background, never holding up a deploy."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from ci_deploy.run.events import Subscriber

SLICE = 0.1  # seconds; a join() does not end when a signal comes


class Outbox:
    """Sends in the background: in parallel between notifiers, in order for each of them."""

    def __init__(self) -> None:
        self._queues: dict[Any, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._threads: dict[Any, threading.Thread] = {}
        self._errors: list[tuple[Subscriber, Exception]] = []
        self._troubles: dict[threading.Thread, Exception] = {}

    def post(self, layer: Subscriber, send: Callable[[], None]) -> None:
        """Send it as soon as what the layer has posted before is sent."""
        if layer not in self._queues:
            self._queues[layer] = queue.SimpleQueue()
            arguments = (layer, self._queues[layer])
            self._threads[layer] = threading.Thread(target=self._work, args=arguments, daemon=True)
            self._threads[layer].start()
        self._queues[layer].put(send)

    def note(self, error: Exception) -> None:
        """Called while sending: this is why it takes so long."""
        self._troubles[threading.current_thread()] = error

    def close(
        self, seconds: float, left: Callable[[], float] = lambda: math.inf
    ) -> list[tuple[Subscriber, Exception]]:
        """Wait for what is posted, `seconds` at most for all together; the errors come back, one
        for each layer however many of its messages it could not send.

        `left` is asked again and again: a cancel while we wait leaves less.
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
        first: dict[Subscriber, Exception] = {}
        for layer, error in self._errors:
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
