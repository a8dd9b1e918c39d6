"""A real SMTP server on loopback (aiosmtpd) that keeps what it gets; its certificates."""

from __future__ import annotations

import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "deploys@example.com", "p@ss/w0rd?with#signs"


@dataclass
class Inbox:
    """What arrived, and how to answer."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)  # to DATA; then `250 OK`
    refused: set[str] = field(default_factory=set)  # recipients
    goodbye: str = "221 Bye"  # to QUIT
    user: str = USER
    password: str = PASSWORD

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """A recipient is named."""
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """A message arrives."""
        if self.answers:
            return self.answers.pop(0)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 OK"

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        """It is over."""
        return self.goodbye

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        """Somebody logs in."""
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        right = (data.login, data.password) == (self.user.encode(), self.password.encode())
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    *, context: ssl.SSLContext | None = None, tls: str = "", auth: bool = False
) -> Iterator[Inbox]:
    """A server until the block is left. `tls`: `starttls`, `tls` or none."""
    inbox = Inbox()
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0, "server_hostname": "mail"}
    options["ready_timeout"] = 60.0
    options |= {"ssl_context": context} if tls == "tls" else {}
    options |= {"tls_context": context} if tls == "starttls" else {}
    if auth:
        options |= {"authenticator": inbox.authenticate, "auth_required": True}
        options["auth_require_tls"] = tls == "starttls"
    controller = _Controller(inbox, **options)
    with warnings.catch_warnings():  # a login without TLS is what a test wants to see refused
        warnings.simplefilter("ignore", UserWarning)
        controller.start()
        inbox.port = controller.bound
        try:
            yield inbox
        finally:
            controller.stop()


class _Controller(Controller):
    """One that takes any free port."""

    @property
    def bound(self) -> int:
        """The port."""
        server: Any = self.server
        return int(server.sockets[0].getsockname()[1])

    def _trigger_server(self) -> None:
        """aiosmtpd sees whether it answers; it has to know where."""
        self.port = self.bound
        super()._trigger_server()  # type: ignore[no-untyped-call]


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the file that trusts it."""
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(pem)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem
