"""Why a TLS connection was not made, in words; nothing of what OpenSSL says is secret."""

from __future__ import annotations

import ssl


def reason(error: BaseException | None) -> str:
    """For an `ssl.SSLError`, or for an exception that was raised while one was handled."""
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
