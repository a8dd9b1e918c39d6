"""`MIGRATE=before`: build, run the steps in the new release, and only then release it.

Sources: `ps:set APP skip-deploy true`, the push, `run` (which uses the image that was built last),
`deploy APP latest`, `ps:set APP skip-deploy` (docs processes/process-management, 0.38). `deploy`
fails without the tag; with it, it takes no lock, is in no list of builds and does not report its
success. So skip-deploy stays on until it has ended: what others push meanwhile is only built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ci_deploy.errors import DeployFailed, Locked, OutcomeUnknown, ToolMissing
from ci_deploy.layers.providers.base import Provider
from ci_deploy.layers.providers.dokku import answers, notes, processes
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.provider import DokkuApp
from ci_deploy.layers.providers.dokku.server import DokkuServer, named
from ci_deploy.run.context import Context
from ci_deploy.run.lock_wait import LockWait
from ci_deploy.state import Step

SINCE = (0, 38, 0)
PAUSE = 2.0  # seconds between two queries for another run
QUIET = 15.0  # seconds without a sign of life after which a run counts as killed


def check_version(server: DokkuServer) -> None:
    """Raise ToolMissing when the server is too old to build without deploying."""
    if server.version and not server.at_least(*SINCE):
        message = f"{named(server.version)} cannot build without deploying."
        hint = "MIGRATE=before and RELEASE_COMMAND need Dokku 0.38. Unset them, or update Dokku."
        raise ToolMissing(message, hint=hint)


def wait(app: DokkuApp) -> bool:
    """Wait for another run that holds its build back, while it works on the server; after QUIET
    seconds without work it counts as killed. Updates `app.state`; returns whether it has waited.
    Raises Locked when LOCK_TIMEOUT or the run's time is over, DeployError."""
    ctx, wait = app.ctx, LockWait(app.ctx)
    quiet_since = None
    while app.state.skip_deploy and notes.is_held_back(app.unfinished()):
        now = time.monotonic()
        if app.server.works(ctx.app):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since > QUIET:
            break
        other = f"another deployment of {ctx.app}, with MIGRATE=before or RELEASE_COMMAND,"
        message = f"{other} had not ended when {wait.limit} ended."
        words = f"{other} has not ended; waiting"
        wait.pause(words, PAUSE, partial(Locked, message, hint="Run this job again later."))
        app.state = app.apps.survey(ctx.app, urls=False)[0]
    return wait.told


class BeforeTraffic:
    """A deploy in three parts: build, run the steps, release. Until the last, a task on the app
    records that the old release still runs, since Dokku reports a built revision as deployed."""

    def __init__(
        self, ctx: Context, server: DokkuServer, provider: Provider[Any], state: State
    ) -> None:
        self._ctx = ctx
        self._server = server
        self._provider = provider
        self._containers = state.containers
        self._note = notes.built_over(state.live.revision, state.containers)

    def run(self, code: DeployMethod, steps: Sequence[Step], restore: Callable[[], None]) -> bool:
        """Build, run the steps, release; then `restore` re-enables releases (not after an error).
        False when only planning. Raises DeployFailed, Locked, OutcomeUnknown, and what the checks
        of the steps raise."""
        app = self._ctx.app
        self._provider.remember(self._note)
        words = ["ps:set", app, "skip-deploy", "true"]
        self._server.change(words, what=f"build {app} without releasing it", quiet=True)
        code.held_back = True
        code.run()
        if not self._ctx.planning and not code.said(answers.SKIPPED):
            message = (
                "this build was released by another job, or manually, before its migrations or "
                "RELEASE_COMMAND ran."
            )
            hint = "Let only one job at a time deploy an app, then run this job again."
            raise DeployFailed(message, hint=hint)
        for step in steps:
            ran = self._provider.run(step.command, what=step.what)
            if not ran.planned:
                step.check(ran)
        if not self._ctx.planning:
            self._check_built(code.revision)
        result = self._server.change(
            ["deploy", app, "latest"], what=f"release the build of {app}", ok=None, watch=code.watch
        )
        if self._server.lost(result):
            message = f"the connection was lost while the build of {app} was being released."
            raise OutcomeUnknown(message, lines=result.lines)
        if not result.planned and (result.exit_code or not self._replaced()):
            message, hint = answers.reason(result.lines, app)
            message = message or f"Dokku did not start the new release of {app}."
            raise DeployFailed(message, hint=hint or answers.REPAIR, lines=result.lines)
        restore()
        return not result.planned

    def _check_built(self, ours: str) -> None:
        """Raise DeployFailed unless the last build is of the revision `ours`: `deploy` takes it,
        without a lock."""
        app = self._ctx.app
        built = answers.report(self._server.ask(["apps:report", app])[0])
        revision = answers.revision(built.get("deploy source metadata", ""))
        other = f"{revision[:7]} was built" if revision not in {"", ours} else ""
        if not other and self._server.running_builds(app):
            other = "another build has begun"
        if other:
            message = f"{other} meanwhile, so this build was not released."
            hint = "Let only one job at a time deploy an app, then run this job again."
            raise DeployFailed(message, hint=hint)

    def _replaced(self) -> bool:
        """Whether new containers run: the exit code of `deploy` does not tell."""
        now = processes.reported(self._server.ask(["ps:report", self._ctx.app])[0]).containers
        return not now or not now & self._containers
