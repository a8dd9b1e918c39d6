"""A stand-in of Sentry's API on loopback, for the real `sentry-cli`.

Strict: every call is checked for method, path, token and the exact keys of its body. What it does
not know, or what makes no sense (a deploy of a release that is not there), is noted in `wrong`,
which a test has to find empty.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from standins.loopback import serving

TOKEN = "sentry-token-0123456789abcdef0123456789abcdef"
ORG = "acme"
CHUNKS = {
    "chunkSize": 8388608, "chunksPerRequest": 64, "maxFileSize": 2147483648,
    "maxRequestSize": 33554432, "concurrency": 8, "hashAlgorithm": "sha1", "compression": ["gzip"],
    "accept": ["debug_files", "release_files", "sources", "artifact_bundles",
               "artifact_bundles_v2"],
}  # fmt: skip
COMMIT = {
    "id", "repository", "author_name", "author_email", "timestamp", "message", "patch_set",
}  # fmt: skip
Answer = tuple[int, Any]


@dataclass
class Call:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    body: Any
    agent: str

    @property
    def short(self) -> str:
        """`PUT releases/abc/`."""
        return f"{self.method} {self.path.removeprefix(f'/api/0/organizations/{ORG}/')}"


@dataclass
class Trouble:
    """What goes wrong: a status, `hang`, `reset` or `drop`, where `match` is in `Call.short`."""

    match: str
    how: int | str
    times: int = 1_000_000
    after: bool = False  # only after the call was acted upon


@dataclass
class SentryStandIn:
    """What it knows, and what it was told."""

    url: str = ""
    token: str = TOKEN
    repositories: list[dict[str, Any]] = field(default_factory=list)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    deploys: list[dict[str, Any]] = field(default_factory=list)
    bundles: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def link(self, name: str, url: str) -> None:
        """Link a repository, as an integration does."""
        provider = {"id": "integrations:gitlab", "name": "GitLab"}
        known = {"id": "1", "name": name, "url": url, "provider": provider, "status": "active"}
        self.repositories.append({**known, "dateCreated": "2020-01-01T00:00:00Z"})

    @property
    def short(self) -> list[str]:
        """The calls in short, in order."""
        return [call.short for call in self.calls]

    def trouble(self, call: Call, *, after: bool) -> int | str:
        """What goes wrong with this call; 0 for nothing."""
        for each in self.troubles:
            if each.match in call.short and each.times > 0 and each.after is after:
                each.times -= 1
                return each.how
        return 0

    def answer(self, call: Call) -> Answer:
        """Act upon it."""
        path = call.path.removeprefix(f"/api/0/organizations/{ORG}/")
        if path == call.path:
            return self.no(call, "another organization")
        for method, pattern, act in ROUTES:
            if call.method == method and (found := re.fullmatch(pattern, path)):
                return act(self, call, *map(unquote, found.groups()))  # type: ignore[no-any-return,operator]
        return self.no(call, "no such call")

    def no(self, call: Call, why: str) -> Answer:
        """Refuse, and remember that this should not have been asked."""
        self.wrong.append(f"{call.short} {call.body}: {why}")
        return 404, {"detail": "The requested resource does not exist"}

    def expect(self, call: Call, *keys: str, optional: tuple[str, ...] = ()) -> None:
        """The body has these keys, and no others."""
        found = set(call.body) if isinstance(call.body, dict) else {f"{call.body!r}"}
        if not set(keys) <= found or found - {*keys, *optional}:
            self.wrong.append(f"{call.short}: body {call.body}")

    # --- what it can (some need no more than to be called) ---

    def list_repositories(self, call: Call) -> Answer:
        if call.query not in {"cursor=", "per_page=100"}:
            self.wrong.append(f"{call.short}?{call.query}")
        return 200, self.repositories

    def create(self, call: Call) -> Answer:
        self.expect(call, "version", "projects", optional=("dateStarted",))
        version = call.body["version"]
        if re.search(r"[/\s]", version) or version in {".", ".."}:
            return 400, {"version": ["Invalid value for release"]}
        there = version in self.releases
        self.releases.setdefault(version, {}).update(call.body)
        return 208 if there else 201, _shown(self.releases[version])

    def update(self, call: Call, version: str) -> Answer:
        if version not in self.releases:
            return self.no(call, "no such release")
        if "refs" in call.body:
            self.expect(call, "refs")
            names = {repository["name"] for repository in self.repositories}
            if {ref["repository"] for ref in call.body["refs"]} - names:
                return 400, {"refs": ["Invalid repository names"]}
        elif "commits" in call.body:
            self.expect(call, "commits")
            self.wrong += [f"commit {each}" for each in call.body["commits"] if set(each) != COMMIT]
        else:
            self.expect(call, "projects", "dateReleased")
        self.releases[version].update(call.body)
        return 200, _shown(self.releases[version])

    def deploy(self, call: Call, version: str) -> Answer:
        keys = ("environment", "dateStarted", "dateFinished", "projects")
        self.expect(call, *keys, optional=("name", "url"))
        if version not in self.releases:
            return self.no(call, "no such release")
        self.deploys.append({"id": str(len(self.deploys) + 1), "release": version, **call.body})
        return 201, {"name": None, "url": None, **self.deploys[-1]}

    def list_deploys(self, _call: Call, version: str) -> Answer:
        if version not in self.releases:
            return 404, {"detail": "The requested resource does not exist"}
        return 200, [deploy for deploy in self.deploys if deploy["release"] == version]

    def chunks(self, _call: Call) -> Answer:
        return 200, {**CHUNKS, "url": f"{self.url}/api/0/organizations/{ORG}/chunk-upload/"}

    def upload(self, _call: Call) -> Answer:
        return 200, {}

    def assemble(self, call: Call) -> Answer:
        self.expect(call, "checksum", "chunks", "projects", optional=("version", "dist"))
        seen = any(call.body["checksum"] == each["checksum"] for each in self.bundles)
        self.bundles.append(call.body)
        missing = [] if seen else call.body["chunks"]
        return 200, {"state": "ok" if seen else "not_found", "missingChunks": missing}


ROUTES: list[tuple[str, str, object]] = [
    ("GET", r"repos/", SentryStandIn.list_repositories),
    ("POST", r"releases/", SentryStandIn.create),
    ("PUT", r"releases/([^/]+)/", SentryStandIn.update),
    ("POST", r"releases/([^/]+)/deploys/", SentryStandIn.deploy),
    ("GET", r"releases/([^/]+)/deploys/", SentryStandIn.list_deploys),
    ("GET", r"chunk-upload/", SentryStandIn.chunks),
    ("POST", r"chunk-upload/", SentryStandIn.upload),
    ("POST", r"artifactbundle/assemble/", SentryStandIn.assemble),
]


def _shown(release: dict[str, Any]) -> dict[str, Any]:
    known = {"version": release["version"], "dateReleased": release.get("dateReleased")}
    projects = [{"slug": name, "name": name} for name in release["projects"]]
    return {**known, "projects": projects, "dateCreated": "2026-01-01T00:00:00Z", "newGroups": 0}


@contextmanager
def sentry() -> Iterator[SentryStandIn]:
    """A server that runs until the block is left, and was asked nothing that it does not know."""
    state, ended = SentryStandIn(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def act(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts, kind = urlsplit(self.path), self.headers.get("Content-Type") or ""
            body = json.loads(data) if kind == "application/json" else data[:100]
            agent = self.headers.get("User-Agent") or ""
            call = Call(self.command, parts.path, parts.query, body, agent)
            state.calls.append(call)
            how = state.trouble(call, after=False)
            if self.headers.get("Authorization") != f"Bearer {state.token}":
                status, answer = 401, {"detail": "Invalid token"}
            elif how:
                status, answer = 0, {"detail": "as told"}
            else:
                status, answer = state.answer(call)
                how = state.trouble(call, after=True)
            if isinstance(how, str):
                self._disturb(how)
            else:
                self._send(how or status, answer)

        do_GET = do_POST = do_PUT = do_DELETE = act  # noqa: N815

        def _disturb(self, how: str) -> None:
            self.close_connection = True
            if how == "hang":
                ended.wait(120)
            elif how == "reset":
                option = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
                self.connection.close()

        def _send(self, status: int, answer: Any) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with serving(Handler, ended) as url:
        state.url = url
        yield state
        assert state.wrong == []
