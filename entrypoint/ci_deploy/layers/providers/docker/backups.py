"""Databases on Docker hosts and swarms: which services they are, and their dumps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ci_deploy.errors import DeployError, DeployFailed, Problem, Refused, SettingsError
from ci_deploy.layers.providers.docker.sharing import BESIDE
from ci_deploy.state import Backup

DATABASES = Path(__file__).parent / "host/databases.sh"  # runs on the host
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


def servers(images: Mapping[str, str], wanted: str) -> list[tuple[str, str]]:
    """The database services (name, kind) of the live release (`images`: name → image), or
    BACKUP_SERVICE; the kind is `unknown` when only its container can tell. Raises SettingsError
    when there is none."""
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


def failed(lines: tuple[str, ...]) -> DeployFailed:
    """The error for a dump that failed, which stops the deploy."""
    said = lines[-1] if lines else "no reason given"
    message = f"the backup has failed, so nothing was migrated: {said}."
    hint = "Fix that and deploy again; unset BACKUP_BEFORE_MIGRATE to deploy without a dump."
    return DeployFailed(message, hint=hint, lines=lines, shown=True)


def kept(lines: Iterable[str]) -> list[Backup]:
    """Parse the dumps that a host lists; returns them newest first."""
    found = []
    for line in lines:
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


def need(name: str, known: Sequence[Backup], app: str) -> Backup:
    """The backup with this name. Raises Refused when there is none."""
    for each in known:
        if each.name == name:
            return each
    listed = ", ".join(each.name for each in known) or "none"
    raise Refused(f"there is no backup `{name}` of {app}.", hint=f"There are: {listed}.")


def not_restored(name: str, said: str, cls: type[DeployError]) -> DeployError:
    """The error, of class `cls`, for a failed restore."""
    hint = "See above which data is in the database; `ci-deploy status` shows what runs."
    return cls(f"the restore of {name} failed: {said}.", hint=hint)
