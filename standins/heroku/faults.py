"""Things that go wrong, as the tests ask for them."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """What happens to calls whose `METHOD /path` matches the pattern `call`.

    `does` is a status to answer with (nothing is done then), or one of: `reset` (the connection is
    reset before anything is done), `lost` (it is done, and then the connection is reset instead of
    an answer), `hang`, `cut` (the answer's body breaks off; for streams and git), `silent` (git:
    nothing comes any more, and the connection stays).
    """

    call: str
    does: int | str
    times: int = 1
    skip: int = 0  # calls that are left alone first
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | str | None = None
    after: int = 0  # bytes of the body before `cut`

    @property
    def answer(self) -> dict[str, Any] | str:
        """The body of an error, as Heroku words it."""
        return self.body if self.body is not None else ERRORS.get(self.does, {"id": "error"})


ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"id": "unauthorized", "message": "Invalid credentials provided."},
    403: {"id": "forbidden", "message": "You do not have access to the app hello."},
    404: {"id": "not_found", "message": "Couldn't find that app."},
    409: {"id": "conflict", "message": "The release is not there yet."},
    422: {"id": "invalid_params", "message": "That is not possible."},
    429: {"id": "rate_limit", "message": "Your account reached the API rate limit."},
    500: {"id": "internal_server_error", "message": "Internal server error."},
    503: {"id": "service_unavailable", "message": "Please try again later."},
}


class Faults:
    """The faults that are waiting for their call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Let them happen."""
        with self._lock:
            self._waiting += faults

    def clear(self) -> None:
        """Let none of them happen any more."""
        with self._lock:
            self._waiting.clear()

    def take(self, call: str) -> Fault | None:
        """The fault for this call, if there is one."""
        with self._lock:
            for fault in self._waiting:
                if not re.search(fault.call, call):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times:
                    fault.times -= 1
                    return fault
        return None
