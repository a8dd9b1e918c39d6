"""Parts that unit tests put together: a log that can be read, a cancel button, a runner."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci_deploy.ci.base import CI
from ci_deploy.ci.local import Local
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.process.runner import Runner
from ci_deploy.report.console import Console


class Log:
    """A console, and what it has written so far."""

    def __init__(self, ci: CI, *, colour: bool = False, debug: bool = False) -> None:
        self.fd = os.memfd_create("log")
        self.redactor = Redactor()
        self.console = Console(
            ci, self.redactor, fd=self.fd, child_fd=self.fd, colour=colour, debug=debug
        )

    @property
    def text(self) -> str:
        """All of it."""
        return os.pread(self.fd, 10**7, 0).decode()

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.text.splitlines()


@pytest.fixture
def make_log() -> Iterator[Callable[..., Log]]:
    """Makes logs: `make_log(ci, colour=True)`."""
    made: list[Log] = []

    def make(ci: CI | None = None, **options: bool) -> Log:
        made.append(Log(ci or Local({}), **options))
        return made[-1]

    yield make
    for log in made:
        os.close(log.fd)


@pytest.fixture
def log(make_log: Callable[..., Log]) -> Log:
    """A plain log."""
    return make_log()


@pytest.fixture
def cancellation() -> Cancellation:
    """A cancel button that nobody has pressed; no signal handler is installed."""
    return Cancellation()


@pytest.fixture
def change_log(cancellation: Cancellation) -> ChangeLog:
    """Notes changes; they are made."""
    return ChangeLog(lambda _what: None, check=cancellation.check)


@pytest.fixture
def runner(log: Log, change_log: ChangeLog, cancellation: Cancellation) -> Iterator[Runner]:
    """Runs real programs; nothing is left running."""
    made = Runner(
        environ={"LANG": "C.UTF-8"},
        change_log=change_log,
        cancellation=cancellation,
        show=log.console.child,
        silent=log.console.silent,
    )
    yield made
    made.stop()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace."""
    path = tmp_path / "workspace"
    path.mkdir()
    return path
