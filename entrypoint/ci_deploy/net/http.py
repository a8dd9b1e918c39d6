"""HTTP; the only importer of `requests`.

A request runs in its own thread, so that a server that hangs or trickles blocks the run no longer
than `timeout`, and not at all after a cancel. Errors name the host, never the path: a webhook's
path is its password. Queries of an API can keep their connection (`keep`). A change has its own: if
the server closed a kept one at that moment, it would be unknown whether the change was made.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError as UrllibError
from urllib3.util import Retry

from ci_deploy import __version__
from ci_deploy.errors import DeployError, Unreachable
from ci_deploy.net import tls
from ci_deploy.net.streaming import as_it_comes, in_thread
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.settings.lines import from_json
from ci_deploy.settings.parsers import NOTHING

CONNECT = 10.0  # seconds within which a stream must be connected
# The server may close a kept connection at any time; a GET is then sent again on a new one. The
# Retry-After of a 429 or 503 is left to our callers, who know how much time the run has left.
CLOSED = Retry(
    total=1, read=1, connect=0, redirect=0, status=0, other=0,
    allowed_methods={"GET"}, respect_retry_after_header=False,
)  # fmt: skip
NO_COOKIES = DefaultCookiePolicy(allowed_domains=[])
BODY_LIMIT = 4 * 2**20  # bytes read of a response at most; servers are not trusted
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


class Response(NamedTuple):
    """An HTTP response, or when planning what stands for one. Header names ignore case."""

    status: int
    body: bytes = b""  # at most the first 4 MiB
    headers: Mapping[str, str] = NOTHING
    planned: bool = False  # `plan`: the request was announced, not sent
    url: str = ""  # the URL that answered, after redirects

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body, decoded as UTF-8."""
        return self.body.decode(errors="replace")

    @property
    def retry_after(self) -> float | None:
        """The seconds of the header Retry-After; None without it, or if it is a date."""
        value = self.headers.get("Retry-After", "")
        return float(value) if value.isdecimal() else None

    def json(self) -> Any:
        """The body, parsed as JSON. Raises ValueError when it is not JSON."""
        return from_json(self.body)


