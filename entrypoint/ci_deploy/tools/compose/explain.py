"""What users of the app will notice of a deploy, said before it."""

from __future__ import annotations

from collections.abc import Sequence

from ci_deploy.context import Context
from ci_deploy.tools.compose.history import last_stop
from ci_deploy.tools.compose.hosts import Host
from ci_deploy.tools.compose.model import Model


def explain(ctx: Context, hosts: Sequence[Host], model: Model) -> None:
    """Tell it; most of it only when planning, since the log of a deploy shows it as it happens."""
    if services := _by_hand(hosts, model.project):
        ctx.console.warning(
            f"{', '.join(services)} of {ctx.app} run already, and were not deployed by ci-deploy: "
            "if the release cannot be proven, there is none to go back to. What it replaces is "
            "stopped then, what it leaves alone goes on."
        )
    if not ctx.planning:
        return
    for step in ctx.before_traffic:
        ctx.console.indent(f"before the switch, once: {step.what}")
    names = ", ".join(each.name for each in model.ours if not each.optional)
    ctx.console.indent(f"Compose stops the containers of {names} before it starts the new ones.")
    if stopped := last_stop(hosts):
        ctx.console.indent(f"The last deploy stopped them for {stopped:.1f} s.")


def _by_hand(hosts: Sequence[Host], project: str) -> list[str]:
    """Services that run in the project although no release was ever proven."""
    found = {
        each.service
        for host in hosts
        if not host.facts.current
        for each in host.facts.containers
        if each.project == project and each.state == "running" and not each.one_off
    }
    return sorted(found)
