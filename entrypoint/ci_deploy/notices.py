"""What people are told: one look for every notifier, and sending that never holds up a deploy."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci_deploy.events import Event

if TYPE_CHECKING:
    from ci_deploy.context import Context
    from ci_deploy.http import Response
    from ci_deploy.layers.base import Layer

LINES = 10  # last lines of a failed program that go into a message
STARTED, GOOD, NEUTRAL, WARN, BAD = "started", "good", "neutral", "warn", "bad"


@dataclass(frozen=True)
class Notice:
    """One message. Texts from outside are already without mentions."""

    mood: str
    title: str
    fields: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    url: str = ""  # of the job
    compare_url: str = ""

    def text(self) -> str:
        """The message without any markup."""
        rows = [f"{name}: {value}" for name, value in self.fields]
        return "\n".join([self.title, *rows, *self.lines])


def defuse(text: str) -> str:
    """A commit message must not call the whole channel: `@here`, `<!channel>`."""
    return re.sub(r"([@!])(?=\w)", "\\1\u2060", text)


_WORDS = {
    Event.PRE_DEPLOY: (STARTED, "deploying"),
    Event.DEPLOY_SUCCEEDED: (GOOD, "deployed"),
    Event.DEPLOY_SKIPPED: (NEUTRAL, "already live, nothing to deploy:"),
    Event.DEPLOY_FAILED: (BAD, "deploy failed:"),
    Event.ROLLBACK: (STARTED, "rolling back to"),
    Event.ROLLBACK_SUCCEEDED: (GOOD, "rolled back to"),
    Event.ROLLBACK_FAILED: (BAD, "rollback failed:"),
    Event.DESTROY_SUCCEEDED: (NEUTRAL, "destroyed"),
    Event.DESTROY_FAILED: (BAD, "could not be destroyed"),
    Event.PROMOTE: (STARTED, "promoting to"),
}


def notice(ctx: Context, event: Event) -> Notice:
    """The message for an event of this run."""
    report, facts = ctx.report, ctx.facts
    mood, words = _WORDS[event]
    if mood is BAD and report.status in {"live-but-failed", "rolled-back", "cancelled"}:
        mood, words = WARN, f"{report.status.replace('-', ' ')}:"
    where = f" ({ctx.environment})" if ctx.environment else ""
    title = f"{ctx.app}{where}: {words} {ctx.revision[:7]}".rstrip()
    subject = f" {defuse(ctx.title)}" if ctx.title else ""
    before = ctx.before.revision if ctx.before else ""
    change = f"{before[:7] or 'nothing'} → {ctx.revision[:7]}{subject}"
    rows = [
        ("Revision", change if ctx.revision else ""),
        ("Ref", defuse(facts.ref)),
        ("By", defuse(facts.actor)),
    ]
    if mood is not STARTED:
        rows += [
            ("Live now", report.live),
            ("URL", ctx.url),
            ("Duration", f"{time.monotonic() - ctx.started:.0f} s"),
        ]
    lines: tuple[str, ...] = ()
    if mood in {BAD, WARN}:
        rows += [("Failed at", f"{report.failed_event} {report.failed_layer}".strip())]
        rows += [("Reason", defuse(report.message)), ("Next", defuse(report.hint))]
        lines = tuple(defuse(line) for line in report.lines[-LINES:])
    fields = tuple((name, value) for name, value in rows if value)
    compare = facts.compare_url(before, ctx.revision)
    return Notice(mood, title, fields, lines, facts.job_url, compare)


def deliver(ctx: Context, service: str, url: str, **options: Any) -> Response:
    """POST to a webhook: three tries of 10 s, again only where that may help.

    Raises DeployError without the URL's path, which is the webhook's password.
    """
    from ci_deploy.errors import Unreachable
    from ci_deploy.http import HttpError
    from ci_deploy.retry import retry

    def post() -> Response:
        response = ctx.http.change("POST", url, what="", timeout=10.0, **options)
        if response.status == 429 or response.status >= 500:
            raise Busy(f"{service} answers {response.status}.", response)
        if not response.ok:
            raise HttpError(f"{service} refuses the message: {_answer(response)}", response)
        return response

    class Busy(HttpError):
        """Worth another try."""

    return retry(
        post,
        on=(Unreachable, Busy),
        sleep=ctx.cancellation.sleep,
        attempts=3,
        wait=lambda error: min(30.0, getattr(error, "retry_after", None) or 1.0),
    )


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

    def post(self, layer: Layer[Any], send: Callable[[], None]) -> None:
        """Send it as soon as what the layer has posted before is sent."""
        if layer not in self._queues:
            self._queues[layer] = queue.SimpleQueue()
            arguments = (layer, self._queues[layer])
            self._threads[layer] = threading.Thread(target=self._work, args=arguments, daemon=True)
            self._threads[layer].start()
        self._queues[layer].put(send)

    def close(self, seconds: float) -> list[tuple[Layer[Any], Exception]]:
        """Wait for what is posted, `seconds` at most for all together; the errors come back."""
        until = time.monotonic() + seconds
        for waiting in self._queues.values():
            waiting.put(None)
        for layer, thread in self._threads.items():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                late = TimeoutError(f"not sent within {seconds:.0f} s")
                self._errors.append((layer, late))
        self._queues.clear()
        self._threads.clear()
        return self._errors

    def _work(
        self, layer: Layer[Any], waiting: queue.SimpleQueue[Callable[[], None] | None]
    ) -> None:
        while send := waiting.get():
            try:
                send()
            except Exception as error:  # noqa: BLE001 - reported by close()
                self._errors.append((layer, error))
