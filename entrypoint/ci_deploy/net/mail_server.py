"""Parses the URL of a mail server (NOTIFY_SMTP_URL). It is apart from smtp.py, which sends, since
every run loads the settings, but few send mail."""

from __future__ import annotations

import contextlib
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

PORTS = {"smtp": 587, "smtps": 465}


class MailServer(NamedTuple):
    """A mail server, and how to log in there. Its `str` is `host:port`, without user and
    password."""

    scheme: str  # `smtp`: TLS by STARTTLS, if the server offers it; `smtps`: TLS from the start
    host: str
    port: int
    user: str = ""  # empty: no login
    password: str = ""
    text: str = ""  # the URL as it was given

    def __repr__(self) -> str:  # without the password
        return f"MailServer({self})"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def mail_server(text: str) -> MailServer:
    """Parse `smtp://user:password@host:587` or `smtps://…`; the default ports are 587 and 465.
    Raises ValueError, whose text shows no part of the URL."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        rest = parts.path.strip("/") or parts.query or parts.fragment
        if parts.scheme in PORTS and parts.hostname and not rest:
            port = parts.port or PORTS[parts.scheme]
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            return MailServer(parts.scheme, parts.hostname, port, user, password, text)
    message = (
        "this is not `smtp://user:password@host:587` or `smtps://…`; `@`, `/`, `?` and `#` "
        "in the user or password must be written as %40, %2F, %3F and %23."
    )
    raise ValueError(message)
