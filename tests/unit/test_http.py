"""HTTP against real servers that answer well, badly, slowly or not at all."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ci_deploy.errors import Cancelled, Unreachable
from ci_deploy.net.http import BODY_LIMIT, Http, HttpError, Response, site
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog

SECRET = "t0pS3cretHookPath"


class Server(ThreadingHTTPServer):
    """Behaves as the path says; notes what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.ended = threading.Event()
        self.base = f"http://127.0.0.1:{self.server_port}"
        self.elsewhere = f"http://localhost:{self.server_port}/200"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are expected."""


class Handler(BaseHTTPRequestHandler):
    """`/404` answers so; the rest are names of methods."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.close_connection = True
        name = path.split("/")[1]
        if name.isdecimal():
            self.answer(int(name), b"answer " + name.encode())
        else:
            getattr(self, name)()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        headers = {"connection": "close", "content-length": str(len(body)), **headers}
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stay(self) -> None:
        """Answer as an API does: the connection stays open."""
        self.close_connection = False
        self.answer(200, b"", connection="keep-alive", set_cookie="session=1")

    def leave(self) -> None:
        """Close the connection without having said so, as one does that has been idle."""
        self.stay()
        self.close_connection = True

    def big(self) -> None:
        self.answer(200, b"x" * 10_000_000)

    def hang(self) -> None:
        self.server.ended.wait(30)

    def drop(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    def rubbish(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    def dribble(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        while not self.server.ended.wait(0.05):
            self.wfile.write(b"x")

    def chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.server.ended.wait(0.05):
            self.wfile.write(b"1\r\nx\r\n")

    def headers_only_slowly(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.ended.wait(0.05):
            self.wfile.write(b"X-More: x\r\n")

    def redirect(self) -> None:
        self.answer(302, b"", Location="/200")

    def elsewhere(self) -> None:
        self.answer(302, b"", Location=self.server.elsewhere)

    def loop(self) -> None:
        self.answer(302, b"", Location="/loop")

    def busy(self) -> None:
        self.answer(429, b"", retry_after="7")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.ended.set()
    made.shutdown()
    made.server_close()


@pytest.fixture
def make_http(change_log: ChangeLog, cancellation: Cancellation) -> Callable[..., Http]:
    def make(*, planning: bool = False, ca: str = "", **environ: str) -> Http:
        change_log.planning = planning
        return Http(change_log=change_log, cancellation=cancellation, environ=environ, ca=ca)

    return make


@pytest.fixture
def http(make_http: Callable[..., Http]) -> Http:
    return make_http()


@pytest.mark.parametrize("status", [200, 204, 400, 404, 429, 500, 503])
def test_every_status_is_an_answer(http: Http, server: Server, status: int) -> None:
    answer = http.read(f"{server.base}/{status}")
    assert answer.status == status
    assert answer.ok is (status < 300)
    assert status == 204 or answer.text == f"answer {status}"
    assert server.seen[0][2]["User-Agent"].startswith("ci-deploy/")


def test_body_is_json_or_an_error() -> None:
    assert Response(200, b'{"a": 1}').json() == {"a": 1}
    with pytest.raises(ValueError, match=r"."):
        Response(200, b"<html>").json()
    assert Response(200, b"\xff").text == "\ufffd"


def test_redirect_within_the_site_is_followed_and_told(http: Http, server: Server) -> None:
    answer = http.read(f"{server.base}/redirect", within_site=True)
    assert (answer.status, answer.url) == (200, f"{server.base}/200")


def test_redirect_to_another_site_is_the_answer(http: Http, server: Server) -> None:
    """Of a login page, say; without the wish it is followed as ever."""
    answer = http.read(f"{server.base}/elsewhere", within_site=True)
    assert (answer.status, answer.headers["Location"]) == (302, server.elsewhere)
    assert answer.url == f"{server.base}/elsewhere"
    assert http.read(f"{server.base}/elsewhere").status == 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://shop.example.com/up", "https://shop.example.com/up", True),
        ("https://example.com", "https://www.example.com/", True),
        ("https://www.example.com", "https://EXAMPLE.com./de", True),
        ("http://10.0.0.5:3000/up", "http://10.0.0.5:8443/up", True),
        ("https://shop.example.com", "https://login.example.com/?next=shop", False),
        ("https://example.com", "https://example.com.evil.example/", False),
        ("https://shop.example.com", "https://[", False),
    ],
)
def test_site_is_the_host_without_www(one: str, other: str, same: bool) -> None:
    assert (site(one) == site(other)) is same


def test_big_answers_are_cut(http: Http, server: Server) -> None:
    started = time.monotonic()
    assert len(http.read(f"{server.base}/big").body) == BODY_LIMIT
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["hang", "dribble", "chunks", "headers_only_slowly"])
def test_slow_servers_hold_us_no_longer_than_the_timeout(
    http: Http, server: Server, path: str
) -> None:
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"^127\.0\.0\.1:\d+ "):
        http.read(f"{server.base}/{path}", timeout=0.2)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["drop", "cut", "rubbish"])
