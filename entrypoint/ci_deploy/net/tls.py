"""Says why a TLS connection failed; nothing in OpenSSL's errors is secret."""

from __future__ import annotations

import ssl


def reason(error: BaseException | None) -> str:
    """The reason, for an `ssl.SSLError` or an exception raised while one was handled."""
    while error and not isinstance(error, ssl.SSLError):
        error = error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error.verify_message.rstrip('.')})"
    for needle, words in (
        ("EOF", "the connection was cut off in the TLS handshake"),
        ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
        ("PROTOCOL", "it speaks no TLS version that is still safe (1.2 or newer)"),
    ):
        if needle in str(error):
            return words
    return "the TLS handshake failed"
