"""Commands in the environment of a release, and manual actions on its services."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ci_deploy.errors import DeployFailed, NoService, OutcomeUnknown, Refused
from ci_deploy.layers.providers.docker.held import open_until_we_end
from ci_deploy.layers.providers.docker.login import Login
from ci_deploy.layers.providers.swarm.convert import one_off
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.reading import as_bytes
from ci_deploy.layers.providers.swarm.settings import SwarmSettings
from ci_deploy.layers.providers.swarm.state import Service, Stack
from ci_deploy.run.context import Context
from ci_deploy.state import ProcessAction, Ran


class Jobs:
    """Runs one-off commands as jobs of the swarm, starts, stops and scales services, shows logs."""

    def __init__(
        self, ctx: Context, manager: Manager, login: Login, settings: SwarmSettings
    ) -> None:
        self.ctx, self.manager, self.login, self.settings = ctx, manager, login, settings
        self.running = ""  # the service name of a command that has not ended

    def run(
        self,
        data: Mapping[str, Any],
        command: Sequence[str],
        what: str,
        env: Mapping[str, str],
        timeout: float = float("inf"),
    ) -> Ran:
        """Run a command once as a job of the swarm, as COMPOSE_RUN_SERVICE in the stack file `data`
        would run it, and with the variables `env`; its output goes into the log. Raises
        OutcomeUnknown when the connection is lost or `timeout` (seconds) is over, Unauthorized and
        DeployFailed when the job cannot be created."""
        name = f"ci-run-{secrets.token_hex(4)}"
        variables = {"RAILS_ENV": self.settings.deploy_env, **env}
        service = self.settings.run_service
        made = one_off(data, service, name, list(command), variables)
        if not self.manager.apply(as_bytes(made), self.login, what, quiet=True):
            return Ran(0, planned=True)
        self.running = f"{self.manager.stack}_{name}"
        try:
            result = self.manager.change(
                ["follow"], [self.running], "", quiet=False, timeout=timeout
            )
        except OutcomeUnknown as error:
            hint = f"To follow it, run on a manager: docker service logs -f {self.running}"
            message = f"{what}: {error.message} Unless the command has ended, it continues."
            raise OutcomeUnknown(message, hint=hint) from error
        self.running = ""
        return Ran(result.exit_code, result.lines)

    def process(
        self, service: Service, action: ProcessAction, count: int | None, what: str
    ) -> None:
        """Start (with as many tasks as before the stop), stop, restart or scale (to `count`) a
        service; wait up to 600 s. `what` is the text for the log. Raises OutcomeUnknown when the
        command fails, takes longer, or the connection is lost."""
        name = f"{self.manager.stack}_{service.name}"
        before = (service.previous.get("Mode") or {}).get("Replicated") or {}
        wanted = {
            ProcessAction.STOP: 0,
            ProcessAction.START: service.replicas or before.get("Replicas") or 1,
            ProcessAction.SCALE: count or 0,
        }
        words = ["update", "--force", name]
        if action in wanted:
            words = ["update", f"--replicas={wanted[action]}", name]
        result = self.manager.change(["service"], words, what, quiet=False, timeout=600.0)
        if result.exit_code:
            message = f"{what} failed with exit code {result.exit_code}."
            hint = "`ci-deploy status` shows what runs."
            raise OutcomeUnknown(message, hint=hint, lines=result.lines)

    def logs(self, stack: Stack, service: str, *, lines: int, follow: bool) -> None:
        """Show the last `lines` lines of a service's log (empty: of all), and with `follow` also
        new ones until the job ends. Raises NoService, Refused when the stack has no service,
        DeployFailed, OutcomeUnknown."""
        if service and service not in stack.services:
            raise NoService(self.ctx.app, service, stack.services)
        names = [f"{stack.name}_{name}" for name in ([service] if service else stack.services)]
        if not names:
            message = f"there is no service in the stack {stack.name}."
            raise Refused(message, hint="Deploy a release first.")
        words = [str(lines), "follow" if follow else "-", *names]
        with open_until_we_end(self.ctx.private_dir / "held") as held:
            result = self.manager.change(
                ["logs"], words, "", held if follow else b"", quiet=False, timeout=float("inf")
            )
        if result.exit_code:
            message = f"{self.manager} cannot show the log of {self.ctx.app}."
            raise DeployFailed(message, lines=result.lines, shown=True)
