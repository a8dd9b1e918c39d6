"""What stands in between or at the other end, on loopback: an HTTP server, and TCP proxies."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

PATIENCE = 10.0  # seconds for a proxy to begin, and to end


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], ended: threading.Event) -> Iterator[str]:
    """Its URL; it runs until the block is left, and `ended` wakes handlers that hang."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


class Web(BaseHTTPRequestHandler):
    """Answers with `status`, or with nothing where that is 0."""

    status = 200
    asked = 0

    def do_GET(self) -> None:
        Web.asked += 1
        if Web.status:
            self.send_response(Web.status)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def answering() -> Iterator[str]:
    """The URL of a server of `Web`, which begins with 200."""
    Web.status, Web.asked = 200, 0
    with serving(Web, threading.Event()) as url:
        yield url


class Proxy:
    """Listens on 127.0.0.1, in a thread of its own; a subclass says what becomes of a connection.

    with SomeProxy("127.0.0.1", 22) as proxy: … proxy.port …
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = "127.0.0.1", 0
        self._target = (host, port)
        self._tasks = set[asyncio.Task[None] | None]()  # the loop alone would let them be collected
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        while asyncio.all_tasks(self._loop):  # of connections that came until the end
            self._loop.run_until_complete(self._drop())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; errors of the network end it."""
        raise NotImplementedError

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(task := asyncio.current_task())
        with contextlib.suppress(asyncio.CancelledError, OSError):  # asyncio would complain of them
            await self._serve(reader, writer)
        self._tasks.discard(task)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._drop()

    async def _drop(self) -> None:
        await asyncio.sleep(0.01)  # what is cancelled before its first step closes no socket
        tasks = [task for task in self._tasks if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
