"""Databases on Docker hosts and swarms: which services they are, and their dumps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.sharing import BESIDE
from ci_deploy.state import Backup

DATABASES = Path(__file__).parent / "host/databases.sh"  # runs on the host
POSTGRES = re.compile(r"postg(res|is)|pgvector|timescale")
MYSQL = re.compile(r"mysql|mariadb|percona")
RESTORING = 3600.0  # seconds
NAME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[\w.-]+")
MADE = re.compile(NAME.pattern + r"(?=: \d+ tables, )")


def kind(image: str) -> str:
    """The kind of database by an image's name: `postgres`, `mysql` (also MariaDB), or empty for
    another image and for tools like pgAdmin."""
    name = image.partition("@")[0]
    if BESIDE.search(name.rpartition("/")[2]):
        return ""
    return "postgres" if POSTGRES.search(name) else "mysql" if MYSQL.search(name) else ""


def servers(images: Mapping[str, str], wanted: str) -> list[tuple[str, str]]:
    """The database services to dump, as (name, kind): `wanted` (BACKUP_SERVICE), else all in the
    live release (`images`: name → image). The kind is `unknown` when only the container can tell.
    Raises SettingsError when there is none, or the live release lacks `wanted`."""
    if wanted:
        if images and wanted not in images:
            reason = f"the running release has no service `{wanted}`, only {', '.join(images)}."
            raise SettingsError(Problem("BACKUP_SERVICE", reason))
        return [(wanted, kind(images.get(wanted, "")) or "unknown")]
    found = [(service, named) for service, image in images.items() if (named := kind(image))]
    if not found:
        reason = "not set, and no service has an image of Postgres, MySQL or MariaDB."
        remedy = (
            "Name the service, or unset BACKUP_BEFORE_MIGRATE: a database elsewhere has to be "
            "exported in another way (before deployments: PRE_DEPLOY_COMMAND)."
        )
        raise SettingsError(Problem("BACKUP_SERVICE", reason, "", remedy))
    return found


def made(lines: Iterable[str]) -> list[str]:
    """Parse the names of new dumps from a host's output, `NAME: 12 tables, …`."""
    return [found[0] for line in lines if (found := MADE.search(line))]


def kept(lines: Iterable[str]) -> list[Backup]:
    """Parse a host's list of dumps, lines `backup NAME BYTES KIND SERVICE RELEASE TABLES`; newest
    first. Other lines are ignored."""
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
