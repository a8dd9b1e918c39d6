"""Sending notices: again where that may help, and never holding up a deploy."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ci_deploy.report.notifications import shorten

if TYPE_CHECKING:
    from ci_deploy.layers.base import Layer
    from ci_deploy.net.http import Response
    from ci_deploy.run.context import Context

T = TypeVar("T")
SLICE = 0.1  # seconds; a join() does not end when a signal comes


def deliver(
    ctx: Context,
    service: str,
    url: str,
    *,
    refusal: Callable[[Response], str] = lambda _response: "",
    **options: Any,
) -> Response:
    """POST to a webhook: three tries of 10 s, again only where that may help.

    `refusal` finds a no in an answer whose status says yes. Raises DeployError without the URL's
    path, which is the webhook's password.
    """
    return persist(ctx, lambda: exchange(ctx, service, "POST", url, refusal=refusal, **options))


def persist(ctx: Context, send: Callable[[], T]) -> T:
    """Send a notice: three tries where that may help. Raises DeployError."""
    from ci_deploy.errors import Unreachable
    from ci_deploy.net.http import Busy
    from ci_deploy.net.retry import retry

    return retry(
        send,
        on=(Unreachable, Busy),
        sleep=ctx.cancellation.sleep,
        attempts=3,
        wait=lambda error: min(30.0, getattr(error, "retry_after", None) or 1.0),
        say=lambda error, _seconds: ctx.outbox.note(error),
    )


def exchange(
    ctx: Context,
    service: str,
    method: str,
    url: str,
    *,
    refusal: Callable[[Response], str] = lambda _response: "",
    **options: Any,
) -> Response:
    """One request of 10 s to a service that is told something, sent once. Raises Busy and
    Unreachable, which may pass, and HttpError for a refusal."""
    from ci_deploy.net.http import Busy, HttpError

    response = ctx.http.change(method, url, what="", timeout=10.0, **options)
    if response.status == 429 or response.status >= 500:
        raise Busy(f"{service} answers {response.status}.", response)
    if not response.ok:
        raise HttpError(f"{service} refuses the message: {_answer(response)}", response)
    if reason := refusal(response):
        raise HttpError(f"{service} refuses the message: {shorten(reason, 120)}", response)
    return response


def _answer(response: Response) -> str:
    """The first line of a server's answer, short."""
    first = next(iter(response.text.strip().splitlines()), "")
    return f"{response.status} {first[:120]}".strip()


class Outbox:
    """Sends in the background: in parallel between notifiers, in order for each of them."""

    def __init__(self) -> None:
        self._queues: dict[Any, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._threads: dict[Any, threading.Thread] = {}
        self._errors: list[tuple[Layer[Any], Exception]] = []
        self._troubles: dict[threading.Thread, Exception] = {}

    def post(self, layer: Layer[Any], send: Callable[[], None]) -> None:
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
    ) -> list[tuple[Layer[Any], Exception]]:
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
        first: dict[Layer[Any], Exception] = {}
        for layer, error in self._errors:
            first.setdefault(layer, error)
        return list(first.items())

    def _work(
        self, layer: Layer[Any], waiting: queue.SimpleQueue[Callable[[], None] | None]
    ) -> None:
        while send := waiting.get():
            try:
                send()
            except Exception as error:  # noqa: BLE001 - reported by close()
                self._errors.append((layer, error))
