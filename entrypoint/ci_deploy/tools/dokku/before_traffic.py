"""`MIGRATE=before`: build, run the steps in the new release, and only then let it go live.

Facts: `ps:set APP skip-deploy true`, the push, `run` (which takes the image that was built last),
`ps:set APP skip-deploy`, `deploy APP latest` (docs processes/process-management, 0.38; without the
tag it fails, and with it the server says nothing of its success).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ci_deploy.context import Context
from ci_deploy.errors import DeployFailed, ToolMissing
from ci_deploy.layers.provider import Provider, Step
from ci_deploy.tools.dokku import answers, notes
from ci_deploy.tools.dokku.app import State
from ci_deploy.tools.dokku.code import Code
from ci_deploy.tools.dokku.server import DokkuServer

SINCE = (0, 38, 0)


def check_version(server: DokkuServer) -> None:
    """Raises ToolMissing before anything is changed."""
    if server.version and not server.at_least(*SINCE):
        message = f"Dokku {'.'.join(map(str, server.version))} cannot build without deploying."
        raise ToolMissing(message, hint="MIGRATE=before needs Dokku 0.38; MIGRATE=after does not.")


class BeforeTraffic:
    """One deploy in three parts. A note on the app says that the old one still runs: Dokku itself
    reports a built revision as deployed."""

    def __init__(
        self, ctx: Context, server: DokkuServer, provider: Provider[Any], state: State
    ) -> None:
        self._ctx = ctx
        self._server = server
        self._provider = provider
        self._containers = state.containers
        self._note = notes.built_over(state.live.revision, state.containers)

    def run(self, code: Code, steps: Sequence[Step], restore: Callable[[], None]) -> bool:
        """False when it was only planned. Raises DeployFailed and what the steps' checks raise."""
        app = self._ctx.app
        self._provider.remember(self._note)
        words = ["ps:set", app, "skip-deploy", "true"]
        self._server.change(words, what=f"hold {app} back when it is built", quiet=True)
        code.held_back = True
        code.run()
        if not self._ctx.planning and not code.said(answers.SKIPPED):
            message = "somebody has let it go live before its migrations."
            raise DeployFailed(message, hint="Let only one job at a time deploy an app.")
        for step in steps:
            ran = self._provider.run(step.command, what=step.what)
            if not ran.planned:
                step.check(ran)
        restore()
        if not self._ctx.planning:
            self._check_built()
        result = self._server.change(
            ["deploy", app, "latest"], what=f"let {app} go live", ok=None, watch=code.watch
        )
        if not result.planned and (result.exit_code or not self._replaced()):
            message, hint = answers.reason(result.lines, app)
            raise DeployFailed(message or "it did not go live.", hint=hint, lines=result.lines)
        return not result.planned

    def _check_built(self) -> None:
        """`deploy` takes the image that was built last, under no lock: it has to be ours."""
        built = answers.report(self._server.ask(["apps:report", self._ctx.app])[0])
        revision = answers.revision(built.get("deploy source metadata", ""))
        if revision and revision != self._ctx.revision:
            message = f"{revision[:7]} was built meanwhile, so nothing went live."
            raise DeployFailed(message, hint="Let only one job at a time deploy an app.")

    def _replaced(self) -> bool:
        """Whether new containers run: `deploy` does not say that it has deployed."""
        now = answers.containers(self._server.ask(["ps:report", self._ctx.app])[0])
        return not now or not now & self._containers
