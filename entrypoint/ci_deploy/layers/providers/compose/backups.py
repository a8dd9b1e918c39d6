"""Databases on Docker hosts: which they are, dumps that stay on the host, how they come back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from ci_deploy.errors import DeployFailed, Locked, OutcomeUnknown, Problem, Refused, SettingsError
from ci_deploy.layers.providers.compose.hosts import Host, Hosts
from ci_deploy.layers.providers.compose.sharing import BESIDE
from ci_deploy.run.context import Context
from ci_deploy.state import Backup

POSTGRES = re.compile(r"postg(res|is)|pgvector|timescale")
MYSQL = re.compile(r"mysql|mariadb|percona")
RESTORING = 3600.0  # seconds
NAME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[\w.-]+")


def kind(image: str) -> str:
    """`postgres` or `mysql` by an image's name; empty for another."""
    name = image.partition("@")[0]
    if BESIDE.search(name.rpartition("/")[2]):
        return ""
    return "postgres" if POSTGRES.search(name) else "mysql" if MYSQL.search(name) else ""


def servers(host: Host, wanted: str) -> list[tuple[str, str]]:
    """The services of the live release that are databases, or BACKUP_SERVICE, each with its kind;
    `unknown` when only its container can tell. Raises SettingsError when there is none."""
    images = {each.service: each.image for each in host.facts.images if each.replicas}
    if wanted:
        if images and wanted not in images:
            reason = f"there is no service `{wanted}` in what runs, only {', '.join(images)}."
            raise SettingsError(Problem("BACKUP_SERVICE", reason))
        return [(wanted, kind(images.get(wanted, "")) or "unknown")]
    found = [(service, named) for service, image in images.items() if (named := kind(image))]
    if not found:
        reason = "it is not set, and no service has an image of Postgres, MySQL or MariaDB."
        remedy = (
            "Name the service, or unset BACKUP_BEFORE_MIGRATE: a database elsewhere can be "
            "exported in PRE_DEPLOY_COMMAND."
        )
        raise SettingsError(Problem("BACKUP_SERVICE", reason, "", remedy))
    return found


def backup(ctx: Context, hosts: Hosts, wanted: str) -> None:
    """Dump each of them on the first host, where the migrations run. Raises DeployFailed."""
    host = hosts.first
    found = servers(host, wanted)
    names = ", ".join(service for service, _ in found)
    what = f"back up {names} to {host.facts.path}/.ci-deploy/backups/{ctx.app} on {host}"
    words = ["backup", ctx.app, *(word for pair in found for word in pair)]
    [result] = hosts.change([host], words, lambda _host: what, timeout=float("inf"), quiet=False)
    if result.exit_code:
        said = result.lines[-1] if result.lines else "no reason given"
        message = f"the backup has failed, so nothing was migrated: {said}."
        hint = "Fix that and deploy again; unset BACKUP_BEFORE_MIGRATE to deploy without a dump."
        raise DeployFailed(message, hint=hint, lines=result.lines, shown=True)


def backups(ctx: Context, hosts: Hosts) -> list[Backup]:
    """What the first host keeps, newest first."""
    found = []
    for line in hosts.ask(hosts.first, ["backups", ctx.app]).splitlines():
        word, *rest = line.split()
        if word == "backup" and len(rest) > 3:
            name, size, _kind, service, *release = rest
            found.append(Backup(name, _at(name), service, int(size), next(iter(release), "")))
    return sorted(found, key=lambda each: each.name, reverse=True)


def _at(name: str) -> str:
    found = NAME.match(name)
    if not found:
        return ""
    return datetime(*map(int, found.groups()), tzinfo=UTC).isoformat()  # type: ignore[misc,arg-type]


def restore(ctx: Context, hosts: Hosts, name: str) -> None:
    """Bring a dump back on the first host: what is there is dumped before, the app is stopped for
    that time. Raises SettingsError, Locked, Refused, DeployFailed, OutcomeUnknown."""
    known: Sequence[str] = [each.name for each in backups(ctx, hosts)]
    if name not in known:
        listed = ", ".join(known) or "none"
        raise Refused(f"there is no backup `{name}` of {ctx.app}.", hint=f"There are: {listed}.")
    if len(hosts.all) > 1:
        message = "the app runs on several hosts, which cannot all be stopped for a restore."
        raise Refused(message, hint="Stop them, then restore with SERVER_HOST set to the first.")
    host = hosts.first
    patience = ctx.settings.lock_timeout
    words = ["restore", ctx.app, name, str(patience)]
    [result] = hosts.change(
        [host],
        words,
        lambda _host: f"restore {name} on {host}, with {ctx.app} stopped",
        timeout=patience + RESTORING,
        quiet=False,
    )
    said = result.lines[-1] if result.lines else "no reason given"
    if result.exit_code == 255 and not hosts.connected(host):
        message = "the connection was lost; the restore continues on the host."
        raise OutcomeUnknown(
            message, hint="`ci-deploy status` shows how it ended; the next deploy finishes it."
        )
    if result.exit_code:
        kinds = {13: Locked, 14: Refused}
        hint = "See above which data is in the database; `ci-deploy status` shows what runs."
        message = f"the restore of {name} failed: {said}."
        raise kinds.get(result.exit_code, DeployFailed)(message, hint=hint)
