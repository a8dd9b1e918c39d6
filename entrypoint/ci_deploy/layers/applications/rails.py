"""The layer `rails`: migrations, if the user wants them, and Sidekiq, which is quieted before a
deploy and restarted after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.applications.framework import Framework
from ci_deploy.layers.applications.migrations import Commands, FrameworkSettings
from ci_deploy.layers.applications.sidekiq import Sidekiq
from ci_deploy.layers.priorities import After, Before, Configure, Outcome, Promoted
from ci_deploy.run.events import RELEASING, Event, on
from ci_deploy.run.tasks import Key, Task
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import suggestion, words

QUIETED = Task(Key.WORKERS)
APPLIED = re.compile(r"\s*== .*: migrated\b")  # db:migrate, of each migration
PENDING = "db:abort_if_pending_migrations"  # exit code 1 and a list, for every database
SEEDS_ITSELF = (7, 1)  # from this version on, db:prepare seeds an existing empty database
ADVICE = {
    r"ConcurrentMigrationError": "Another migration holds the database's advisory lock: wait until "
    "it has ended, then run the job again. Behind pgbouncer in transaction mode this happens even "
    "without another migration: give the migrations a direct DATABASE_URL, or set "
    "`advisory_locks: false` in database.yml.",
    r"multiple database application": "With several databases, Rails needs the name of one: run "
    "`ci-deploy run -- bin/rails db:rollback:NAME`, then roll back without --migrations.",
    r"IrreversibleMigration": "This migration cannot be undone: roll back without --migrations; "
    "the older code then runs on the newer schema.",
    r"migrations are pending|pending migrations?:": "These migrations are still pending after "
    "`db:migrate`: do they belong to a database with `database_tasks: false`?",
}


def process_names(text: str) -> tuple[str, ...]:
    """Parse process names separated by spaces, commas or newlines. Raises ValueError for one that
    has other characters than letters, digits, `-` and `_`, or begins with one of these two."""
    names = words(text)
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
            message = (
                f"`{name}` is not a valid process name: it must begin with a letter or digit, and "
                "may contain only these, `-` and `_`."
            )
            raise ValueError(message)
    return names


@settings
class RailsSettings(FrameworkSettings):
    """The settings of the layer `rails`, besides those of all frameworks."""

    quiet: bool = setting(
        "SIDEKIQ_QUIET_ON_DEPLOY",
        "Put Sidekiq into quiet mode before the deploy and restart it afterwards",
        default=False,
    )
    quiet_timeout: int = setting(
        "SIDEKIQ_QUIET_TIMEOUT",
        "Seconds to wait for running jobs before the deployment continues",
        default=30,
    )
    workers: tuple[str, ...] = setting(
        "SIDEKIQ_PROCESS",
        "Names of the processes that run Sidekiq",
        default=("worker",),
        example="worker mailers",
        parse=process_names,
    )


class Rails(Framework[RailsSettings]):
    """What to run for a Rails app's migrations (`Framework` decides when), and its Sidekiq workers,
    which it quiets before a deploy if SIDEKIQ_QUIET_ON_DEPLOY is set."""

    name = "rails"
    title = "Rails"
    Settings: ClassVar[type[Any]] = RailsSettings
    keeps_schema = True  # the columns of a model, from its first use on
    wishes = Framework.wishes | {"SIDEKIQ_QUIET_ON_DEPLOY"}
    files = ("*db/migrate/*.rb", "*db/*_migrate/*.rb")
    migrating = ("db:migrate", "db:prepare", "db:setup", "db:schema:load")

    @classmethod
    def detected(cls, root: Path) -> bool:
        """Whether the directory `root` has a Gemfile and a config/application.rb."""
        return (root / "Gemfile").is_file() and (root / "config/application.rb").is_file()

    # --- migrations: both tasks in one boot of the application ---

    def pending(self) -> tuple[str, ...]:
        return ("bin/rails", PENDING)

    def migration(self, *, prepare: bool) -> Commands:
        return (("bin/rails", "db:prepare" if prepare else "db:migrate", PENDING),)

    def seeds(self, *, prepared: bool) -> tuple[str, ...]:
        """The command that loads the seeds; empty when `db:prepare` has just done so, as Rails 7.1
        and newer do (also assumed when Gemfile.lock does not say the version)."""
        done = prepared and self._version() >= SEEDS_ITSELF
        return () if done else ("bin/rails", "db:seed")

    def applied(self, lines: Sequence[str]) -> bool:
        """Whether migrations were applied: the revision has new ones by git (which misses those of
        an engine), or the output says so (which is empty with VERBOSE=false). When planning, also
        if git does not know."""
        unknown = self.ctx.planning and self.coming() is None
        return unknown or bool(self.coming()) or any(map(APPLIED.match, lines))

    def undo(self, count: int) -> tuple[str, ...]:
        return ("bin/rails", "db:rollback", f"STEP={count}")

    def advice(self, lines: Sequence[str]) -> str:
        text = "\n".join(lines)
        return next((words for sign, words in ADVICE.items() if re.search(sign, text, re.I)), "")

    def _version(self) -> tuple[int, int]:
        """The version of Rails in Gemfile.lock; SEEDS_ITSELF when that does not say."""
        [lock] = self.ctx.texts("Gemfile.lock")
        found = re.search(r"(?m)^ +activerecord \((\d+)\.(\d+)", lock)
        return (int(found[1]), int(found[2])) if found else SEEDS_ITSELF

    # --- Sidekiq ---

    @property
    def workers(self) -> Sidekiq:
        """The app's Sidekiq processes, those that SIDEKIQ_PROCESS names."""
        return Sidekiq(self.ctx.provider, self.settings.workers, self.ctx.console)

    @on(Event.CONFIGURE, Configure.WORKERS)
    def check_workers(self) -> None:
        """Check that the Sidekiq processes exist: others could not be restarted.

        Only for a deploy or promotion with SIDEKIQ_QUIET_ON_DEPLOY, except the first, and where the
        app's processes are known. Raises SettingsError for a process that the app does not have."""
        if not self.settings.quiet or self.first_deploy or self.ctx.command not in RELEASING:
            return
        if missing := self.workers.missing():
            known = sorted(self.ctx.provider.processes())
            has = suggestion(missing[0], known) or f"It has {', '.join(known)}."
            remedy = (
                f"{has} A process that this deployment adds can be named from the next "
                "deployment on."
            )
            message = f"{self.ctx.app} has no process `{missing[0]}`."
            raise SettingsError(Problem("SIDEKIQ_PROCESS", message, "", remedy))

    @on(Event.PRE_DEPLOY, Before.QUIET)
    @on(Event.PROMOTE, Before.QUIET)
    def quiet_workers(self) -> None:
        """Quiet the workers, and wait until they have finished their jobs.

        Only with SIDEKIQ_QUIET_ON_DEPLOY, and not at the first deploy. Waits at most
        SIDEKIQ_QUIET_TIMEOUT seconds; then the run continues with a warning. Records first that
        they are to be restarted. Raises DeployFailed if quiet mode fails, OutcomeUnknown."""
        if self.settings.quiet and not self.first_deploy:
            # recorded first, so that a kill in between leaves no quiet workers
            self.ctx.provider.remember(QUIETED)
            self.workers.quiet(self.settings.quiet_timeout)

    @on(Event.POST_DEPLOY, After.WAKE)
    @on(Event.PROMOTE, Promoted.WAKE)
    @on(Event.DEPLOY_FAILED, Outcome.WAKE)
    @on(Event.DEPLOY_SKIPPED, Outcome.WAKE)
    @on(Event.ROLLBACK_SUCCEEDED, Outcome.WAKE)
    @on(Event.ROLLBACK_FAILED, Outcome.WAKE)
    def wake_workers(self) -> None:
        """Restart workers that this run, or an interrupted one, has quieted.

        Not if this run has restarted all processes already. Removes the record in both cases."""
        if QUIETED in self.ctx.provider.unfinished():
            if not self.restarted:
                self.workers.wake()
            self.ctx.provider.forget(QUIETED)
