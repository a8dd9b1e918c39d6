"""Backups of databases before migrations: started once, then followed until they have ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ci_deploy.errors import DeployError, DeployFailed, OutcomeUnknown
from ci_deploy.layers.providers.backups import failed
from ci_deploy.layers.providers.heroku.api import ApiRefused, NotFound, ResponseLost
from ci_deploy.layers.providers.heroku.databases import (
    Database,
    Databases,
    Transfer,
    iso,
    transfer,
)
from ci_deploy.layers.providers.heroku.output import Output
from ci_deploy.layers.providers.heroku.pending import until_over
from ci_deploy.run.context import Context
from ci_deploy.run.notifications import counted

LINES = 5  # of the log of a failed backup, as many as the CLI shows


class Capture:
    """Makes the backups of one run: `choose` before anything is changed, then `take` for each
    database."""

    def __init__(self, ctx: Context, databases: Databases, *, since: str) -> None:
        """`since`: when the live release was created, as ISO 8601."""
        self._ctx, self._databases, self._since = ctx, databases, iso(since)
        self.left = ""  # a sentence about a backup that Heroku continues after a cancel

    def choose(
        self, wanted: Sequence[str], config: Callable[[], Mapping[str, str]]
    ) -> list[Database]:
        """Return the databases of the config vars `wanted`, and log the app's others as not backed
        up. `config` fetches the app's config vars.

        Raises SettingsError, Unauthorized, Unreachable.
        """
        chosen = self._databases.chosen(wanted, config)
        for each in chosen:
            self._databases.check(each)
        if others := ", ".join(map(str, self._databases.others(chosen))):
            message = f"not backed up: {others} (HEROKU_BACKUP_DATABASES names those that are)"
            self._ctx.console.indent(message)
        return chosen

    def take(self, database: Database) -> None:
        """Back up a database and wait for the end; when planning, only announce it. Raises
        DeployFailed when the backup fails, is empty or does not end in time; Unauthorized,
        Unreachable."""
        began = time.monotonic()
        begun = self._begin(database, ()) if self._ctx.planning else self._begun(database)
        if begun is None:
            return
        end = self._end_of(begun, database)
        backup = f"backup {end.name} of {database}"
        if not end.good:
            raise failed(self._log(end, database), shown=False)
        if not end.bytes:
            raise failed((f"{backup} is empty",))
        if end.warnings:
            command = f"`heroku pg:backups:info {end.name} -a {database.app}`"
            warnings = counted(range(end.warnings), "warning")
            self._ctx.console.warning(f"{backup} has {warnings}: {command} shows its log.")
        took = f"{end.bytes} bytes, {time.monotonic() - began:.0f} s"
        self._ctx.console.indent(f"{backup}: {took}")
        self._ctx.report.backups.append(f"{end.name} of {database}")

    def _begun(self, database: Database) -> Transfer | None:
        """Return a backup in progress that can be used, or start one."""
        known = self._databases.transfers(database.app)
        going = next((each for each in known if each.of(database) and not each.over), None)
        if going is None:
            return self._begin(database, known)
        said = f"backup {going.name} of {database} has been running since {going.at}"
        if self._ours(going, database):
            self._ctx.console.indent(f"{said}: this run uses it instead of a new one.")
            return going
        self._ctx.console.indent(f"{said}; waiting for its end")
        self._end_of(going, database)
        return self._begin(database, self._databases.transfers(database.app))

    def _ours(self, going: Transfer, database: Database) -> bool:
        """Whether a backup in progress (of a killed job, say) is as good as a new one.

        It is if nothing was released since its start; a scheduled one may have waited long.
        """
        known = bool(database.names) and going.name.startswith("b")
        return known and bool(self._since) and going.at > self._since

    def _begin(self, database: Database, known: Sequence[Transfer]) -> Transfer | None:
        """Start a backup; None when planning. After a lost response it is looked up."""
        path, what = f"/client/v11/databases/{database.id}/backups", f"back up {database}"
        if not self._ctx.planning:
            look = f"`heroku pg:backups -a {database.app}` shows it"
            self.left = f"Heroku may have started a backup of {database}: {look}."
        try:
            found = self._databases.data.change("POST", path, what=what)
        except (ApiRefused, NotFound) as error:
            raise failed((error.message,)) from None
        except ResponseLost as lost:
            old = {each.uuid for each in known}

            def ours() -> Transfer | None:
                newer = (e for e in self._databases.transfers(database.app) if e.uuid not in old)
                return next((each for each in newer if each.of(database)), None)

            if started := self._databases.data.found(ours):
                self._ctx.console.indent(f"no response, but backup {started.name} was started.")
                return started
            why = f"{lost.message.rstrip('.')}, and Heroku lists no new backup"
            raise failed((why,)) from None
        return None if found is None else transfer(found)

    def _end_of(self, begun: Transfer, database: Database) -> Transfer:
        """Wait for the end of a backup, until that of the run. Raises DeployFailed."""
        what = f"the backup {begun.name} of {database}"
        stop = f"`heroku pg:backups:cancel {begun.name} -a {database.app}` stops it"
        self.left = f"Heroku continues the backup {begun.name}: {stop}."

        def look() -> Mapping[str, Any]:
            return self._databases.look(database.app, begun.uuid)

        try:
            found = until_over(
                self._ctx,
                {},
                look,
                what=what,
                output=Output(self._ctx, what),
                over=lambda each: bool(each.get("finished_at")),
            )
        except OutcomeUnknown as error:
            info = f"`heroku pg:backups:info {begun.name} -a {database.app}`"
            hint = f"The backup may continue at Heroku: {info} shows its state."
            message = f"{error.message.rstrip('.')}, so no migration was run or undone."
            raise DeployFailed(message, hint=hint) from None
        self.left = ""
        return transfer(found)

    def _log(self, end: Transfer, database: Database) -> tuple[str, ...]:
        """Return the last lines of the log of a failed backup."""
        found: tuple[str, ...] = ()
        with contextlib.suppress(DeployError):
            found = transfer(self._databases.look(database.app, end.uuid, verbose=True)).log
        return found[-LINES:] or (f"Heroku gave no reason (backup {end.name} of {database})",)