def test_broken_answers_are_unreachable(http: Http, server: Server, path: str) -> None:
    with pytest.raises(Unreachable, match=r"cannot be reached: "):
        http.read(f"{server.base}/{path}")


def test_nobody_listens(http: Http) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        message = rf"^127\.0\.0\.1:{port} cannot be reached: connection refused\.$"
        with pytest.raises(Unreachable, match=message):
            http.read(f"http://127.0.0.1:{port}/")


def test_tls_that_is_none_is_told_as_such(http: Http, server: Server) -> None:
    with pytest.raises(Unreachable, match="TLS"):
        http.read(f"https://127.0.0.1:{server.server_port}/200")


def test_reads_follow_redirects_and_changes_do_not(http: Http, server: Server) -> None:
    assert http.read(f"{server.base}/redirect").status == 200
    assert http.change("POST", f"{server.base}/redirect", what="").status == 302


def test_redirects_without_end_are_an_error(http: Http, server: Server) -> None:
    with pytest.raises(Unreachable, match="too many redirects"):
        http.read(f"{server.base}/loop")


@pytest.mark.parametrize("path", ["hang", "drop", "loop", "cut"])
def test_no_error_shows_path_query_or_password(http: Http, server: Server, path: str) -> None:
    host = f"user:{SECRET}@127.0.0.1:{server.server_port}"
    with pytest.raises(Unreachable) as caught:
        http.read(f"http://{host}/{path}/{SECRET}?token={SECRET}", timeout=0.3)
    error: BaseException | None = caught.value
    while error:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("url", ["http://[::1/", "http://x:99999/", "http:///x", "nonsense"])
def test_urls_that_are_none_are_unreachable_and_no_bug(http: Http, url: str) -> None:
    with pytest.raises(Unreachable):
        http.read(url)


