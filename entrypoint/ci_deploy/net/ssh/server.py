"""The address of an ssh server, in all the forms in which people write it."""

from __future__ import annotations

import re
from typing import NamedTuple

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")

# Read on Dokku, on Docker hosts and in `init`.
BELONGS = "the app's name belongs in APP_NAME, the directory on a Docker host in DEPLOY_PATH."


class Server(NamedTuple):
    """The address of an ssh server. `host` has no brackets around an IPv6 address; an empty `user`
    and port 22 leave the choice to SSH_CONFIG."""

    host: str
    user: str = ""
    port: int = 22

    def __str__(self) -> str:
        port = "" if self.port == 22 else f":{self.port}"
        return f"{self.bracketed}{port}"

    @property
    def bracketed(self) -> str:
        """The host as in a URL: an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def known_hosts_name(self) -> str:
        """The host's name in known_hosts, with the port if it is not 22 (sshd(8))."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"

    @property
    def login(self) -> str:
        """The command by which a person connects: `ssh -p 2222 deploy@www.example.com`."""
        port = "" if self.port == 22 else f"-p {self.port} "
        return f"ssh {port}{f'{self.user}@' if self.user else ''}{self.host}"

    def url(self, path: str) -> str:
        """The ssh:// URL of `path` on the server, as git takes it; `user` must not be empty."""
        return f"ssh://{self.user}@{self.bracketed}:{self.port}/{path}"


def server(text: str, *, user: str = "", port: int = 22) -> Server:
    """Parse `host`, `user@host:port` or `ssh://user@host:port`; an IPv6 address in brackets, or
    bare if no port follows.

    `user` and `port` are the defaults when the text has none. Raises ValueError, with the reason
    for the user.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() != "ssh":
        message = (
            f"the address begins with {scheme}://, but ci-deploy connects by ssh: `user@host`."
        )
        raise ValueError(message)
    rest = rest if separator else text
    rest = rest.removesuffix("/")
    if "/" in rest:
        message = f"the address contains a path: give only `user@host`; {BELONGS}"
        raise ValueError(message)
    name, _, address = rest.rpartition("@")
    if ":" in name:
        message = "the address contains a password; ci-deploy connects with a key instead."
        raise ValueError(message)
    host, given = _host_and_port(address)
    if not HOST.fullmatch(host) or (
        name and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
    ):
        message = f"`{text}` is not `host` or `user@host:port`."
        raise ValueError(message)
    return Server(host, name or user, port if given is None else given)


def _host_and_port(address: str) -> tuple[str, int | None]:
    if match := re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>.*))?", address):
        host, port = match["host"], match["port"]
    elif address.count(":") == 1:
        host, port = address.split(":")
    else:
        host, port = address, None  # a name, or a bare IPv6 address
    if port is None:
        return host, None
    if not port:
        message = f"`{address}` ends with a colon: the port is missing."
        raise ValueError(message)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        message = f"`{port}` is not a port (1 to 65535); {BELONGS}"
        raise ValueError(message)
    return host, int(port)
