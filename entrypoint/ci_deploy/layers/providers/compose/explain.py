"""Logs, before a deploy, what the app's users will notice of it."""

from __future__ import annotations

from collections.abc import Sequence

from ci_deploy.layers.providers.compose.history import last_switch
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.docker.model import Model, Service
from ci_deploy.run.context import Context


def explain(ctx: Context, hosts: Sequence[Host], model: Model, more: Sequence[str]) -> None:
    """Log what the app's users will notice, and the lines of `more`. Most of it only when planning,
    since the log of a deploy shows it."""
    if services := _by_hand(hosts, model.project):
        ctx.console.warning(
            f"{', '.join(services)} of {ctx.app} already run, and were not deployed by ci-deploy: "
            "if verification fails, there is no previous release to roll back to. The "
            "containers that this deployment replaced are then stopped; the rest keep running."
        )
    if not ctx.planning:
        return
    for line in more:
        ctx.console.indent(line)
    for step in ctx.before_traffic:
        ctx.console.indent(f"before the switch, once: {step.what}")
    ours = [each for each in model.ours if not each.optional]
    if names := ", ".join(each.name for each in ours if not each.update):
        ctx.console.indent(
            f"Compose stops the containers of {names} before it starts the new ones."
        )
    for each in ours:
        _beside(ctx, each)
    # The services that those need are replaced first, separately, and those are not stopped by it.
    before = {need for each in ours if each.update for need in model.needs(each.name)}
    stopped = [each.name for each in model.ours if not each.update and each.name not in before]
    if dependents := [e for e in model.dependents(stopped) if not model.services[e].update]:
        also = ", ".join(dependents)
        ctx.console.indent(
            f"Compose may recreate {also} too, which depends on services that are replaced."
        )
    if seen := last_switch(hosts):
        ctx.console.indent(f"Measured at the last deployment: {seen}.")


def _beside(ctx: Context, service: Service) -> None:
    """Say how a start-first service is replaced, and what may cause a gap nevertheless."""
    if not service.update:
        return
    name = service.name
    ctx.console.indent(f"{name}: new containers start beside the old ones (start-first).")
    for each in service.update.otherwise:
        ctx.console.indent(
            f"{name}: `{each}` has no effect: a failed release is always rolled back."
        )
    if not service.checked:
        ctx.console.warning(
            f"{name} has `order: start-first`, but no healthcheck in the compose file. Unless its "
            "image has one, old containers are stopped once the new ones have run for "
            "COMPOSE_STEADY_TIME without a restart, even if those do not answer yet."
        )


def change(release: str, names: Sequence[str], gone: Sequence[str]) -> str:
    """Describe a deploy, for the log and `plan`: the release, the files of the repository `names`,
    and the containers that are removed (`gone`). `{host}` stands for the host."""
    what = f"deploy {release} to {{host}}: pull, switch, verify"
    what += f"; with {', '.join(names)} of the repository" if names else ""
    return what + (f"; remove {', '.join(gone)}" if gone else "")


def dropped(hosts: Sequence[Host], app: str, model: Model) -> list[str]:
    """The names of containers of earlier releases whose services this release does not have: the
    deploy removes them."""
    ours = f"/.ci-deploy/apps/{app}/releases/"
    found = {
        each.name
        for host in hosts
        for each in host.facts.containers
        if each.project == model.project and ours in each.files and not each.one_off
        if each.service not in model.services
    }
    return sorted(found)


def _by_hand(hosts: Sequence[Host], project: str) -> list[str]:
    """Services that run in the project although no release was ever verified."""
    found = {
        each.service
        for host in hosts
        if not host.facts.current
        for each in host.facts.containers
        if each.project == project and each.state == "running" and not each.one_off
    }
    return sorted(found)
