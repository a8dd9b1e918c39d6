"""Heroku's HTTP APIs: reads are retried, a write is sent once (again only after 429).

Source (Heroku's Platform API reference): version 3 by the Accept header, the key as a bearer token,
errors as `{"id", "message"}`, 4,500 requests an hour and 429 beyond that, lists in parts by `Range`
and `Next-Range`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from ci_deploy.errors import DOCS, DeployFailed, OutcomeUnknown, Unauthorized, Unreachable
from ci_deploy.process import threads
from ci_deploy.run.context import Context

if TYPE_CHECKING:
    from ci_deploy.net.http import Response

ACCEPT = "application/vnd.heroku+json; version=3"
TRIES = 5  # attempts of a read
WRITE_TIMEOUT = 30.0  # seconds within which a write must be answered
LOOKS = 3  # queries after a write whose response was lost; it may still be in progress
UNCHANGED = "Verified: no change was made. It is safe to retry."
T = TypeVar("T")


class ResponseLost(OutcomeUnknown):
    """A write got no response, or one of 5xx: whether it was done is unknown and must be looked
    up."""


class NotFound(DeployFailed):
    """Heroku answers 404: the app or other resource does not exist, or the key may not see it."""


class ApiRefused(DeployFailed):
    """Heroku rejects the request with a status for which there is no other class: 409, 422, …"""


ABSENT = (NotFound,)
REFUSED = (NotFound, ApiRefused, Unauthorized)  # for optional facts, which the key may not read


class Question(NamedTuple):
    """A read for `Api.get_all`: path and Range; `without`: errors that give None as the answer."""

    path: str
    span: str = ""
    without: tuple[type[Exception], ...] = ABSENT


class RetryableResponse(Unreachable):
    """Heroku answers 429 or 5xx: another attempt may help. `retry_after`: the seconds of the header
    Retry-After, or None."""

    def __init__(self, response: Response) -> None:
        said = _message(response, "no reason given")
        super().__init__(f"Heroku API error {response.status}: {said}")
        self.retry_after = response.retry_after


class Api:
    """A client of one API at `url`: the Platform API, or the data API (Heroku Postgres). It sends
    the key in the header Authorization only."""

    def __init__(self, ctx: Context, url: str, key: str) -> None:
        self._ctx = ctx
        self._url = url.rstrip("/")
        self._key = key
        self.now = 0.0  # Heroku's time (seconds since 1970) in its last response; 0: unknown
        self.left = ""  # requests left in this hour, as in Heroku's last response

    # --- reading ---

    def get(self, path: str, *, span: str = "", include: str = "") -> Any:
        """The parsed JSON at a path. `span` is a Range like `version ..; order=desc,max=10`;
        `include` names related resources to embed (Accept-Inclusion).

        Raises NotFound, ApiRefused, Unauthorized, Unreachable (also after 5xx and 429 that
        persist).
        """
        return self._json(self._read(path, span, include), f"GET {path}")

    def get_all(self, *questions: Question) -> list[Any]:
        """Read several paths at once; returns the JSON of each, in order, or None for an error in
        the question's `without`. Raises the first other error, Cancelled.
        """
        found: list[Any] = [None] * len(questions)

        def ask(number: int, question: Question) -> None:
            try:
                found[number] = self.get(question.path, span=question.span)
            except Exception as error:  # noqa: BLE001 - raised below, in the thread of the caller
                found[number] = None if isinstance(error, question.without) else error

        asked = [threads.start(ask, *each) for each in enumerate(questions)]
        for thread in asked:
            thread.join()
        self._ctx.cancellation.check()
        if failed := [answer for answer in found if isinstance(answer, Exception)]:
            raise failed[0]
        return found

    def get_list(self, path: str) -> list[Any]:
        """A complete list, from all of its parts. Raises what `get` raises."""
        span, items = "", []
        while True:
            response = self._read(path, span)
            items += self._json(response, f"GET {path}")
            span = response.headers.get("Next-Range", "")
            if response.status != 206 or not span:
                return items

    def _read(self, path: str, span: str = "", include: str = "") -> Response:
        from ci_deploy.net.retry import retry

        asked = {"Range": span, "Accept-Inclusion": include}
        headers = self._headers(**{name: value for name, value in asked.items() if value})

        def once() -> Response:
            response = self._ctx.http.read(self._url + path, headers=headers, keep=True)
            self._note(response)
            if response.status == 429 or response.status >= 500:
                raise RetryableResponse(response)
            return response

        return retry(
            once,
            on=Unreachable,
            sleep=self._ctx.cancellation.sleep,
            attempts=1
            if self._ctx.cancellation.leaving or self._ctx.command == "doctor"
            else TRIES,
            first=0.5,
            within=self._seconds_left(),
            wait=self._asked_to_wait,
        )

    # --- changing ---

    def change(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        what: str,
        timeout: float = WRITE_TIMEOUT,
    ) -> Any:
        """Send a write once; returns the JSON of the response, None when planning.

        It is sent again only after 429, which means that it was not done. `timeout` is in seconds.
        Raises ResponseLost when it is unknown whether it was done, NotFound, ApiRefused,
        Unauthorized, Unreachable.
        """
        until = time.monotonic() + self._seconds_left()
        announced, pause = what, 1.0
        what = what or f"{method} {path}"
        while True:
            headers = self._headers()
            try:
                response = self._ctx.http.change(
                    method, self._url + path, what=announced, timeout=timeout, headers=headers,
                    **({} if body is None else {"json": body}),
                )  # fmt: skip
            except Unreachable as error:
                message = f"{what}: no response ({error.message.rstrip('.')})."
                raise ResponseLost(message) from None
            if response.planned:
                return None
            self._note(response)
            if response.status != 429:
                break
            pause = self._asked_to_wait(RetryableResponse(response)) or min(pause * 2, 60.0)
            if time.monotonic() + pause > until:
                self._refuse(response, what)
            self._ctx.console.indent(f"Heroku's API rate limit is exceeded; waiting {pause:.0f} s")
            self._ctx.cancellation.sleep(pause)
            announced = ""  # it is still the same change
        if response.status >= 500:
            raise ResponseLost(f"{what}: {RetryableResponse(response).message}")
        return self._json(response, what)

    def ensure(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        what: str,
        done: Callable[[], bool],
    ) -> None:
        """Like `change`, but returns nothing; after a lost response `done` is asked, up to LOOKS
        times, whether the change was made.

        Raises DeployFailed when it was not, and what `change` raises except ResponseLost.
        """
        try:
            self.change(method, path, body, what=what)
        except ResponseLost as lost:
            if not self.found(done):
                raise DeployFailed(lost.message, hint=UNCHANGED) from None
            self._ctx.console.indent(f"{what}: no response, but the change was made.")

    def found(self, look: Callable[[], T]) -> T | None:
        """After a lost response: what `look` returns in one of up to LOOKS calls; else None."""
        for _ in range(LOOKS):
            if it := look():
                return it
            self.look_again()
        return None

    def look_again(self) -> None:
        """Sleep for a second, or until the end of the run, before a write is looked up again."""
        self._ctx.cancellation.sleep(min(1.0, self._seconds_left()))

    # --- answers ---

    def _json(self, response: Response, what: str) -> Any:
        if not response.ok:
            self._refuse(response, what)
        try:
            return response.json()
        except ValueError:
            message = f"{what}: the response is not JSON from Heroku; a proxy may have sent it."
            hint = f"Check HTTPS_PROXY, or let this machine reach {self._url}."
            raise Unreachable(message, hint=hint) from None

    def _refuse(self, response: Response, what: str) -> NoReturn:
        """Raise the error that a response other than 2xx means."""
        status, said = response.status, _message(response)
        if status == 401:
            message = f"Heroku rejects the API key: {said}"
            hint = "HEROKU_API_KEY must be a valid token; `heroku authorizations` lists them."
            raise Unauthorized(message, hint=hint)
        if status == 402:
            hint = (
                "Check the billing of the account and of the app's owner on dashboard.heroku.com."
            )
            message = f"Heroku requires payment or a verified account to {what}: {said}"
            raise Unauthorized(message, hint=hint)
        if status == 403:
            hint = f"Permissions that the key and its account need: {DOCS}heroku.md"
            raise Unauthorized(f"Heroku denied permission to {what}: {said}", hint=hint)
        if status == 404:
            raise NotFound(f"{what}: {said}")
        if status == 429:
            message = f"{what}: Heroku's API rate limit is exceeded; there is no time left to wait."
            hint = "The limit is per account: other jobs may use it up. Run the job again later."
            raise Unreachable(message, hint=hint)
        raise ApiRefused(f"Heroku rejected the request to {what}: {said}")

    def _note(self, response: Response) -> None:
        self.left = response.headers.get("RateLimit-Remaining", self.left)
        with contextlib.suppress(ValueError):
            self.now = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()

    def _asked_to_wait(self, error: Exception) -> float | None:
        """Seconds to wait as in Retry-After; None without it."""
        return error.retry_after if isinstance(error, RetryableResponse) else None

    def _headers(self, **more: str) -> dict[str, str]:
        return {"Accept": ACCEPT, "Authorization": f"Bearer {self._key}", **more}

    def _seconds_left(self) -> float:
        """Seconds until the end of the run, or of a cancelled run's time."""
        run = self._ctx.runner.until - time.monotonic()
        return max(0.0, min(run, self._ctx.cancellation.left()))


def _message(response: Response, default: str = "") -> str:
    """Heroku's error message in one line; without one `default`, or the status."""
    try:
        said = response.json().get("message", "")
    except (ValueError, AttributeError):
        said = ""
    first = str(said or default or f"status {response.status}").strip().splitlines()[0]
    return first if first.endswith((".", "!", "?")) else f"{first}."
