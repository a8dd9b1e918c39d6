"""Database dumps on Docker hosts: on the first host, where migrations run."""

from __future__ import annotations

from ci_deploy.errors import (
    DeployError,
    DeployFailed,
    Locked,
    Refused,
)
from ci_deploy.layers.providers.backups import failed, need, not_restored
from ci_deploy.layers.providers.compose.hosts import Host, Hosts, continuing
from ci_deploy.layers.providers.docker.backups import RESTORING, kept, made, servers
from ci_deploy.run.context import Context
from ci_deploy.state import Backup


def images(host: Host) -> dict[str, str]:
    """The images of the live release: service → image, without services of which no container is
    wanted."""
    return {each.service: each.image for each in host.facts.images if each.replicas}


def backup(ctx: Context, hosts: Hosts, wanted: str) -> None:
    """Dump the database services of the live release (`wanted`: BACKUP_SERVICE, empty for all that
    are found) on the first host, and add their names to the report. Raises SettingsError when there
    is none, DeployFailed when a dump fails, Unreachable."""
    host = hosts.first
    found = servers(images(host), wanted)
    names = ", ".join(service for service, _ in found)
    what = f"back up {names} to {host.facts.path}/.ci-deploy/backups/{ctx.app} on {host}"
    words = ["backup", ctx.app, *(word for pair in found for word in pair)]
    [result] = hosts.change([host], words, lambda _host: what, timeout=float("inf"), quiet=False)
    if result.exit_code:
        raise failed(result.lines)
    ctx.report.backups += made(result.lines)


def backups(ctx: Context, hosts: Hosts) -> list[Backup]:
    """The dumps that the first host keeps of the app, newest first. Raises Unreachable."""
    return kept(hosts.ask(hosts.first, ["backups", ctx.app]).splitlines())


def restore(ctx: Context, hosts: Hosts, name: str) -> None:
    """Restore the dump `name` while the app is stopped; the present data is dumped before. Raises
    Refused (no such dump, several hosts, an unfinished deployment), Locked, DeployFailed when it
    fails, OutcomeUnknown when the connection is lost."""
    need(name, backups(ctx, hosts), ctx.app)
    if len(hosts.all) > 1:
        message = "the app runs on several hosts, which cannot all be stopped for a restore."
        raise Refused(
            message,
            hint="Stop the app on the other hosts, then restore with "
            "SERVER_HOST set to the first one.",
        )
    host = hosts.first
    patience = ctx.settings.lock_timeout
    words = ["restore", ctx.app, name, str(patience)]
    hint = "`ci-deploy status` shows whether it is unfinished; the next deploy finishes it."
    with continuing(f"the restore of {name}", hint=hint):
        [result] = hosts.change(
            [host],
            words,
            lambda _host: f"restore {name} on {host}, with {ctx.app} stopped",
            timeout=patience + RESTORING,
            quiet=False,
        )
    said = result.lines[-1] if result.lines else "no reason given"
    if result.exit_code:
        kinds: dict[int, type[DeployError]] = {13: Locked, 14: Refused}
        raise not_restored(name, said, kinds.get(result.exit_code, DeployFailed))