class HttpError(DeployError):
    """Raised for a response whose status is not 2xx: by `Http.stream`, whose `response` has no
    body, and by layers, which call `Http.read` and the like."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response

    @property
    def retry_after(self) -> float | None:
        """The seconds to wait before another try (Retry-After); None if the server names none."""
        return self.response.retry_after


class Busy(HttpError):
    """Raised by layers for a response after which another try may succeed: 429 or 5xx."""


class Http:
    """Sends HTTP requests, by the proxies in the environment. As with the runner, a `read` changes
    nothing; a `change` is announced first, and `plan` only records it. `ca`: the path of a file
    with CA certificates to trust; if empty, that of REQUESTS_CA_BUNDLE or SSL_CERT_FILE in
    `environ`, else the system's."""

    def __init__(
        self,
        *,
        change_log: ChangeLog,
        cancellation: Cancellation,
        environ: Mapping[str, str],
        ca: str = "",
    ) -> None:
        self._change_log = change_log
        self._cancellation = cancellation
        given = (ca, *(environ.get(name, "") for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")))
        system = SYSTEM_BUNDLE if Path(SYSTEM_BUNDLE).is_file() else True
        self._verify: str | bool = next(filter(None, given), system)
        self._sessions: dict[tuple[str, str], requests.Session] = {}  # by scheme and address

    def read(self, url: str, *, timeout: float = 10.0, **options: Any) -> Response:
        """Send a GET, which may take `timeout` seconds; any status is returned. Up to five
        redirects are followed; with `within_site=True` one to another site is returned instead.
        With `keep=True` the connection is kept for the next request. Other `options` are those of
        `requests.request`. Raises Unreachable, Cancelled."""
        return self._request("GET", url, timeout, **options)

    def change(
        self, method: str, url: str, *, what: str, timeout: float = 10.0, **options: Any
    ) -> Response:
        """Send a POST, PUT, PATCH or DELETE, once, without following redirects; any status is
        returned. `what` is the text of the change; it is empty when the app is not changed, or for
        a part of an announced change. When planning nothing is sent, and the response is `planned`.
        Raises Unreachable (the server may have made the change), Cancelled."""
        if not self._change_log.announce(what):
            return Response(200, planned=True)
        return self._once(method, url, timeout, options)

    def tell(self, method: str, url: str, *, timeout: float = 10.0, **options: Any) -> Response:
        """Like `change` for messages to people: the app is not changed, so they are sent when
        planning, too; callers send none then unless the user asked for that. Raises Unreachable,
        Cancelled."""
        self._change_log.announce("")
        return self._once(method, url, timeout, options)

    def _once(self, method: str, url: str, timeout: float, options: dict[str, Any]) -> Response:
        return self._request(method, url, timeout, allow_redirects=False, **options)

    def stream(self, url: str, *, tick: float = 1.0, **options: Any) -> Iterator[bytes]:
        """GET a response that comes bit by bit, and yield its parts; yields b"" after each `tick`
        seconds of silence, so that the caller can check other things and leave. There is no other
        timeout than CONNECT seconds for the connection. Raises HttpError for a status other than
        2xx, Unreachable when there is no connection or the stream is cut off, Cancelled."""

        def parts() -> Iterator[bytes]:
            try:
                with self._open("GET", url, timeout=(CONNECT, None), **options) as response:
                    if not response.ok:
                        told = Response(response.status_code, headers=response.headers)
                        raise HttpError(f"{_host(url)} answers {told.status}.", told)
                    while part := response.raw.read1(65536, decode_content=True):
                        yield part
            except requests.RequestException as error:
                raise _unreachable(url, error) from None
            except (UrllibError, OSError, ValueError):
                message = f"the stream from {_host(url)} was cut off."
                raise Unreachable(message) from None

        return as_it_comes(parts(), tick=tick, check=self._cancellation.check)

    def _request(self, method: str, url: str, timeout: float, **options: Any) -> Response:
        self._cancellation.check()  # before the thread starts: nothing is sent after a cancel
        timeout = min(timeout, self._cancellation.left())
        if timeout <= 0:
            message = f"no request was sent to {_host(url)}: the run has no time left."
            raise Unreachable(message)
        deadline = time.monotonic() + timeout
        return in_thread(
            lambda: self._send(method, url, timeout, deadline, **options),
            until=deadline + 0.5,
            interrupt=self._cancellation.check,
            late=lambda: Unreachable(f"{_host(url)} did not answer within {timeout:.0f} s."),
        )

    def _send(
        self, method: str, url: str, timeout: float, deadline: float, **options: Any
    ) -> Response:
        try:
            with self._open(method, url, timeout=timeout, **options) as response:
                body = bytearray()
                for chunk in response.iter_content(65536):
                    body += chunk
                    if len(body) >= BODY_LIMIT:
                        break
                    if time.monotonic() > deadline:
                        raise requests.Timeout
                answer = bytes(body[:BODY_LIMIT])
                return Response(
                    response.status_code, answer, response.headers, url=response.url or url
                )
        except (requests.RequestException, OSError, ValueError) as error:
            raise _unreachable(url, error) from None

    @contextlib.contextmanager
    def _open(
        self,
        method: str,
        url: str,
        *,
        timeout: Any,
        keep: bool = False,
        within_site: bool = False,
        **options: Any,
    ) -> Iterator[requests.Response]:
        headers = {"User-Agent": f"ci-deploy/{__version__}", **options.pop("headers", {})}
        with contextlib.ExitStack() as ends:
            if keep:
                session = self._kept(url)
            else:
                session = ends.enter_context(_WithinSite() if within_site else requests.Session())
            session.trust_env = False  # no netrc, but proxies:
            session.max_redirects = 5
            with session.request(
                method,
                url,
                timeout=timeout,
                headers=headers,
                stream=True,
                proxies=requests.utils.get_environ_proxies(url, no_proxy=None),
                verify=self._verify,
                **options,
            ) as response:
                yield response

    def _kept(self, url: str) -> requests.Session:
        """The session of the server, which several threads may use: its only state, cookies, is
        off."""
        site = urlsplit(url)[:2]
        if site not in self._sessions:
            session = requests.Session()
            session.cookies.set_policy(NO_COOKIES)
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=CLOSED))
            self._sessions[site] = session
        return self._sessions[site]


class _WithinSite(requests.Session):
    """Follows redirects that stay on the site: http to https, `www.`, another port."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target: str | None = super().get_redirect_target(resp)
        there = urljoin(resp.url, target) if target else resp.url
        return target if site(there) == site(resp.url) else None


def site(url: str) -> str:
    """The host name of a URL without `www.`, to compare sites; empty if the URL has none or is not
    valid."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".").removeprefix("www.")
    except ValueError:
        return ""


def _unreachable(url: str, error: Exception) -> Unreachable:
    return Unreachable(f"{_host(url)} cannot be reached: {_reason(error)}.")


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the server"
    return f"{parts.hostname or 'the server'}{port}"


def _reason(error: Exception) -> str:
    """Describe an exception whose own text contains the URL."""
    reasons = (
        (requests.exceptions.SSLError, tls.reason(error)),
        (requests.exceptions.ProxyError, f"the proxy failed ({_connection_reason(error)})"),
        (requests.exceptions.ConnectTimeout, "no connection in time"),
        (requests.exceptions.Timeout, "no answer in time"),
        (requests.exceptions.TooManyRedirects, "too many redirects"),
        (requests.exceptions.ChunkedEncodingError, "the answer was cut off"),
        (requests.exceptions.ContentDecodingError, "the answer cannot be decompressed"),
        (requests.exceptions.ConnectionError, _connection_reason(error)),
    )
    return next((words for kind, words in reasons if isinstance(error, kind)), type(error).__name__)


def _connection_reason(error: Exception) -> str:
    text = str(error).partition("(Caused by ")[2] or str(error)  # without the URL's path
    if found := re.search(r"Tunnel connection failed: ([\w .-]+)", text):  # a proxy's answer
        return found[1].strip()
    for needle, words in (
        ("refused", "connection refused"),
        ("reset", "connection reset"),
        ("NameResolution", "the name does not resolve"),
        ("unreachable|no route", "no route to the host"),
    ):
        if re.search(needle, text, re.I):
            return words
    return "the connection failed"
