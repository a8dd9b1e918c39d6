"""The steps of the protocols at which something goes wrong, as `proxy.Step`s."""

from __future__ import annotations

from collections.abc import Callable

from standins.dokku.server import DokkuStandIn
from tests.hostile.proxy import Connection, Step

BIG = 8_000  # bytes at once that only a pack has
NEW_KEYS = 21  # SSH_MSG_NEWKEYS


def accept(_connection: Connection, _to_client: bool, data: bytes) -> int | None:
    """The connection is accepted; nothing was said."""
    return 0 if not data else None


def banner(connection: Connection, to_client: bool, data: bytes) -> int | None:
    """In the middle of the server's first line."""
    return 5 if to_client and data and connection.sent == 0 else None


def key_exchange(connection: Connection, to_client: bool, data: bytes) -> int | None:
    """The server's half of the key exchange."""
    return 0 if to_client and data and connection.sent > 0 else None


def auth(connection: Connection, to_client: bool, data: bytes) -> int | None:
    """The first that the server says encrypted: it answers about our key."""
    return 0 if to_client and data and _encrypted(connection.heard) else None


def _encrypted(heard: bytes) -> bool:
    """Whether the server has switched to the new keys: packets in clear are a length of four bytes,
    one for the padding's, then their type."""
    at = heard.find(b"\n") + 1
    while 0 < at < len(heard) - 5:
        if heard[at + 5] == NEW_KEYS:
            return True
        at += 4 + int.from_bytes(heard[at : at + 4], "big")
    return False


class Ssh:
    """Steps behind the encryption: the server's own records say where we are."""

    def __init__(self, server: DokkuStandIn) -> None:
        self._server = server
        self._log = server.sshd_log.stat().st_size
        self._noted = server.noted()

    def _accepted(self, connection: Connection) -> bool:
        with self._server.sshd_log.open("rb") as log:
            log.seek(self._log)
            new = log.read()
        accepted = f"Accepted publickey for {self._server.user} from 127.0.0.1 port "
        return f"{accepted}{connection.port} ".encode() in new

    def channel(self, connection: Connection, to_client: bool, data: bytes) -> int | None:
        """The server has accepted the key; a session is opened."""
        return 0 if to_client and data and self._accepted(connection) else None

    def answer(self, number: int) -> Step:
        """The answer to the remote command with this number (from 1), of all connections."""

        def step(_connection: Connection, to_client: bool, data: bytes) -> int | None:
            if not to_client or not data:
                return None
            return 0 if len(self._server.calls(self._noted)) >= number else None

        return step

    def advertisement(self, _connection: Connection, to_client: bool, data: bytes) -> int | None:
        """The server tells git its branches, before a push."""
        return 0 if to_client and data and self._pushing() else None

    def pack(self, _connection: Connection, to_client: bool, data: bytes) -> int | None:
        """In the middle of the upload of what is pushed."""
        return len(data) // 2 if not to_client and len(data) > BIG and self._pushing() else None

    def build(self, _connection: Connection, to_client: bool, data: bytes) -> int | None:
        """What the server says while it builds."""
        locked = any(self._server.app(name).locked for name in self._server.apps())
        return 0 if to_client and data and self._pushing() and locked else None

    def report(self, app: str, revision: Callable[[], str]) -> Step:
        """The new revision is live; the server's last words about the push are due."""

        def step(_connection: Connection, to_client: bool, data: bytes) -> int | None:
            if not to_client or not data or app not in self._server.apps():
                return None
            return 0 if self._server.app(app).running_revision == revision() else None

        return step

    def _pushing(self) -> bool:
        return any("git-receive-pack" in call.raw for call in self._server.calls(self._noted))


class Web:
    """Steps of HTTP, by the number of the call that the server has had."""

    def __init__(self, calls: Callable[[], int]) -> None:
        self._count, self._before = calls, calls()

    def connect(self, number: int) -> Step:
        """Before the call with this number (from 1) reaches the server."""

        def step(connection: Connection, to_client: bool, data: bytes) -> int | None:
            if data and (to_client or data.startswith(b"POST /_hook/")):
                return None
            return 0 if self._count() - self._before >= number - 1 else None

        return step

    def head(self, number: int) -> Step:
        """In the middle of the first lines of its answer: the server has done it."""

        def step(connection: Connection, to_client: bool, data: bytes) -> int | None:
            if not self._answers(connection, to_client, data, number):
                return None
            return 7 if data.startswith(b"HTTP/1.1 ") else None

        return step

    def body(self, number: int) -> Step:
        """At the beginning of the body of its answer."""

        def step(connection: Connection, to_client: bool, data: bytes) -> int | None:
            if not self._answers(connection, to_client, data, number):
                return None
            at = data.find(b"\r\n\r\n")
            return None if at < 0 else at + 4

        return step

    def _answers(self, connection: Connection, to_client: bool, data: bytes, number: int) -> bool:
        hook = connection.got.startswith(b"POST /_hook/")
        return to_client and bool(data) and not hook and self._count() - self._before >= number


class Told:
    """Steps of any protocol, by how much the server has said by then; `whole`: in bytes, of all the
    connections of an undisturbed run."""

    def __init__(self, told: Callable[[], int], whole: int) -> None:
        self._told, self._whole = told, whole

    def part(self, share: float) -> Step:
        """When so much of it was said."""

        def step(_connection: Connection, to_client: bool, data: bytes) -> int | None:
            due = int(share * self._whole) - (self._told() - len(data))
            return max(0, due) if to_client and due < len(data) else None

        return step
