"""Pinned host keys: how they are written, and what to say when they do not fit."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from typing import NamedTuple

from ci_deploy.errors import Unauthorized
from ci_deploy.lines import split
from ci_deploy.tools.keys import field
from ci_deploy.tools.server import Server


class HostKeys(NamedTuple):
    """Pinned host identities: known_hosts lines and `SHA256:` fingerprints."""

    lines: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()


def host_keys(text: str) -> HostKeys:
    """Read known_hosts lines (as ssh-keyscan prints them), bare public keys or fingerprints."""
    pins = HostKeys()
    for number, line in enumerate(split(text).split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if all(re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", word) for word in words):
            found = tuple(word.rstrip("=") for word in words)
            pins = pins._replace(fingerprints=pins.fingerprints + found)
        else:
            pins = pins._replace(lines=(*pins.lines, _known_hosts_line(words, number)))
    if not pins.lines and not pins.fingerprints:
        message = "there is neither a known_hosts line nor a SHA256 fingerprint in it."
        raise ValueError(message)
    return pins


def _known_hosts_line(words: list[str], number: int) -> str:
    marker = [words.pop(0)] if words[0].startswith("@") else []
    if len(words) > 1 and _is_key_of(words[0], words[1]):
        words.insert(0, "*")  # a bare public key pins every host, that is: ours
    if len(words) < 3 or not _is_key_of(words[1], words[2]):
        message = f"line {number} is neither `host type key` nor `SHA256:fingerprint`."
        raise ValueError(message)
    return " ".join([*marker, *words[:3]])


def _is_key_of(kind: str, encoded: str) -> bool:
    try:
        return field(base64.b64decode(encoded, validate=True))[0] == kind.encode()
    except (struct.error, ValueError):
        return False


def fingerprint(encoded: str) -> str:
    """`SHA256:…` of a public key in base64, as OpenSSH prints it."""
    digest = hashlib.sha256(base64.b64decode(encoded)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


class Offer(NamedTuple):
    """The host key that a server has shown: type, key in base64, fingerprint."""

    kind: str
    key: str
    fingerprint: str

    def line(self, server: Server) -> str:
        """The known_hosts line that pins it."""
        return f"{server.known_hosts_name} {self.kind} {self.key}"

    @property
    def file(self) -> str:
        """Where the server has it: `ssh-ed25519` is in ssh_host_ed25519_key.pub."""
        words = self.kind.split("-")
        return f"/etc/ssh/ssh_host_{words[0] if words[0] == 'ecdsa' else words[1]}_key.pub"


def mismatch(server: Server, offer: Offer | None, pins: HostKeys | None) -> Unauthorized:
    """The server is not, or not yet, who we think it is: what it shows and what to set."""
    if offer is None:
        return Unauthorized(f"the host key of {server} could not be checked.")
    shown = f"{server} shows the host key {offer.fingerprint} ({offer.kind})"
    hint = (
        f"Compare this with the server's own fingerprint (there: `ssh-keygen -lf {offer.file}`). "
        f"If it is the same, set:\nSSH_SERVER_HOSTKEYS='{offer.line(server)}'"
    )
    if pins is None:
        return Unauthorized(f"{shown}, and no host key is pinned.", hint=hint)
    known = {fingerprint(words[-1]): words[-2] for words in map(str.split, pins.lines)}
    pinned = ", ".join([*known, *pins.fingerprints])
    kinds = sorted(set(known.values()))
    if kinds and not pins.fingerprints and offer.kind not in kinds:
        return Unauthorized(f"{shown}, but pinned is another type ({', '.join(kinds)}).", hint=hint)
    return Unauthorized(f"{shown}, but pinned is {pinned}. Somebody may be in between.", hint=hint)
