"""Exports an app's databases before they are migrated."""

from __future__ import annotations

from pathlib import Path

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.dokku.answers import ended, no_such_command, plugins
from ci_deploy.layers.providers.dokku.server import DokkuServer

KINDS = ("postgres", "mysql", "mariadb", "mongo")
UNTOUCHED = "No migration was run or undone."  # a rollback can undo some, after a backup


def export(server: DokkuServer, app: str, folder: Path) -> list[str]:
    """Write `deploy-backup-NAME.dump` to `folder` for each service of a type in KINDS that is
    linked to the app. Returns the names of these files; none when only planning.

    Raises DeployFailed when one cannot be exported or written, or when there is none;
    OutcomeUnknown when the connection is lost.
    """
    listed = server.ask(["plugin:list"])[0]
    if listed.exit_code:
        message = f"Dokku cannot list its plugins ({ended(listed)}). {UNTOUCHED}"
        raise DeployFailed(message, hint="On the server, `dokku plugin:list` shows why.")
    installed = plugins(listed)
    kinds = [kind for kind in KINDS if kind in installed]
    links = server.ask(*([f"{kind}:app-links", app] for kind in kinds)) if kinds else []
    found: list[tuple[str, str]] = []
    for kind, answer in zip(kinds, links, strict=True):
        if answer.exit_code and not no_such_command(answer):
            message = f"Dokku cannot list the {kind} services that are linked to {app}"
            hint = f"On the server, `dokku {kind}:app-links {app}` shows why."
            message = f"{message} ({ended(answer)}). {UNTOUCHED}"
            raise DeployFailed(message, hint=hint)
        found += [(kind, name) for name in answer.text.split() if answer.exit_code == 0]
    if not found:
        message = f"BACKUP_BEFORE_MIGRATE: no database is linked to {app}."
        hint = (
            f"Link the database as a service of one of Dokku's plugins ({', '.join(KINDS)}), or "
            "unset BACKUP_BEFORE_MIGRATE."
        )
        raise DeployFailed(message, hint=hint)
    made: list[str] = []
    for kind, name in found:
        path = folder / f"deploy-backup-{name}.dump"
        what = f"export the {kind} service {name} to {path.name}"
        try:
            size = server.save([f"{kind}:export", name], path, what=what)
        except OSError as error:
            message = f"{path.name} cannot be written in the checkout: {error.strerror}."
            hint = "Check that the job's workspace is writable and has free space."
            raise DeployFailed(f"{message} {UNTOUCHED}", hint=hint) from None
        if size == 0:
            message = f"the export of {name} is empty. {UNTOUCHED}"
            hint = f"On the server, `dokku {kind}:info {name}` shows whether the service runs."
            raise DeployFailed(message, hint=hint)
        made += [path.name] if size else []
    return made
