"""Pinned host keys: their parser, and the errors when a server's key does not match."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ci_deploy.errors import Unauthorized
from ci_deploy.net.ssh.keys import field
from ci_deploy.net.ssh.server import Server
from ci_deploy.settings.lines import split

PIN = re.compile(r"(SHA256:)?(?P<digest>[A-Za-z0-9+/]{43})=?")
# A line of `ssh-keygen -lf`, also for several keys: bits, fingerprint, comment, type.
LISTED = re.compile(r"\d{3,5} (SHA256:[A-Za-z0-9+/]{43}) \S.*?\([A-Z0-9-]+\)(?:\s+|$)")
CERTIFICATE = "-cert-v01@openssh.com"
REVOKED, AUTHORITY = "@revoked", "@cert-authority"


class HostKeys(NamedTuple):
    """Pinned host identities: known_hosts lines and `SHA256:` fingerprints."""

    lines: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    @property
    def known(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield (marker or "", host name, key type, fingerprint) for each known_hosts line."""
        for line in self.lines:
            *marker, name, kind, key = line.split()
            yield "".join(marker), name, kind, fingerprint(key)

    def revokes(self, offer: Offer) -> bool:
        """Whether the key in `offer` is pinned as revoked (@revoked), under any host name."""
        return any(it[0] == REVOKED and it[3] == offer.fingerprint for it in self.known)


