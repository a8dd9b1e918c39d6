"""`postgres:*`, `mysql:*`, `redis:*`: what the plugins have in common, and what differs.

A service is only what a client sees of it: a name, an address, links. The rules are those of
dokku-postgres' `common-functions`, notably of the name of the variable that a link sets.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .model import Service
from .output import fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host
    from .parsing import Options

NAMELESS = "Please specify a valid name for the service"
NAME = re.compile(r"[A-Za-z0-9_-]+")
COLOURS = ("AQUA", "BLACK", "BLUE", "FUCHSIA", "GRAY", "GREEN", "LIME", "MAROON")


@dataclass(frozen=True)
class Kind:
    """What differs between the plugins."""

    title: str
    alias: str
    address: str
    version: str


KINDS = {
    "postgres": Kind(
        "Postgres", "DATABASE", "postgres://postgres:{password}@{host}:5432/{database}", "17.5"
    ),
    "mysql": Kind("MySQL", "DATABASE", "mysql://mysql:{password}@{host}:3306/{database}", "8.4.5"),
    "redis": Kind("Redis", "REDIS", "redis://:{password}@{host}:6379", "8.0.2"),
}


class Plugin:
    """One of the service plugins, on one server."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.kind = KINDS[name]

    def find(self, name: str) -> Service | None:
        """Return a service, if there is one of that name."""
        found = [each for each in self.host.store.services(self.name) if each.name == name]
        return found[0] if found else None

    def get(self, words: Sequence[str]) -> Service:
        """Return the service that the first argument names."""
        if not words:
            fail(NAMELESS)
        service = self.find(words[0])
        return service or fail(f"{self.kind.title} service {words[0]} does not exist")

    def dsn(self, service: Service, app: str = "") -> str:
        """Return the service's address; an app may choose its scheme (MYSQL_DATABASE_SCHEME)."""
        host = f"dokku-{self.name}-{service.name}".replace("_", "-")
        database = service.name.replace("-", "_")
        address = self.kind.address.format(password=service.password, host=host, database=database)
        config = self.host.app(app).config if app else {}
        scheme = config.get(f"{self.name.upper()}_DATABASE_SCHEME")
        return f"{scheme}://{address.partition('://')[2]}" if scheme else address

    def create(self, name: str, options: Options) -> Service:
        """Create a service; its password is random unless one is given."""
        if not NAME.fullmatch(name):
            fail(f"{NAMELESS}. Valid characters are: [A-Za-z0-9_-]+")
        version = options.get("--image-version") or options.get("-I") or self.kind.version
        password = options.get("--password") or options.get("-p") or secrets.token_hex(16)
        service = Service(self.name, name, version, password)
        if not self.host.store.create_service(service):
            fail(f"{self.kind.title} service {name} already exists")
        self.host.console.verbose("Waiting for container to be ready")
        self.host.console.info2(f"{self.kind.title} container created: {name}")
        for key, value in self.facts(service).items():
            label = key.removeprefix("--").replace("-", " ").capitalize()
            self.host.console.verbose(f"{label + ':':20} {value}")
        return service

    def facts(self, service: Service) -> dict[str, str]:
        """Return what `:info` knows."""
        return {
            "--dsn": self.dsn(service),
            "--exposed-ports": "-",
            "--links": " ".join(service.links) or "-",
            "--service-root": f"/var/lib/dokku/services/{self.name}/{service.name}",
            "--status": "running",
            "--version": f"{self.name}:{service.version}",
        }

    def variables(self, service: Service, app: str) -> list[str]:
        """Return the app's variables that hold the service's address."""
        address = self.dsn(service).partition("://")[2]
        config = self.host.app(app).config
        return [
            key
            for key, value in config.items()
            if value.partition("?")[0].partition("://")[2] == address
        ]

    def free_alias(self, app: str) -> str:
        """Return the variable for a link: the usual one, else one of a random colour."""
        config = self.host.app(app).config
        if f"{self.kind.alias}_URL" not in config:
            return f"{self.kind.alias}_URL"
        names = [f"DOKKU_{self.name.upper()}_{colour}_URL" for colour in COLOURS]
        return secrets.choice([name for name in names if name not in config])
