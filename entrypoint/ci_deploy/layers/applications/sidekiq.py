"""Quiets Sidekiq before a deploy through Sidekiq's own API, wherever the workers run.

Measured with Sidekiq 7.3 and Rails 7.2: a quieted process takes no new jobs, reports that with its
next heartbeat (up to 10 s), and only a restart ends it. An embedded one (since 7) raises.
"""

from __future__ import annotations

from collections.abc import Sequence

from ci_deploy.errors import DeployError, DeployFailed
from ci_deploy.layers.providers.base import Provider
from ci_deploy.report.console import Console
from ci_deploy.state import ProcessAction

BUSY = 75  # our exit code for "jobs still run" (sysexits.h: EX_TEMPFAIL)

# Run by `rails runner`. One line, since Dokku's commands cannot contain a newline.
QUIET = (
    "require 'sidekiq/api'; "
    "now = -> {{ Process.clock_gettime(Process::CLOCK_MONOTONIC) }}; "
    "all = -> {{ Sidekiq::ProcessSet.new.reject "
    "{{ |p| p.respond_to?(:embedded?) && p.embedded? }} }}; "
    "all.call.each(&:quiet!); till = now.call + {seconds}; last = nil; "
    "loop {{ here = all.call; busy = here.sum {{ |p| p['busy'].to_i }}; "
    'line = "Sidekiq: #{{here.size}} processes, #{{busy}} jobs running"; '
    "puts line if line != last; last = line; "
    "exit 0 if here.all?(&:stopping?) && busy.zero?; "
    "exit {busy} if now.call > till; sleep 1 }}"
)


class Sidekiq:
    """The Sidekiq workers of an app. `processes`, the names of process types, must name all of
    them, since QUIET reaches them all, and only those that are named are restarted."""

    def __init__(
        self, provider: Provider[object], processes: Sequence[str], console: Console
    ) -> None:
        self._provider = provider
        self._processes = processes
        self._console = console

    def missing(self) -> tuple[str, ...]:
        """Those of `processes` that the app does not have; empty if it has all of them, or when
        its processes are unknown."""
        known = self._provider.processes()
        return tuple(name for name in self._processes if known and name not in known)

    def quiet(self, seconds: int) -> None:
        """Quiet the workers, so that they take no new jobs, and wait up to `seconds` seconds until
        all have reported that and run none; else warns. Raises DeployFailed if the command fails,
        OutcomeUnknown when the connection is lost."""
        ran = self._provider.run(
            ["bin/rails", "runner", QUIET.format(seconds=seconds, busy=BUSY)],
            what=f"put Sidekiq ({', '.join(self._processes)}) into quiet mode",
        )
        if ran.exit_code == BUSY:
            told = f" ({ran.lines[-1].strip()})" if ran.lines else ""
            self._console.warning(
                f"not all Sidekiq processes are quiet and idle after {seconds} s{told}: the "
                "deployment continues. Interrupted jobs run again if Sidekiq has the time to put "
                "them back: give its processes 30 s to stop."
            )
        elif ran.exit_code:
            message = f"Sidekiq could not be put into quiet mode (exit code {ran.exit_code})."
            hint = "`bin/rails runner` must work in the live release."
            raise DeployFailed(message, hint=hint, lines=ran.lines)

    def wake(self) -> None:
        """Restart all `processes`, which ends quiet mode. Tries all of them, then raises the first
        DeployError."""
        errors = []
        for process in self._processes:
            try:
                self._provider.process(process, ProcessAction.RESTART)
            except DeployError as error:
                errors.append(error)
        if errors:
            raise errors[0]
