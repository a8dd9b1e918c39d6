"""Chooses which types of host keys ssh requests (a server has keys of several types, and shows one
of them), and reads which keys were shown."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from pathlib import Path

from ci_deploy.net.ssh.host_keys import AUTHORITY, CERTIFICATE, HostKeys, Offer
from ci_deploy.net.ssh.server import Server

OPTION = "HostKeyAlgorithms"


class HostKeyTypes:
    """The types of host keys to request from each server, for one run: certificates only if an
    authority is pinned, else plain keys, which a pin can name. After a key that is not pinned,
    another type is requested. HostKeyAlgorithms in SSH_CONFIG overrides all of this."""

    def __init__(self, pins: HostKeys, ssh_config: str) -> None:
        self._pins = pins
        self._chosen = OPTION.lower() in ssh_config.lower()  # the user has chosen the types
        authority = any(marker == AUTHORITY for marker, *_ in pins.known)
        self._never = [] if authority else [f"*{CERTIFICATE}"]
        self._unwanted: defaultdict[Server, list[Offer]] = defaultdict(list)

    @property
    def general(self) -> dict[str, str]:
        """The ssh_config option for all servers: name → value; empty if none is needed."""
        return {OPTION: f"-{self._never[0]}"} if self._never and not self._chosen else {}

    def option(self, server: Server) -> list[str]:
        """The arguments of ssh that exclude key types for one server; empty if `another` has
        excluded none."""
        unwanted = [name for offer in self._unwanted[server] for name in offer.algorithms]
        return ["-o", f"{OPTION}=-{','.join([*unwanted, *self._never])}"] if unwanted else []

    def another(self, server: Server, shown: Offer) -> bool:
        """Whether to connect again for a key of another type: besides the key `shown`, the server
        may have a pinned one. If so, the type of `shown` is excluded from now on."""
        types = {offer.kind for offer in self._unwanted[server]}
        left = {kind for _, _, kind, _ in self._pins.known} - {*types, shown.kind}
        if self._chosen or shown.kind in types or self._pins.revokes(shown):
            return False
        if not (self._pins.fingerprints or left):
            return False
        self._unwanted[server].append(shown)
        return True

    def offers(self, server: Server, last: Offer | None) -> list[Offer]:
        """The host keys that the server has shown, one of each type, in the order of the attempts;
        `last` is that of the last one. Empty if it has shown none."""
        seen = [*self._unwanted[server], *([last] if last else [])]
        return list({offer.kind: offer for offer in seen}.values())


class ShownKeys:
    """The host keys that servers have shown, from the file `path`, to which known_hosts.sh appends
    them. Only those since a server's last connection began count: an earlier attempt may have got
    past a jump host, and the last one not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: dict[Server, int] = {}  # lines, when its last connection began

    def connecting(self, server: Server) -> None:
        """Note that a connection to the server begins: `last` ignores earlier keys from now on."""
        self._before[server] = len(self._lines())

    def last(self, server: Server) -> Offer | None:
        """The last key shown since `connecting`: the server's own, else that of a jump host before
        it. None if there is none."""
        with contextlib.suppress(ValueError, IndexError):
            shown = [line.split() for line in self._lines()[self._before.get(server, 0) :]]
            named = [line for line in shown if line[0] == server.known_hosts_name]
            host, kind, key, digest = (named or shown)[-1]
            return Offer(kind, key, digest, host)
        return None

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []
