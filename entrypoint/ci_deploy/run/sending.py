"""Sends notices over HTTP, with retries after errors that may be temporary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ci_deploy.errors import Unreachable
from ci_deploy.run.notifications import shorten

if TYPE_CHECKING:
    from ci_deploy.net.http import Response
    from ci_deploy.run.context import Context

T = TypeVar("T")


def deliver(
    ctx: Context,
    service: str,
    url: str,
    *,
    refusal: Callable[[Response], str] = lambda _response: "",
    **options: Any,
) -> Response:
    """POST to the webhook of `service`: up to three attempts of 10 s each.

    `refusal` returns the error in a response whose status is 2xx, or an empty text. `options` are
    those of `Http.tell`. Raises HttpError or Unreachable, whose texts do not show the URL's path,
    which is the webhook's password, and Cancelled.
    """
    return persist(ctx, lambda: exchange(ctx, service, "POST", url, refusal=refusal, **options))


def persist(ctx: Context, send: Callable[[], T]) -> T:
    """Call `send`, which sends a notice, up to three times within a minute while it raises
    Unreachable or Busy; returns its result, or raises its last error. Waits 1 s in between, or up
    to 30 s if the server asks for that (Retry-After)."""
    from ci_deploy.net.http import Busy
    from ci_deploy.net.retry import retry

    return retry(
        send,
        on=(Unreachable, Busy),
        sleep=ctx.cancellation.sleep,
        attempts=3,
        wait=lambda error: min(30.0, getattr(error, "retry_after", None) or 1.0),
        say=lambda error, _seconds: ctx.send_queue.note(error),
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
    """Send one request to a service that is informed of the run, without retries and by default for
    at most 10 s. The arguments are those of `deliver`. Raises Busy and Unreachable, which may be
    temporary, HttpError for any other refusal, Cancelled."""
    from ci_deploy.net.http import Busy, HttpError

    response = ctx.http.tell(method, url, **options)
    if response.status == 429 or response.status >= 500:
        raise Busy(f"{service} answers {response.status}.", response)
    if not response.ok:
        raise HttpError(f"{service} rejects the message: {_answer(response)}", response)
    if reason := refusal(response):
        raise HttpError(f"{service} rejects the message: {shorten(reason, 120)}", response)
    return response


def _answer(response: Response) -> str:
    """The status and the first line of a response, shortened."""
    first = next(iter(response.text.strip().splitlines()), "")
    return f"{response.status} {first[:120]}".strip()
