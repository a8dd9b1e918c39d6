"""What a provider tells of an app, as plain values that every part of the package may name."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class ProcessAction(StrEnum):
    """What can be done to a process of the app."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SCALE = "scale"


class Live(NamedTuple):
    """What the provider says is running now."""

    revision: str = ""  # full SHA; empty when nothing was ever deployed or it is not known
    up: bool = False  # all its processes run
    release: str = ""
    url: str = ""
    detail: str = ""  # more in words, like "1 of 2 processes up (down: web 2)"
    busy: bool = False  # a deployment is in progress there
    unchecked: bool = False  # there was no time to see whether its processes run

    @property
    def words(self) -> str:
        """Its release, and how that is."""
        return ", ".join(filter(None, (self.release or "no known release", self.detail)))


class Ran(NamedTuple):
    """How a one-off command ended: its true exit code, and its last lines."""

    exit_code: int
    lines: tuple[str, ...] = ()
    planned: bool = False


class Step(NamedTuple):
    """A one-off command for the new release before it gets traffic; `check` judges how it ended."""

    command: tuple[str, ...]
    what: str
    check: Callable[[Ran], None]


class Backup(NamedTuple):
    """A dump of a database, made before a migration."""

    name: str
    at: str  # ISO 8601
    service: str
    bytes: int
    release: str  # that ran when it was made


class Deployed(NamedTuple):
    """A line of the history: what was live since when, and who brought it."""

    revision: str
    at: str = ""  # ISO 8601
    status: str = ""
    release: str = ""
    by: str = ""  # the pipeline or the person
