"""Explains why a TLS connection failed; nothing in OpenSSL's errors is secret."""

from __future__ import annotations

import ssl


def reason(error: BaseException | None) -> str:
    """The reason as a clause, like "it does not speak TLS", where "it" is the server. `error` is an
    `ssl.SSLError`, or an exception that was raised while one was handled; for any other error the
    clause only says that the handshake failed."""
    while error and not isinstance(error, ssl.SSLError):
        error = error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error.verify_message.rstrip('.')})"
    for needle, words in (
        ("EOF", "the connection was cut off in the TLS handshake"),
        ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
        ("PROTOCOL", "it supports no safe TLS version (1.2 or newer)"),
    ):
        if needle in str(error):
            return words
    named = getattr(error, "reason", None)  # OpenSSL's, like TLSV13_ALERT_CERTIFICATE_REQUIRED
    return f"the TLS handshake failed ({named})" if named else "the TLS handshake failed"
