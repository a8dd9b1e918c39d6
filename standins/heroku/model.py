"""What Heroku knows: apps with their releases, slugs, builds and dynos; pipelines.

The names of the fields are those of the Platform API (@heroku-cli/schema, the CLI's own package).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


def new_id() -> str:
    """An identifier as Heroku makes them."""
    return str(uuid.uuid4())


def timestamp(seconds: float | None = None) -> str:
    """ISO 8601, as in every answer."""
    at = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Stream:
    """Output that comes line by line; whoever asks gets it from the beginning."""

    def __init__(self) -> None:
        self.id = new_id()
        self.lines: list[str] = []
        self.closed = False
        self._changed = threading.Condition()

    def write(self, *lines: str) -> None:
        """More output."""
        with self._changed:
            self.lines += lines
            self._changed.notify_all()

    def close(self) -> None:
        """No more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def follow(self, seconds: float = 60.0) -> Iterator[str]:
        """Each line as it comes."""
        shown, until = 0, time.monotonic() + seconds
        while True:
            with self._changed:
                while shown == len(self.lines) and not self.closed:
                    if not self._changed.wait(max(0.0, until - time.monotonic())):
                        return
                fresh = self.lines[shown:]
                shown += len(fresh)
                if not fresh:
                    return
            yield from fresh


@dataclass
class Behaviour:
    """How the next builds, release phases and boots of an app go; tests change it at will."""

    build: str = "succeed"  # or fail
    build_fails: tuple[str, ...] = (" !     Push rejected, failed to compile Ruby app.",)
    build_lines: tuple[str, ...] = ("-----> Building on the Heroku-24 stack", "-----> Ruby app")
    build_seconds: float = 0.0
    build_ends: threading.Event | None = None  # then, and not before
    phase: str = "succeed"  # the release phase: or fail, expire
    phase_lines: tuple[str, ...] = ("running the release command",)
    phase_seconds: float = 0.0
    phase_ends: threading.Event | None = None  # then, and not before
    lag: float = 0.0  # seconds from the end of its output to its final status
    boot: str = "up"  # or crash, starting (for ever)
    boot_seconds: float = 0.0
    restart_lag: float = 0.0  # seconds that old dynos are still listed after the answer
    names_commit: bool = True  # a slug tells its commit
    postdeploy: int = 0  # exit code of app.json's postdeploy
    transfer: str = "succeed"  # a backup or a restore: or fail, empty
    transfer_seconds: float = 0.0
    transfer_ends: threading.Event | None = None  # then, and not before
    transfer_log: tuple[str, ...] = ("pg_dump: reading schemas",)
    transfer_warnings: int = 0


@dataclass
class Slug:
    """What a build makes: code and its process types."""

    commit: str
    process_types: dict[str, str]
    id: str = field(default_factory=new_id)
    gone: bool = False  # Heroku has thrown it away


@dataclass
class Release:
    """A release of an app."""

    version: int
    description: str
    slug: Slug | None
    status: str
    config: dict[str, str]
    stream: Stream | None = None
    current: bool = False
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=timestamp)


@dataclass
class Build:
    """A build, by git or by the API."""

    version: str
    stream: Stream = field(default_factory=Stream)
    status: str = "pending"
    slug: Slug | None = None
    release: Release | None = None
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=timestamp)


@dataclass
class Dyno:
    """A dyno; its state follows from when it was started and from how its app boots."""

    name: str
    type: str
    command: str
    release: Release | None
    boot: str = "up"
    ready: float = 0.0  # time.monotonic()
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=timestamp)

    @property
    def state(self) -> str:
        """starting, up or crashed."""
        if self.boot == "starting" or time.monotonic() < self.ready:
            return "starting"
        return {"crash": "crashed"}.get(self.boot, self.boot)


@dataclass
class Scale:
    """How many dynos of a process type are wanted."""

    type: str
    command: str
    quantity: int
    size: str = "Basic"
    id: str = field(default_factory=new_id)


@dataclass
class Addon:
    """A database of Heroku Postgres: attached to apps under names, each with a config var."""

    name: str
    app: str  # that pays for it
    plan: str = "heroku-postgresql:standard-0"
    attachments: list[tuple[str, str]] = field(default_factory=list)  # app, name
    id: str = field(default_factory=new_id)
    url: str = field(default_factory=lambda: f"postgres://u:{new_id()}@db.example.com/{new_id()}")


@dataclass
class Transfer:
    """A backup or a restore; what has become of it follows from the time."""

    addon: Addon
    num: int
    kind: str  # backup, restore
    how: Behaviour
    from_name: str = "DATABASE"
    schedule: bool = False
    began: float = field(default_factory=time.time)
    uuid: str = field(default_factory=new_id)
    to_url: str = field(default_factory=lambda: f"https://backups.example.com/{new_id()}")

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        held = self.how.transfer_ends
        return (held is None or held.is_set()) and time.time() >= self.ends

    @property
    def ends(self) -> float:
        """When it does, at the earliest."""
        return self.began + self.how.transfer_seconds


@dataclass
class App:
    """An app."""

    name: str
    owner: str
    team: str = ""
    region: str = "eu"
    stack: str = "heroku-24"
    maintenance: bool = False
    config: dict[str, str] = field(default_factory=dict)
    addons: list[str] = field(default_factory=list)
    behaviour: Behaviour = field(default_factory=Behaviour)
    releases: list[Release] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    dynos: list[Dyno] = field(default_factory=list)
    formation: dict[str, Scale] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)  # dyno, line
    released_at: str | None = None
    created_at: str = field(default_factory=timestamp)
    id: str = field(default_factory=new_id)

    @property
    def current(self) -> Release | None:
        """The release that is live."""
        return next((each for each in self.releases if each.current), None)

    @property
    def running_revision(self) -> str:
        """The commit that really runs, whatever anybody says."""
        current = self.current
        return current.slug.commit if current and current.slug else ""


@dataclass
class Pipeline:
    """A pipeline; couplings: app id → stage."""

    name: str
    stages: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=new_id)


@dataclass
class Call:
    """One request that came, and what was answered."""

    method: str
    path: str
    body: Any = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`METHOD /path`."""
        return f"{self.method} {self.path}"
