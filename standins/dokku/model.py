"""What there is on a Dokku server: settings, apps, releases, processes, services."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PLUGINS = ("postgres", "mysql", "redis", "letsencrypt")


@dataclass
class Settings:
    """How this server behaves; may be changed while it runs."""

    version: str = "0.38.27"
    delay: float = 0.15
    seconds: dict[str, float] = field(default_factory=dict)  # of a command, instead of `delay`
    build_seconds: float = 0.0
    checks_wait: float = 1.0
    checks_timeout: float = 5.0
    stop_timeout: float = 2.0
    hostname: str = "127.0.0.1"
    bind: str = "127.0.0.1"
    plugins: list[str] = field(default_factory=lambda: list(DEFAULT_PLUGINS))
    images: dict[str, str] = field(default_factory=dict)

    def changed(self, changes: Mapping[str, object]) -> Settings:
        """Return a copy with other values; an unknown name is an error."""
        values: dict[str, Any] = {**asdict(self), **changes}
        return Settings(**values)


@dataclass
class Release:
    """A built tree: what a real Dokku keeps as an image."""

    number: int
    revision: str
    directory: str


@dataclass
class Process:
    """A running process: what a real Dokku keeps as a container."""

    type: str
    index: int
    pid: int
    started: str
    port: int = 0
    cid: str = ""
    release: int = 0

    @property
    def name(self) -> str:
        """Return the name as Dokku writes it: `web.1`."""
        return f"{self.type}.{self.index}"


@dataclass
class App:
    """One app: its settings, what was built last and what is live."""

    name: str
    created_at: int
    config: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    domains: list[str] = field(default_factory=list)
    scale: dict[str, int] = field(default_factory=dict)
    can_scale: bool = True
    seeded: bool = False
    certificate: str = ""
    releases: int = 0
    built: Release | None = None
    live: Release | None = None
    processes: list[Process] = field(default_factory=list)
    front: Process | None = None
    env_broken: bool = False  # its variables cannot be read
    crashing: dict[str, str] = field(default_factory=dict)  # process → the state that it shows
    restarts: dict[str, int] = field(default_factory=dict)  # process → how often it was restarted


@dataclass
class Globals:
    """What is set with `--global`."""

    config: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    domains: list[str] = field(default_factory=list)


@dataclass
class Service:
    """A service is only what a client sees of it: a name, an address, its links."""

    type: str
    name: str
    version: str
    password: str
    links: list[str] = field(default_factory=list)
    cloned_from: str = ""
