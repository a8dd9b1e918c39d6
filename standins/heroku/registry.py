"""Which function answers which call; a call that nobody answers fails the test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standins.heroku.server import HerokuStandIn


@dataclass
class Request:
    """A call to the Platform API."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes
    body: Any = None

    def only(self, *names: str, needed: Iterable[str] = ()) -> dict[str, Any]:
        """The JSON body, which may have these fields and no others. Raises Strange."""
        body = self.body if isinstance(self.body, dict) else {}
        if odd := set(body) - set(names):
            message = f"{self.method} {self.path}: unknown fields {sorted(odd)}"
            raise StrangeError(message)
        if missing := set(needed) - set(body):
            message = f"{self.method} {self.path}: fields {sorted(missing)} are missing"
            raise StrangeError(message)
        return body


@dataclass
class Answer:
    """What is answered: JSON, or bytes as they are."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class StrangeError(Exception):
    """The real Heroku is not known to understand this; the test fails."""


class RefusedError(Exception):
    """Heroku says no, in these words."""

    def __init__(self, status: int, identity: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer({"id": identity, "message": message}, status)


Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []


def route(call: str) -> Callable[[Route], Route]:
    """Mark a function as the answer to `METHOD /path/{name}`; names become arguments."""
    method, path = call.split()
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

    def mark(answer: Route) -> Route:
        ROUTES.append((method, pattern, answer))
        return answer

    return mark


def answer(server: HerokuStandIn, request: Request) -> Answer:
    """Find the function and call it. Raises Strange."""
    for method, pattern, found in ROUTES:
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            return found(server, request, **match.groupdict())
    message = f"{request.method} {request.path}"
    raise StrangeError(message)