def host_keys(text: str) -> HostKeys:
    """Parse known_hosts lines (as ssh-keyscan prints them; sshd(8)), bare public keys, fingerprints
    or the output of `ssh-keygen -lf`, also mixed. A bare key counts for every host. Raises
    ValueError with the reason for the user, also if there are none."""
    pins = HostKeys()
    if "PRIVATE KEY-----" in text:
        message = "this is a private key; it belongs in SSH_PRIVATE_KEY."
        raise ValueError(message)
    for number, line in enumerate(split(text).split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if found := _fingerprints(words):
            pins = pins._replace(fingerprints=pins.fingerprints + found)
        else:
            pins = pins._replace(lines=(*pins.lines, _known_hosts_line(words, number)))
    if not pins.lines and not pins.fingerprints:
        message = "the value contains neither a known_hosts line nor a SHA256 fingerprint."
        raise ValueError(message)
    return pins


def _fingerprints(words: Sequence[str]) -> tuple[str, ...]:
    if all(map(PIN.fullmatch, words)):
        digests = (match["digest"] for word in words if (match := PIN.fullmatch(word)))
        return tuple(f"SHA256:{digest}" for digest in digests)
    line = " ".join(words)
    listed = tuple(LISTED.findall(line))
    return () if LISTED.sub("", line) else listed


def _known_hosts_line(words: list[str], number: int) -> str:
    marker = [words.pop(0)] if words[0].startswith("@") else []
    if marker and marker[0] not in {REVOKED, AUTHORITY}:  # ssh would ignore the whole line
        message = (
            f"line {number}: {marker[0]} is not a marker; the markers are {REVOKED} and "
            f"{AUTHORITY}."
        )
        raise ValueError(message)
    if len(words) > 1 and _is_key_of(words[0], words[1]):
        words.insert(0, "*")  # a bare public key is pinned for every host of this run
    if len(words) < 3 or not _is_key_of(words[1], words[2]):
        message = f"line {number} is neither `host type key` nor `SHA256:fingerprint`."
        if any(re.fullmatch(r"(MD5:)?[0-9a-f]{2}(:[0-9a-f]{2}){15}", word) for word in words):
            message += " It is an MD5 fingerprint; `ssh-keygen -E sha256 -lf` prints the right one."
        raise ValueError(message)
    return " ".join([*marker, *words[:3]])


def _is_key_of(kind: str, encoded: str) -> bool:
    try:
        return field(base64.b64decode(encoded, validate=True))[0] == kind.encode()
    except (struct.error, ValueError):
        return False


def fingerprint(encoded: str) -> str:
    """The `SHA256:…` fingerprint of a public key in base64, as OpenSSH prints it."""
    digest = hashlib.sha256(base64.b64decode(encoded)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


class Offer(NamedTuple):
    """A host key that a server has shown: type, key in base64, fingerprint, and the name under
    which ssh looked for it."""

    kind: str
    key: str
    fingerprint: str
    host: str = ""

    def line(self, server: Server) -> str:
        """The known_hosts line that pins this key for the server."""
        return f"{self.host or server.known_hosts_name} {self.kind} {self.key}"

    @property
    def file(self) -> str:
        """The usual path of the public key on the server: for `ssh-ed25519`
        /etc/ssh/ssh_host_ed25519_key.pub."""
        words = self.kind.split("-")
        return f"/etc/ssh/ssh_host_{words[0] if words[0] == 'ecdsa' else words[1]}_key.pub"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The names of this key type in ssh's option HostKeyAlgorithms."""
        if self.kind.startswith("ssh-rsa"):
            return (f"rsa-sha2-*{self.kind.removeprefix('ssh-rsa')}", self.kind)
        return (self.kind,)


class WrongHostKey(Unauthorized):
    """The host key of a server, or of a jump host before it, is not pinned, is revoked, or could
    not be checked."""


def mismatch(
    server: Server,
    offers: Sequence[Offer],
    pins: HostKeys | None,
    shown: Callable[[str], bool] = bool,
    *,
    key: str = "",
    among: int = 1,
    said: str = "ssh gave no reason",
) -> WrongHostKey:
    """The error for a server whose host keys do not match the pins; its hint says what to set.

    `offers` are the keys that the server has shown, in the order of the attempts. `shown` says
    whether a text appears in the log unredacted. `key` is the fingerprint of our own key; `among`
    is how many servers this run has: with several, a pin may be for another one. `said` is ssh's
    own error, for when there are no offers.
    """
    if not offers:
        message = f"the host key of {server} could not be checked: {said.rstrip('.')}."
        hint = "Run the job again."
        if "no matching host key type" in said:
            hint = "Set HostKeyAlgorithms in SSH_CONFIG to types that the server offers."
        return WrongHostKey(message, hint=hint)
    known = list((pins or HostKeys()).known)
    fitting = [offer for offer in offers if any(offer.fingerprint == it[3] for it in known)]
    offer = next(iter(fitting), offers[0])
    name = offer.host or server.known_hosts_name
    who = str(server) if name == server.known_hosts_name else f"{server} (as {name})"
    seen = f"{who} presents the host key {offer.fingerprint} ({offer.kind})"
    there = f"the server's own fingerprint (on the server: `ssh-keygen -lf {offer.file}`)"
    others = any(
        not marker and host not in {name, "*"} and pin != offer.fingerprint
        for marker, host, _, pin in known
    )
    through = pins is not None and name != server.known_hosts_name
    remedy = _remedy(offer, server, shown, add=others or through or among > 1)
    hint = f"Compare this with {there}. If it is the same, {remedy}"
    if pins is None:
        return WrongHostKey(f"{seen}, and no host key is pinned.", hint=hint)
    ours = [each for each in known if each[3] == offer.fingerprint]
    if pins.revokes(offer):
        hint = (
            "Whoever has the old key can pretend to be this server. Create new host keys on it "
            "(`ssh-keygen -A`, after the old ones are removed), and pin those instead."
        )
        return WrongHostKey(f"{seen}, which is pinned as revoked (@revoked).", hint=hint)
    if names := [
        "another name, which is hashed" if name.startswith("|") else name
        for marker, name, *_ in ours
        if not marker
    ]:
        message = f"{seen}. It is pinned for {', '.join(names)}, but we connect to {name}."
        return WrongHostKey(message, hint=f"If both are the same server, {remedy}")
    plain = {pin: kind for marker, _, kind, pin in known if not marker}
    authorities = [
        f"{pin} (certificate authority)" for marker, *_, pin in known if marker == AUTHORITY
    ]
    kinds = sorted(set(plain.values()))
    if kinds and not pins.fingerprints and not {each.kind for each in offers} & set(kinds):
        return WrongHostKey(
            f"{seen}, but a key of another type is pinned ({', '.join(kinds)}).", hint=hint
        )
    if key and {*plain, *pins.fingerprints} == {key}:
        message = f"{seen}, but the pinned key is our own: SSH_SERVER_HOSTKEYS is for the server's."
        return WrongHostKey(message, hint=hint)
    if pinned := ", ".join([*plain, *pins.fingerprints, *authorities]):
        message = (
            f"{seen}, but the pinned key is {pinned}. Somebody may be intercepting the connection."
        )
        return WrongHostKey(message, hint=hint)
    return WrongHostKey(f"{seen}, but only revoked keys are pinned (@revoked).", hint=hint)


def _remedy(offer: Offer, server: Server, shown: Callable[[str], bool], *, add: bool) -> str:
    """What to set, as far as the log may show it; pins of other hosts are kept."""
    line = "" if CERTIFICATE in offer.kind else offer.line(server)
    for pin in (line, offer.fingerprint):
        if pin and shown(pin):
            if add:
                return f"add to SSH_SERVER_HOSTKEYS the line:\n{pin}"
            return f"set:\nSSH_SERVER_HOSTKEYS='{pin}'"
    verb = "add to SSH_SERVER_HOSTKEYS" if add else "set SSH_SERVER_HOSTKEYS to"
    return f"{verb} the output of that command."
