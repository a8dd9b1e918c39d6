"""ssh: the private agent, keys, host keys, and the connections (`client.Ssh`)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from ci_deploy.process.runner import Runner
from ci_deploy.report.console import Console


class Surroundings(Protocol):
    """The parts of a run's context (`run.context.Context`) that ssh needs."""

    @property
    def command(self) -> str:
        """The command of this run, like `deploy`."""

    @property
    def runner(self) -> Runner:
        """Starts ssh, ssh-agent and ssh-add; has the run's cancellation and deadline."""

    @property
    def console(self) -> Console:
        """The log, and the redactor that removes secrets from it."""

    @property
    def cleanup(self) -> ExitStack:
        """A stack that is closed, last entry first, when the command ends: also after an error or
        a cancel, but not when this process is killed (SIGKILL, or a cancel that takes too long)."""

    @property
    def private_dir(self) -> Path:
        """A directory with mode 0700, made for this run and removed when the command ends. After a
        SIGKILL agent.sh removes it, or the next run on the machine (`run.private_dir`)."""
