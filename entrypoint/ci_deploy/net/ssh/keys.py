"""Private keys in all the forms in which people put them into CI.

A key is checked here, before any connection, and no error shows any part of it.
"""

from __future__ import annotations

import base64
import re
import struct
from typing import NamedTuple

from ci_deploy.settings import lines

PEM = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]*PRIVATE KEY)-----(?P<body>.*?)-----END (?P=label)-----", re.S
)
OLD_HEADERS = re.compile(r"Proc-Type:\s*(\S+)\s+DEK-Info:\s*(\S+)\s+")  # of encrypted PEM
ED25519 = bytes.fromhex("06032b6570")  # the name of the algorithm in PKCS#8
OPENSSH_MAGIC = b"openssh-key-v1\0"  # PROTOCOL.key in the OpenSSH sources


class PrivateKey(NamedTuple):
    """A private key, normalized for ssh-add by `private_key`. Its repr() does not show it."""

    text: str  # PEM with Unix line ends
    encrypted: bool = False  # it has a passphrase

    def __repr__(self) -> str:
        return "PrivateKey(…)"


def private_key(text: str) -> PrivateKey:
    """Parse PEM text (with CRLF, literal `\\n`, all on one line or without a last newline) or
    base64 of it. An Ed25519 key in PKCS#8 is converted to OpenSSH's format.

    Raises ValueError, whose text says what is wrong without any part of the key.
    """
    pem = _unwrapped(text)
    found = list(PEM.finditer(pem))
    if not found:
        raise ValueError(_why_no_key(pem))
    if len(found) > 1:
        message = f"the value contains {len(found)} private keys. Leave only one."
        raise ValueError(message)
    match = found[0]
    label, body = match["label"], match["body"].strip()
    headers = ""
    if old := OLD_HEADERS.match(body):
        headers = f"Proc-Type: {old[1]}\nDEK-Info: {old[2]}\n\n"
        body = body[old.end() :]
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        message = "the key is damaged: the text between BEGIN and END is not base64."
        raise ValueError(message) from None
    encrypted = "ENCRYPTED" in label or "ENCRYPTED" in headers
    if label.startswith("OPENSSH"):
        encrypted = _openssh_encrypted(data)
    if label == "PRIVATE KEY" and ED25519 in data[:16]:
        from ci_deploy.net.ssh import ed25519

        if secret := ed25519.seed(data):
            label, data = "OPENSSH PRIVATE KEY", ed25519.openssh(secret)
    encoded = base64.b64encode(data).decode()
    # OpenSSL does not read longer lines after such headers.
    wrapped = "\n".join(encoded[start : start + 64] for start in range(0, len(encoded), 64))
    whole = f"-----BEGIN {label}-----\n{headers}{wrapped}\n-----END {label}-----\n"
    return PrivateKey(whole, encrypted)


def _unwrapped(text: str) -> str:
    """Undo what CI settings do to a key."""
    return lines.split(text.strip().strip("\"'"))


def _why_no_key(text: str) -> str:
    if "-----BEGIN" in text and "PRIVATE KEY" in text:
        return "the key is incomplete: it has a BEGIN line, but no END line that fits it."
    if text.startswith(("ssh-", "ecdsa-", "sk-")) or "PUBLIC KEY" in text:
        return (
            "this is the public key; the private one starts with `-----BEGIN … PRIVATE KEY-----`."
        )
    if text.startswith("PuTTY-User-Key-File"):
        return "this is a PuTTY key; convert it with `puttygen KEY -O private-openssh`."
    if text.startswith(("/", "~", "./")) and "\n" not in text:
        return "the value looks like a path, but no such file exists in this job."
    return "this is not a private key: it has to start with `-----BEGIN … PRIVATE KEY-----`."


def _openssh_encrypted(data: bytes) -> bool:
    """Whether an OpenSSH key has a passphrase. Reads all fields, which finds every truncation.
    Raises ValueError."""
    message = "the key is damaged: it is not a complete OpenSSH private key."
    if not data.startswith(OPENSSH_MAGIC):
        raise ValueError(message)
    rest = data[len(OPENSSH_MAGIC) :]
    try:
        cipher, rest = field(rest)
        _kdf, rest = field(rest)
        _options, rest = field(rest)
        (count,), rest = struct.unpack(">I", rest[:4]), rest[4:]
        for _ in range(min(count, 8) + 1):  # the public keys, then the private part
            _value, rest = field(rest)
    except (struct.error, ValueError):
        raise ValueError(message) from None
    return cipher != b"none"


def field(data: bytes) -> tuple[bytes, bytes]:
    """Split off the first length-prefixed string of `data` (RFC 4251, section 5): `(field, rest)`.
    Raises ValueError or struct.error when `data` is too short."""
    (size,) = struct.unpack(">I", data[:4])
    if size > len(data) - 4:
        raise ValueError
    return data[4 : 4 + size], data[4 + size :]
