"""The Heroku Postgres databases of an app, and their backups (`heroku pg:backups`).

Facts (the CLI's source): backups belong to the data API, on a host of its own that takes the same
key. `POST /client/v11/databases/ADDON/backups` starts one, which continues without a client; it is
listed among the transfers of the app that pays for the add-on, and has ended when `finished_at` is
set. Its name is `b` and its number, or `a` and its number if a schedule made it. A transfer also
contains URLs with passwords: only the fields of `Transfer` are ever read or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from ci_deploy.errors import Problem, SettingsError, Unauthorized
from ci_deploy.layers.providers.heroku.api import Api, NotFound
from ci_deploy.state import Backup

SERVICE = "heroku-postgresql"
INCLUDE = "addon:plan,config_vars"


class Database(NamedTuple):
    """A Heroku Postgres database (an add-on) that is attached to the app. Its text is like
    `DATABASE_URL (postgresql-round-12345)`."""

    var: str  # the config var with its URL
    id: str  # of the add-on
    name: str  # of the add-on
    app: str  # the app that pays for it: its backups are listed there
    names: frozenset[str]  # of its attachments to the app; empty if another app pays for it

    def __str__(self) -> str:
        return f"{self.var} ({self.name})"


class Transfer(NamedTuple):
    """A backup, as the data API describes it."""

    uuid: str
    name: str  # as the CLI shows it, like `b012`
    database: str  # the name of an attachment, or the last word of it
    at: str  # when it was requested, ISO 8601
    over: bool  # it has ended
    good: bool  # it has succeeded
    bytes: int
    warnings: int  # how many
    log: tuple[str, ...] = ()  # its lines, if they were requested

    def of(self, database: Database) -> bool:
        """Whether it may be a backup of this database, by the names of the database's attachments;
        True when these are unknown."""
        known = database.names
        return not known or any(f"_{each}".endswith(f"_{self.database}") for each in known)


def transfer(found: Mapping[str, Any]) -> Transfer:
    """Parse a transfer from the data API's JSON of it."""
    log = found.get("logs") or ()
    return Transfer(
        uuid=str(found.get("uuid") or ""),
        name=f"{'a' if found.get('schedule') else 'b'}{int(found.get('num') or 0):03}",
        database=str(found.get("from_name") or ""),
        at=iso(str(found.get("created_at") or "")),
        over=bool(found.get("finished_at")),
        good=bool(found.get("succeeded")),
        bytes=int(found.get("processed_bytes") or 0),
        warnings=int(found.get("warnings") or 0),
        log=tuple(str(each.get("message") or "") for each in log),
    )


def iso(text: str) -> str:
    """Convert `2026-11-30 11:02:03 +0000`, as the data API writes times, to ISO 8601 in UTC. Text
    that cannot be parsed is returned unchanged."""
    try:
        at = datetime.fromisoformat(text.replace(" +", "+"))
    except ValueError:
        return text
    return at.astimezone(UTC).isoformat()


