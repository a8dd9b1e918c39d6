"""ssh: the private agent, the keys, who the host is, the connection."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from ci_deploy.process.runner import Runner
from ci_deploy.report.console import Console


class Surroundings(Protocol):
    """What ssh needs of a run."""

    @property
    def command(self) -> str:
        """The command of this run, like `deploy`."""

    @property
    def runner(self) -> Runner:
        """Starts the programs, and knows the deadline."""

    @property
    def console(self) -> Console:
        """The log, and what is hidden from it."""

    @property
    def cleanup(self) -> ExitStack:
        """What happens at every end of the run."""

    @property
    def private_dir(self) -> Path:
        """0700, removed at every end of the run."""
