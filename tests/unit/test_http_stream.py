"""Streams over HTTP: as they come, silent, cut off, refused, cancelled."""

from __future__ import annotations

import signal
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from ci_deploy.errors import Cancelled, Unreachable
from ci_deploy.net.http import Http, HttpError
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# Parts, and pauses between them: seconds, or None until the first part has arrived.
ANSWERS: dict[str, list[bytes | float | None]] = {
    "/good": [CHUNKED, b"3\r\none\r\n", None, b"3\r\ntwo\r\n", b"0\r\n\r\n"],
    "/cut": [CHUNKED, b"3\r\none\r\n", b"9\r\nha"],
    "/cut-between": [CHUNKED, b"3\r\none\r\n"],
    "/plain": [b"HTTP/1.1 200 OK\r\n\r\none", None, b"two"],
    "/silent": [CHUNKED, b"3\r\none\r\n", 20.0],
    "/404": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
}


HEARD, TOLD = threading.Event(), list[bool]()


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        for part in ANSWERS[path]:
            if isinstance(part, bytes):
                self.wfile.write(part)
                self.wfile.flush()
            elif part is None:
                TOLD.append(HEARD.wait(20))
            elif self.server.ended.wait(part):  # type: ignore[attr-defined]
                return


@pytest.fixture
def base() -> Iterator[str]:
    """A server that says what ANSWERS has, with its pauses."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    ended = server.ended = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def http(change_log: ChangeLog, cancellation: Cancellation) -> Http:
    return Http(change_log=change_log, cancellation=cancellation, environ={})


@pytest.mark.parametrize("path", ["/good", "/plain"])
def test_parts_come_when_they_are_sent(http: Http, base: str, path: str) -> None:
    HEARD.clear()
    TOLD.clear()
    came = []
    for part in http.stream(f"{base}{path}"):
        if part:
            came.append(part)
            HEARD.set()
    assert came == [b"one", b"two"]
    assert TOLD == [True], "the second was sent without the first having arrived"


@pytest.mark.parametrize("path", ["/cut", "/cut-between"])
def test_stream_that_is_cut_off_is_not_taken_for_its_end(http: Http, base: str, path: str) -> None:
    seen: list[bytes] = []
    with pytest.raises(Unreachable, match=r"the stream from 127\.0\.0\.1:\d+ was cut off"):
        seen.extend(http.stream(f"{base}{path}"))
    assert b"".join(seen).startswith(b"one")


def test_silence_is_told_so_that_the_caller_can_leave(http: Http, base: str) -> None:
    seen: list[bytes] = []
    for part in http.stream(f"{base}/silent", tick=0.2):
        if part or seen:  # the server may need longer than a tick to begin
            seen.append(part)
        if len(seen) == 3:
            break
    assert seen == [b"one", b"", b""]


def test_refused_stream_tells_the_status(http: Http, base: str) -> None:
    with pytest.raises(HttpError) as caught:
        list(http.stream(f"{base}/404"))
    assert caught.value.response.status == 404


def test_server_that_is_not_there(http: Http) -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        list(http.stream("http://127.0.0.1:9/"))


def test_cancel_ends_a_silent_stream_at_once(
    http: Http, base: str, cancellation: Cancellation
) -> None:
    threading.Timer(0.2, cancellation.cancel, [signal.SIGTERM]).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        list(http.stream(f"{base}/silent"))
    assert time.monotonic() - started < 5.0
