"""ssh: the private agent, keys, host keys, and the connection."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from ci_deploy.process.runner import Runner
from ci_deploy.report.console import Console


class Surroundings(Protocol):
    """The parts of a run's context that ssh needs."""

    @property
    def command(self) -> str:
        """The command of this run, like `deploy`."""

    @property
    def runner(self) -> Runner:
        """The runner, which also has the deadline of the run."""

    @property
    def console(self) -> Console:
        """The log, and its redactor."""

    @property
    def cleanup(self) -> ExitStack:
        """A stack of callbacks that are called at every end of the run."""

    @property
    def private_dir(self) -> Path:
        """A directory with mode 0700, removed at every end of the run."""