def test_netrc_of_the_machine_is_not_used(
    http: Http, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login jane password {SECRET}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    http.read(f"{server.base}/200")
    assert "Authorization" not in server.seen[0][2]


def test_proxies_of_the_machine_are_used(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.base)
    monkeypatch.setenv("no_proxy", "other.invalid")
    assert http.read("http://app.invalid/200").status == 200
    assert server.seen[0][1] == "http://app.invalid/200"
    with pytest.raises(Unreachable):
        http.read("http://other.invalid/200")


# --- connections ---


def test_queries_of_an_api_share_a_connection(http: Http, server: Server) -> None:
    for _ in range(5):
        assert http.read(f"{server.base}/stay", keep=True).ok
    assert server.connections == 1
    assert not any("Cookie" in headers for _, _, headers in server.seen)
    http.read(f"{server.base}/stay")
    assert server.connections == 2, "a health check asks as a new client does"


def test_a_change_has_a_connection_of_its_own(http: Http, server: Server) -> None:
    http.read(f"{server.base}/stay", keep=True)
    assert http.change("POST", f"{server.base}/stay", what="").ok
    assert server.connections == 2


def test_queries_at_once_do_not_wait_for_each_other(http: Http, server: Server) -> None:
    def hang() -> None:
        with pytest.raises(Unreachable):
            http.read(f"{server.base}/hang", timeout=3, keep=True)

    slow = threading.Thread(target=hang)
    slow.start()
    started = time.monotonic()
    assert http.read(f"{server.base}/stay", keep=True).ok
    assert time.monotonic() - started < 2
    slow.join()


def test_a_kept_connection_that_the_server_has_closed_is_replaced(
    http: Http, server: Server
) -> None:
    for _ in range(3):
        assert http.read(f"{server.base}/leave", keep=True).ok
    assert server.connections == 3
    assert len(server.seen) == 3


def test_a_query_whose_connection_ends_is_sent_again_once(http: Http, server: Server) -> None:
    http.read(f"{server.base}/stay", keep=True)
    with pytest.raises(Unreachable, match=r"cannot be reached: the connection failed\.$"):
        http.read(f"{server.base}/drop", keep=True)
    assert [path for _, path, _ in server.seen] == ["/stay", "/drop", "/drop"]


# --- changes ---


def test_changes_are_announced_and_sent_once(
    http: Http, server: Server, change_log: ChangeLog
) -> None:
    answer = http.change("POST", f"{server.base}/500", what="do it", json={"a": 1})
    assert (answer.status, answer.planned) == (500, False)
    assert change_log.changes == ["do it"]
    assert [command for command, _, _ in server.seen] == ["POST"]


def test_when_planning_changes_are_only_announced(
    make_http: Callable[..., Http], server: Server, change_log: ChangeLog
) -> None:
    http = make_http(planning=True)
    assert http.change("DELETE", f"{server.base}/200", what="remove it").planned
    assert http.change("POST", f"{server.base}/200", what="").planned, "as with the runner"
    assert http.read(f"{server.base}/200").status == 200
    assert change_log.changes == ["remove it"]
    assert [command for command, _, _ in server.seen] == ["GET"]


def test_notices_are_no_changes_and_a_plan_that_is_asked_to_send_one_sends_it(
    make_http: Callable[..., Http], server: Server, change_log: ChangeLog
) -> None:
    make_http(planning=True).tell("POST", f"{server.base}/200")
    assert change_log.changes == []
    assert [command for command, _, _ in server.seen] == ["POST"]


def test_retry_after_is_found_in_any_spelling(http: Http, server: Server) -> None:
    answer = http.read(f"{server.base}/busy")
    assert HttpError("busy", answer).retry_after == 7.0
    assert HttpError("busy", Response(429, headers={"Retry-After": "soon"})).retry_after is None
    assert HttpError("busy", Response(429)).retry_after is None


# --- cancelling, certificates ---


def test_cancel_ends_a_request_at_once(
    http: Http, server: Server, cancellation: Cancellation
) -> None:
    threading.Timer(0.2, cancellation.cancel, [15]).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        http.read(f"{server.base}/hang", timeout=20)
    assert time.monotonic() - started < 5


def test_when_leaving_only_the_time_that_is_left_is_used(
    http: Http, server: Server, cancellation: Cancellation
) -> None:
    cancellation.cancel(15)
    cancellation.leave(20)
    assert http.read(f"{server.base}/200").ok
    cancellation.leave(0.3)
    started = time.monotonic()
    with pytest.raises(Unreachable):
        http.read(f"{server.base}/hang", timeout=20)
    assert time.monotonic() - started < 5
    time.sleep(cancellation.left())
    with pytest.raises(
        Unreachable, match=r"no request was sent to 127\.0\.0\.1:\d+: the run has no time left"
    ):
        http.read(f"{server.base}/200")


def test_authorities_are_taken_from_the_setting_then_the_environ(
    make_http: Callable[..., Http],
) -> None:
    environ = {"REQUESTS_CA_BUNDLE": "/b", "SSL_CERT_FILE": "/c"}
    assert make_http(ca="/a", **environ)._verify == "/a"
    assert make_http(**environ)._verify == "/b"
    assert make_http(SSL_CERT_FILE="/c")._verify == "/c"
    assert make_http()._verify


@pytest.mark.parametrize("what", ["remove the app", ""], ids=["change", "notice"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_sent_after_a_cancel(
    http: Http, server: Server, cancellation: Cancellation, method: str, what: str
) -> None:
    """A thread that has started sends before anybody looks. (faults D2)"""
    cancellation.cancel(signal.SIGTERM)
    with pytest.raises(Cancelled):
        http.change(method, f"{server.base}/200", what=what)
    with pytest.raises(Cancelled):
        http.read(f"{server.base}/200")
    time.sleep(0.2)
    assert server.seen == []


def test_notices_and_restores_are_sent_while_leaving(
    http: Http, server: Server, cancellation: Cancellation
) -> None:
    """(faults D2)"""
    cancellation.cancel(signal.SIGTERM)
    cancellation.leave(3.0)
    assert http.change("POST", f"{server.base}/200", what="open it again").ok
