"""Real HTTP servers on loopback that take webhooks, and answer well, badly or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from standins.loopback import serving


@dataclass
class Webhooks:
    """What arrived, and how to answer: a status, `hang`, `drop` or `flood` (10 MB)."""

    url: str = ""
    answer: int | str = 200
    first: list[int | str] = field(default_factory=list)  # answers before that
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """The JSON bodies."""
        return [json.loads(body) for _path, _headers, body in self.requests]

    @property
    def titles(self) -> list[str]:
        """The titles of Mattermost's attachments."""
        return [payload["attachments"][0]["title"] for payload in self.payloads]


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    """A server that runs until the block is left."""
    state = Webhooks()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            state.requests.append((self.path, dict(self.headers), self.rfile.read(length)))
            answer = state.first.pop(0) if state.first else state.answer
            if answer == "hang":
                ended.wait(120)
            elif answer != "drop":
                body = b"x" * 10_000_000 if answer == "flood" else state.body
                self.send_response(answer if isinstance(answer, int) else 200)
                for name, value in state.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with serving(Handler, ended) as url:
        state.url = f"{url}/hooks/t0pS3cretHookPath"
        yield state
