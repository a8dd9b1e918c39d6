"""The errors of backups and restores, for all providers."""

from __future__ import annotations

from collections.abc import Sequence

from ci_deploy.errors import DeployError, DeployFailed, Locked, Refused
from ci_deploy.state import Backup


def failed(lines: tuple[str, ...], *, shown: bool = True) -> DeployFailed:
    """The error for a failed backup before migrations, or before they are undone; it stops the run.

    `lines`: the output, which ends with the reason; `shown`: whether it is in the log already.
    """
    said = (lines[-1] if lines else "no reason given").rstrip(".")
    message = f"the backup failed, so nothing was migrated: {said}."
    hint = "Fix that and run the job again; unset BACKUP_BEFORE_MIGRATE to go on without a backup."
    return DeployFailed(message, hint=hint, lines=lines, shown=shown)


def need(name: str, known: Sequence[Backup], app: str) -> Backup:
    """The backup `name` among those `known`. Raises Refused when it is not one of them."""
    for each in known:
        if each.name == name:
            return each
    listed = ", ".join(each.name for each in known) or "none"
    raise Refused(f"there is no backup `{name}` of {app}.", hint=f"Available: {listed}.")


def not_restored(name: str, said: str, cls: type[DeployError]) -> DeployError:
    """The error, of class `cls`, for a failed restore of the dump `name`. `said`: the reason,
    without a full stop; the log above has to say which data the database has now, unless `cls`
    shows that the restore has not begun (Locked, Refused)."""
    hint = "See above which data is in the database; `ci-deploy status` shows what runs."
    if cls in {Locked, Refused}:  # before it has begun
        hint = "The database was not changed. Run the restore again afterwards."
    return cls(f"the restore of {name} failed: {said}.", hint=hint)
