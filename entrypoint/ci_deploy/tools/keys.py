"""Private keys, host keys and server addresses in every form in which people put them into CI.

All of it is checked here, before any connection, and errors never show a value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass, replace

PEM = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]*PRIVATE KEY)-----(?P<body>.*?)-----END (?P=label)-----", re.S
)
OPENSSH_MAGIC = b"openssh-key-v1\0"  # PROTOCOL.key in the OpenSSH sources
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


@dataclass(frozen=True)
class PrivateKey:
    """A private key as ssh-add wants it: PEM text with Unix line ends."""

    text: str
    encrypted: bool = False

    def __repr__(self) -> str:
        return "PrivateKey(…)"


def private_key(text: str) -> PrivateKey:
    """Accept PEM text (CRLF, literal `\\n`, all on one line, no last newline) or base64 of it.

    Raises ValueError with the reason in the words of somebody who has to fix it.
    """
    pem = _unwrapped(text)
    match = PEM.search(pem)
    if match is None:
        raise ValueError(_why_no_key(pem))
    label, body = match["label"], match["body"].strip()
    headers = ""
    if "Proc-Type:" in body:  # the old encrypted form has headers and an empty line
        headers, _, body = body.partition("\n\n")
        headers += "\n\n"
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        message = "the key is damaged: what stands between BEGIN and END is not base64."
        raise ValueError(message) from None
    encrypted = "ENCRYPTED" in label or "ENCRYPTED" in headers
    if label.startswith("OPENSSH"):
        encrypted = _openssh_encrypted(data)
    encoded = base64.b64encode(data).decode()
    lines = "\n".join(encoded[start : start + 70] for start in range(0, len(encoded), 70))
    whole = f"-----BEGIN {label}-----\n{headers}{lines}\n-----END {label}-----\n"
    return PrivateKey(whole, encrypted)


def _unwrapped(text: str) -> str:
    """Undo what CI settings do to a key."""
    text = text.strip().strip("\"'").replace("\r\n", "\n").replace("\r", "\n")
    if "\n" not in text and "\\n" in text:
        text = text.replace("\\r", "").replace("\\n", "\n")
    if "-----" not in text and len(text) > 100:
        try:
            decoded = base64.b64decode("".join(text.split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return text
        return _unwrapped(decoded) if "-----BEGIN" in decoded else text
    return text


def _why_no_key(text: str) -> str:
    if "-----BEGIN" in text and "PRIVATE KEY" in text:
        return "the key is cut off: there is a BEGIN line, but no END line that fits it."
    if text.startswith(("ssh-", "ecdsa-", "sk-")) or "PUBLIC KEY" in text:
        return (
            "this is the public half; the key itself starts with `-----BEGIN … PRIVATE KEY-----`."
        )
    if text.startswith("PuTTY-User-Key-File"):
        return "this is a PuTTY key; convert it with `puttygen KEY -O private-openssh`."
    if text.startswith(("/", "~", "./")) and "\n" not in text:
        return "it looks like a path, but there is no such file."
    return "this is no private key: it has to start with `-----BEGIN … PRIVATE KEY-----`."


def _openssh_encrypted(data: bytes) -> bool:
    """Walk through the fields of an OpenSSH key, which finds every truncation."""
    message = "the key is damaged: it is not a whole OpenSSH private key."
    if not data.startswith(OPENSSH_MAGIC):
        raise ValueError(message)
    rest = data[len(OPENSSH_MAGIC) :]
    try:
        cipher, rest = _field(rest)
        _kdf, rest = _field(rest)
        _options, rest = _field(rest)
        (count,), rest = struct.unpack(">I", rest[:4]), rest[4:]
        for _ in range(min(count, 8) + 1):  # the public keys, then the private part
            _value, rest = _field(rest)
    except (struct.error, ValueError):
        raise ValueError(message) from None
    return cipher != b"none"


def _field(data: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack(">I", data[:4])
    if size > len(data) - 4:
        raise ValueError
    return data[4 : 4 + size], data[4 + size :]


# --- host keys -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class HostKeys:
    """Pinned host identities: known_hosts lines and `SHA256:` fingerprints."""

    lines: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()


def host_keys(text: str) -> HostKeys:
    """Read known_hosts lines (as ssh-keyscan prints them), bare public keys or fingerprints."""
    if "\n" not in text:
        text = text.replace("\\n", "\n")
    pins = HostKeys()
    for number, line in enumerate(text.replace("\r", "\n").split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if all(re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", word) for word in words):
            found = tuple(word.rstrip("=") for word in words)
            pins = replace(pins, fingerprints=pins.fingerprints + found)
        else:
            pins = replace(pins, lines=(*pins.lines, _known_hosts_line(words, number)))
    if not pins.lines and not pins.fingerprints:
        message = "there is neither a known_hosts line nor a SHA256 fingerprint in it."
        raise ValueError(message)
    return pins


def _known_hosts_line(words: list[str], number: int) -> str:
    marker = [words.pop(0)] if words[0].startswith("@") else []
    if re.match(r"(ssh|ecdsa|sk)-", words[0]):
        words.insert(0, "*")  # a bare public key pins every host, that is: ours
    if len(words) < 3 or not _is_key_of(words[1], words[2]):
        message = f"line {number} is neither `host type key` nor `SHA256:fingerprint`."
        raise ValueError(message)
    return " ".join([*marker, *words[:3]])


def _is_key_of(kind: str, encoded: str) -> bool:
    try:
        return _field(base64.b64decode(encoded, validate=True))[0] == kind.encode()
    except (binascii.Error, struct.error, ValueError):
        return False


def fingerprint(encoded: str) -> str:
    """`SHA256:…` of a public key in base64, as OpenSSH prints it."""
    digest = hashlib.sha256(base64.b64decode(encoded)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


# --- servers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """Where to connect to by ssh. `host` is without the brackets of an IPv6 address."""

    host: str
    user: str = ""
    port: int = 22

    def __str__(self) -> str:
        port = "" if self.port == 22 else f":{self.port}"
        return f"{self.bracketed}{port}"

    @property
    def bracketed(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def known_hosts_name(self) -> str:
        """The host as it stands in known_hosts."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    def url(self, path: str) -> str:
        """The URL that git takes."""
        return f"ssh://{self.user}@{self.bracketed}:{self.port}/{path}"


def server(text: str, *, user: str = "") -> Server:
    """Parse `host`, `user@host:port`, `ssh://user@host:port`, IPv6 in brackets or bare."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() != "ssh":
        message = f"this is a {scheme}:// address, but the server is reached by ssh: `user@host`."
        raise ValueError(message)
    rest = rest if separator else text
    rest = rest.removesuffix("/")
    if "/" in rest:
        message = "there is a path in it; the name of the app belongs into APP_NAME."
        raise ValueError(message)
    name, _, address = rest.rpartition("@")
    host, port = _host_and_port(address)
    if not HOST.fullmatch(host) or (
        name and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
    ):
        message = f"`{text}` is not `host` or `user@host:port`."
        raise ValueError(message)
    return Server(host, name or user, port)


def _host_and_port(address: str) -> tuple[str, int]:
    if match := re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>.*))?", address):
        host, port = match["host"], match["port"]
    elif address.count(":") == 1:
        host, port = address.split(":")
    else:
        host, port = address, None  # a name, or a bare IPv6 address
    if port is None:
        return host, 22
    if not port.isdecimal() or not 0 < int(port) < 65536:
        message = f"`{port}` is not a port; the name of the app belongs into APP_NAME."
        raise ValueError(message)
    return host, int(port)