class Databases:
    """Finds the databases of the app, and the backups that Heroku keeps."""

    def __init__(self, platform: Api, data: Api, app: str) -> None:
        self._platform, self.data, self._app = platform, data, app

    def chosen(
        self, wanted: Sequence[str], config: Callable[[], Mapping[str, str]]
    ) -> list[Database]:
        """Return the databases whose URLs are in the config vars `wanted` (with or without `_URL`).
        `config` fetches the app's config vars. Raises SettingsError for one that has none."""
        known = self.attached
        found: dict[str, Database] = {}
        for word in wanted:
            each = _named(f"{word.removesuffix('_URL')}_URL", known, config)
            if each is None:
                raise SettingsError(_missing(self._app, word, known))
            found.setdefault(each.id, each)
        return list(found.values())

    def others(self, chosen: Iterable[Database]) -> list[Database]:
        """Return the databases that are not chosen and that the app itself pays for."""
        ids = {each.id for each in chosen}
        found = {e.id: e for e in self.attached if e.id not in ids and e.app == self._app}
        return list(found.values())

    @cached_property
    def attached(self) -> list[Database]:
        """The attached databases, one entry for each config var with a URL of one."""
        path = f"/apps/{self._app}/addon-attachments"
        found = [
            each
            for each in self._platform.get(path, include=INCLUDE)
            if str(each["addon"]["plan"]["name"]).partition(":")[0] == SERVICE
        ]
        names: dict[str, set[str]] = {}
        for each in found:
            if each["addon"]["app"]["name"] == self._app:
                names.setdefault(each["addon"]["id"], set()).add(str(each["name"]))
        return [
            Database(
                str(var),
                str(each["addon"]["id"]),
                str(each["addon"]["name"]),
                str(each["addon"]["app"]["name"]),
                frozenset(names.get(each["addon"]["id"], ())),
            )
            for each in found
            for var in each.get("config_vars") or ()
            if str(var).endswith("_URL")
        ]

    def check(self, each: Database) -> None:
        """Check that a database can be backed up. Raises SettingsError when the data API does not
        know it, Unauthorized when the key may not, Unreachable."""
        try:
            self.data.get(f"/client/v11/databases/{each.id}")
        except NotFound:
            reason = f"Heroku's data API does not know {each}: it is not ready, or has no backups."
            wait = f"`heroku addons:wait {each.name}`"
            remedy = f"Wait for the database ({wait}), or unset BACKUP_BEFORE_MIGRATE."
            raise SettingsError(Problem("BACKUP_BEFORE_MIGRATE", reason, "", remedy)) from None
        except Unauthorized as error:
            hint = (
                "Use a key with more scopes, or unset BACKUP_BEFORE_MIGRATE to go on without a "
                "backup."
            )
            message = f"this key may not back up {each}: {error.message}"
            raise Unauthorized(message, hint=hint) from None

    # --- backups ---

    def transfers(self, app: str) -> list[Transfer]:
        """Return the backups of the databases that an app pays for, newest first."""
        listed = [
            transfer(each)
            for each in self.data.get(f"/client/v11/apps/{app}/transfers")
            if each.get("from_type") == "pg_dump" and each.get("to_type") == "gof3r"
        ]
        return sorted(listed, key=lambda each: (each.at, each.name), reverse=True)

    def look(self, app: str, uuid: str, *, verbose: bool = False) -> Mapping[str, Any]:
        """Fetch the state of a backup, as the API's JSON; `verbose` includes its log."""
        more = "?verbose=true" if verbose else ""
        found: Mapping[str, Any] = self.data.get(f"/client/v11/apps/{app}/transfers/{uuid}{more}")
        return found

    def kept(self) -> list[Backup]:
        """Return the successful backups, newest first; another app's as `APP::NAME`."""
        apps = dict.fromkeys([self._app, *(each.app for each in self.attached)])
        found = [
            Backup(each.name if app == self._app else f"{app}::{each.name}", each.at, each.database,
                   each.bytes, "")
            for app in apps
            for each in self.transfers(app)
            if each.over and each.good
        ]  # fmt: skip
        return sorted(found, key=lambda each: each.at, reverse=True)


def _named(
    var: str, known: Sequence[Database], config: Callable[[], Mapping[str, str]]
) -> Database | None:
    """Find the database whose URL is in a config var: its own, or one with the same value."""
    if own := next((each for each in known if each.var == var), None):
        return own
    values = config() if known else {}
    same = (each for each in known if values.get(var) and values.get(each.var) == values[var])
    return next(same, None)


def _missing(app: str, word: str, known: Sequence[Database]) -> Problem:
    has = ", ".join(dict.fromkeys(each.var for each in known))
    reason = f"{word} is not the config var of a Heroku Postgres database of {app}"
    reason += f", which has {has}." if has else ", which has no such database."
    remedy = "Name another" if has else "Attach one"
    remedy += ", or unset BACKUP_BEFORE_MIGRATE: an earlier step of the job can export a database "
    return Problem("HEROKU_BACKUP_DATABASES", reason, "", f"{remedy}that is elsewhere.")
