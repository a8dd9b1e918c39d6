"""Sending a notice over HTTP, again where that may help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

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

    response = ctx.http.tell(method, url, **options)
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
