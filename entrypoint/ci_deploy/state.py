"""What a provider reports about an app, as plain values that every part of the package may use."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class ProcessAction(StrEnum):
    """What `Provider.process` can do with a process type of the app."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SCALE = "scale"


class Live(NamedTuple):
    """What runs now, as the provider reports it."""

    revision: str = ""  # full SHA; empty when nothing was ever deployed or it is not known
    up: bool = False  # all its processes run
    release: str = ""  # its name at the provider, like "v41"
    url: str = ""  # where the app answers
    detail: str = ""  # in words, like "1 of 2 processes up (down: web 2)"
    busy: bool = False  # a deployment of the app is in progress
    unchecked: bool = False  # there was no time to check whether its processes run
    idle: bool = False  # all of its processes are scaled to 0: there is nothing that could be down
    ours: bool = False  # known to be deployed by this run, even if the same revision ran before

    @property
    def runs(self) -> str:
        """The short revision, then `detail`, as one phrase; empty if both are unknown."""
        return ", ".join(filter(None, (self.revision[:7], self.detail)))

    @property
    def words(self) -> str:
        """The release ("no known release" if it is empty), then `detail`, as one phrase."""
        return ", ".join(filter(None, (self.release or "no known release", self.detail)))


class Ran(NamedTuple):
    """How a one-off command in the app (`Provider.run`) ended."""

    exit_code: int  # the command's own, not that of ssh or of the provider's CLI
    lines: tuple[str, ...] = ()  # the last lines of its output
    planned: bool = False  # `plan`: it was announced, not run; `exit_code` is then 0


class Step(NamedTuple):
    """A one-off command to run in the new release before it gets traffic. `check` is called with
    its result, and raises DeployError if the release must not get traffic."""

    command: tuple[str, ...]
    what: str  # the change in the log, like "run the migrations"
    check: Callable[[Ran], None]


class Backup(NamedTuple):
    """A dump of a database: made before a migration or a restore; on Heroku, any backup that it
    lists."""

    name: str  # as `backups` lists it and `restore` takes it
    at: str  # ISO 8601
    service: str  # the database service or add-on
    bytes: int  # its size
    release: str  # the release that ran when the dump was made


class Deployed(NamedTuple):
    """An entry of the history: what was live, since when, and who deployed it."""

    revision: str  # full SHA; empty if it is unknown
    at: str = ""  # ISO 8601
    status: str = ""  # how the run or release ended, like "succeeded" or "live by rollback"
    release: str = ""  # its name at the provider
    by: str = ""  # the pipeline or the person
    succeeded: bool = True  # whether the revision was live then
