"""One HTTP connection: the Platform API, output streams, uploads, git, and the hook of pushes."""

from __future__ import annotations

import json
import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from standins.heroku import git, registry
from standins.heroku.faults import Fault
from standins.heroku.model import Call

if TYPE_CHECKING:
    from standins.heroku.server import HerokuStandIn

ACCEPTED = ("application/vnd.heroku+json; version=3",)


class Handler(BaseHTTPRequestHandler):
    """Answers strictly: what is not known of the real Heroku is noted, and fails the test."""

    protocol_version = "HTTP/1.1"
    stand_in: HerokuStandIn

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server, parts = self.stand_in, urlsplit(self.path)
        body = self._body()
        headers = {key.lower(): value for key, value in self.headers.items()}
        call = Call(self.command, parts.path, headers=headers)
        if "json" in headers.get("content-type", "") and body:
            call.body = json.loads(body)
        fault = server.faults_.take(call.name)
        if not parts.path.startswith("/_hook/"):
            server.note(call)
        if fault and self._fails(fault, call):
            return
        if parts.path.startswith("/_"):
            self._own(call, body, fault)
        elif ".git/" in parts.path:
            self._git(call, parts.query, body, fault)
        else:
            self._api(call, parts.query, body, fault)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    # --- the three kinds of calls ---

    def _api(self, call: Call, query: str, body: bytes, fault: Fault | None) -> None:
        server = self.stand_in
        if not call.headers.get("accept", "").startswith(ACCEPTED):
            server.strange(f"{call.name}: Accept: {call.headers.get('accept')}")
        if call.headers.get("authorization") != f"Bearer {server.key}":
            return self._json(call, 401, {"id": "unauthorized", "message": "Invalid credentials."})
        request = registry.Request(call.method, call.path, query, call.headers, body, call.body)
        try:
            with server.platform.lock:
                answer = registry.answer(server, request)
        except registry.RefusedError as refused:
            answer = refused.answer
        except registry.StrangeError as strange:
            server.strange(str(strange))
            answer = registry.Answer({"id": "strange", "message": str(strange)}, 404)
        if fault and fault.does == "lost":
            call.status = answer.status
            return self.reset()
        server.requests_left -= 1
        left = {"RateLimit-Remaining": str(server.requests_left)}
        return self._json(call, answer.status, answer.body, {**answer.headers, **left})

    def _own(self, call: Call, body: bytes, fault: Fault | None) -> None:
        """Streams and uploads have addresses that are secrets: no key is to be sent there."""
        server, (kind, identity) = self.stand_in, f"{call.path}/".split("/")[1:3]
        if "authorization" in call.headers:
            server.strange(f"{call.name}: the key was sent where it does not belong")
        call.status = 200
        if kind == "_sources":
            if call.headers.get("content-type"):
                server.strange(f"{call.name}: Content-Type: {call.headers['content-type']}")
            server.sources[identity] = body
            if fault and fault.does == "lost":
                return self.reset()
            return self.reply(200, b"", {})
        if kind == "_streams":
            return self._stream(identity, fault)
        if kind == "_hook":
            return self._hook(identity, json.loads(body))
        if kind == "_web":
            return self.reply(200, b"the app", {})
        server.strange(f"{call.name}: no such address")
        return self.reply(404, b"", {})

    def _stream(self, identity: str, fault: Fault | None) -> None:
        stream = self.stand_in.platform.streams[identity]
        self.begin(200, {"Content-Type": "text/plain"})
        sent = 0
        for line in stream.follow():
            if fault and sent >= fault.after:
                return self.reset() if fault.does == "lost" else self.hang_up()
            data = f"{line}\n".encode()
            self.chunk(data)
            sent += len(data)
        return self.chunk(b"")

    def _hook(self, name: str, told: dict[str, str]) -> None:
        server = self.stand_in
        build = server.platform.build(server.platform.apps[name], told["commit"], told["procfile"])
        self.begin(200, {"Content-Type": "text/plain"})
        for line in build.stream.follow():
            self.chunk(f"{line}\n".encode())
        if build.status == "succeeded":
            self.chunk(b"exit 0\n")
        else:
            self.chunk(
                b"Verifying deploy...\n\n!\tPush rejected to " + name.encode() + b".\n\nexit 1\n"
            )
        self.chunk(b"")

    def _git(self, call: Call, query: str, body: bytes, fault: Fault | None) -> None:
        server = self.stand_in
        user, password = git.credentials(call.headers.get("authorization", ""))
        if password:
            server.credentials.append((user, password))
        if password != server.key:
            call.status = 401
            ask = {"WWW-Authenticate": 'Basic realm="Heroku"', "Content-Type": "text/plain"}
            return self.reply(401, b"Invalid credentials provided.\n", ask)
        cut = fault.after if fault and fault.does in {"cut", "silent"} else None
        silent = bool(fault and fault.does == "silent")
        call.status = git.serve(self, call.path, query, body, cut, silent=silent)
        return None

    def _fails(self, fault: Fault, call: Call) -> bool:
        """What happens before anything is done."""
        if fault.does == "reset":
            self.reset()
        elif fault.does == "hang":
            self.stand_in.platform.ended.wait(120)
            self.reset()
        elif isinstance(fault.does, int):
            self._json(call, fault.does, fault.answer, fault.headers)
        else:
            return False
        return True

    # --- answering ---

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _json(
        self, call: Call, status: int, body: Any, headers: dict[str, str] | None = None
    ) -> None:
        call.status = status
        text = body if isinstance(body, str) else json.dumps(body)
        self.reply(status, text.encode(), {"Content-Type": "application/json", **(headers or {})})

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """A whole answer."""
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """The beginning of an answer in chunks (as it is, for the hook's HTTP/1.0)."""
        self.send_response(status)
        chunked = {} if self.request_version == "HTTP/1.0" else {"Transfer-Encoding": "chunked"}
        for key, value in {**headers, **chunked}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.flush()

    def chunk(self, data: bytes) -> None:
        """A part of it; an empty one is its end."""
        if self.request_version != "HTTP/1.0":
            data = f"{len(data):x}\r\n".encode() + data + b"\r\n"
        self.wfile.write(data)
        self.wfile.flush()

    def reset(self) -> None:
        """RST instead of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def hang_up(self) -> None:
        """The connection ends here, in the middle of whatever it was."""
        self.close_connection = True
        self.wfile = open("/dev/null", "wb")  # noqa: SIM115
        self.rfile.close()
        self.connection.close()
