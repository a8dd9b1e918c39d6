"""When migrations run around a deploy and a rollback: the handlers that all frameworks share.

Each framework has its own commands (rails.py, django.py), whose interface is in migrations.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ci_deploy.errors import DeployFailed, Refused
from ci_deploy.layers.applications.migrations import F, Migrations
from ci_deploy.layers.applications.unfinished import Unfinished
from ci_deploy.layers.priorities import After, Before, Configure, Outcome, Promoted
from ci_deploy.run.context import Context
from ci_deploy.run.events import RELEASING, Event, on
from ci_deploy.run.tasks import Key, Task
from ci_deploy.state import Ran, Step

MIGRATE, PREPARE = Task(Key.MIGRATE), Task(Key.PREPARE)
SEED, UNDONE = Task(Key.SEED), Task(Key.UNDONE)


class Framework(Migrations[F]):
    """The layer of a framework, chosen by DEPLOY_APPLICATION or detected in the checkout: it runs
    the migrations and seeds around a deploy, and records on the app what is left to do."""

    options = frozenset({"migrations"})

    def __init__(self, ctx: Context, settings: F) -> None:
        super().__init__(ctx, settings)
        self.unfinished = Unfinished(ctx)
        self._backed_up = False
        self.restarted = False  # whether this run has restarted all processes

    # --- before the deploy ---

    @on(Event.CONFIGURE, Configure.BEFORE_TRAFFIC)
    def migrate_before_traffic(self) -> None:
        """Add the migrations to the commands that run before the release gets traffic."""
        if self.ctx.command not in RELEASING or self.position != "before":
            return
        if self._backs_up:
            what = "check whether migrations are pending"
            self.ctx.before_traffic.append(Step(self.pending(), what, self._back_up_if_pending))
        for command in self.migration(prepare=self.preparing):
            judge = partial(self._judge, command)
            self.ctx.before_traffic.append(Step(command, self._what(command), judge))

    @property
    def _backs_up(self) -> bool:
        """Whether a backup is wanted and there is anything to back up."""
        return self.settings.backup and not self.first_deploy

    def _back_up_if_pending(self, ran: Ran) -> None:
        if ran.exit_code:
            self.ctx.provider.backup()

    def check(self) -> None:
        if self.settings.backup:
            self.ctx.provider.check_backup()

    @on(Event.CONFIGURE, Configure.MIGRATIONS)
    def tell_migrations(self) -> None:
        """List the new migrations, and check that a backup is possible.

        The check is made for a deploy or promotion with BACKUP_BEFORE_MIGRATE, except the first."""
        if self._backs_up and self.ctx.command in RELEASING:
            self.ctx.provider.check_backup()
        self.tell()

    @on(Event.PRE_DEPLOY, Before.READY)
    @on(Event.PROMOTE, Before.READY)
    def get_ready(self) -> None:
        """Record the tasks that follow (migrations, seeds), and back up the databases.

        The backup is made if there may be new migrations, whoever runs them, so that a failed one
        stops the run before the deployment; with MIGRATE=before only `plan` makes it here.
        """
        tasks, coming, position = [], self.coming() != (), self.position
        if coming and position == "after":
            tasks = [PREPARE if self.preparing else MIGRATE]
        # Whoever runs them, be it a script of the app; with `before` it is a step of its own.
        if self.ctx.planning if position == "before" else coming:
            self._back_up()
        if self._seed_command():
            tasks.append(SEED)
        self.unfinished.begin(*tasks)

    def _back_up(self) -> None:
        if self._backs_up and not self._backed_up:
            self.ctx.provider.backup()
            self._backed_up = True

    # --- after the deploy ---

    @on(Event.POST_DEPLOY, After.MIGRATE)
    @on(Event.PROMOTE, Promoted.MIGRATE)
    def migrate_and_seed(self) -> None:
        """Run the migrations in the new release, and load the seeds of a review app.

        The migrations only if they run after the switch (`position`). Raises DeployFailed."""
        if self.position == "after":
            self._migrate(prepare=self.preparing)
        if seed := self._seed_command():
            self._seed(seed)

    @on(Event.DEPLOY_SKIPPED, Outcome.FINISH)
    def finish(self) -> None:
        """Run the tasks that an interrupted or failed run of this revision has left.

        These are migrations, also those that were undone for a rollback, and seeds."""
        if self.unfinished.left(MIGRATE, PREPARE, UNDONE):
            self._migrate(prepare=self.unfinished.left(PREPARE), left=True)
        if self.unfinished.left(SEED) and (seed := self.seeds(prepared=False)):
            self._seed(seed)

    @on(Event.DEPLOY_FAILED, Outcome.FORGET)
    def forget(self) -> None:
        """Forget the tasks that were to follow the failed deploy.

        They are kept if the revision is live, or may become so (`Unfinished.drop`)."""
        self.unfinished.drop()

    def _migrate(self, *, prepare: bool, left: bool = False) -> None:
        """Migrate, then restart what has started before it. `left`: an earlier run may have
        migrated, but not restarted."""
        if self.settings.backup and not self._backed_up and not prepare:
            ran = self.ctx.provider.run(self.pending(), what="check whether migrations are pending")
            if ran.exit_code == 0 and not ran.planned:
                return self._migrated(ran.lines, left=left)
            self._back_up()
        lines = list[str]()
        for command in self.migration(prepare=prepare):
            ran = self.ctx.provider.run(command, what=self._what(command))
            self._judge(command, ran)
            lines += ran.lines
        return self._migrated(lines, left=left)

    def _migrated(self, lines: Sequence[str], *, left: bool) -> None:
        if not self.first_deploy and self.keeps_schema and (left or self.applied(lines)):
            why = "its processes have started before the migrations"
            self.restarted = self.ctx.provider.restart(why=why)
        self.unfinished.done(MIGRATE, PREPARE, UNDONE)

    def _what(self, command: Sequence[str]) -> str:
        words = "verify the migrations" if command == self.pending() else "run the migrations"
        return f"{words} of {self.ctx.app}: {' '.join(command)}"

    def _judge(self, command: Sequence[str], ran: Ran) -> None:
        if ran.exit_code:
            how = f"(exit code {ran.exit_code})"
            hint = f"Fix the cause (see the output), then run `ci-deploy {self.ctx.command}` again."
            message = f"the migrations failed {how}."
            if tuple(command) == self.pending():
                message = f"after the migrations, `{' '.join(command)}` failed {how}."
                hint = "If some are still pending, they may belong to another database."
            raise DeployFailed(message, hint=self.advice(ran.lines) or hint, lines=ran.lines)

    def _seed_command(self) -> tuple[str, ...]:
        """The command that loads the seeds in this run; empty when they are not to be loaded."""
        wanted = self.settings.seed
        if self.ctx.review and (wanted == "always" or (wanted == "once" and self.first_deploy)):
            return self.seeds(prepared=self.preparing and self.position != "")
        return ()

    def _seed(self, command: tuple[str, ...]) -> None:
        ran = self.ctx.provider.run(command, what=f"load the seeds of {self.ctx.app}")
        if ran.exit_code:
            message = f"the seeds could not be loaded (exit code {ran.exit_code})."
            hint = f"`{' '.join(command)}` runs again when this job is run again."
            raise DeployFailed(message, hint=hint, lines=ran.lines)
        self.unfinished.done(SEED)

    # --- going back ---

    @on(Event.ROLLBACK, Before.READY)
    def undo_migrations(self) -> None:
        """Undo migrations for `rollback --migrations N`; only then, since it may lose data.

        Backs the databases up first if BACKUP_BEFORE_MIGRATE is set. Raises Refused if an earlier
        rollback may have undone some, or the framework cannot; DeployFailed if the command fails.
        """
        count = self.ctx.arguments.get("migrations", 0)
        if not count:
            return
        look = f"`ci-deploy run -- {' '.join(self.pending())}`"
        if self.unfinished.left(UNDONE):
            message = "an earlier rollback, which did not succeed, may have undone migrations."
            raise Refused(message, hint=f"Check with {look}, then roll back without --migrations.")
        command = self.undo(count)
        self._back_up()
        self.unfinished.begin(UNDONE)
        self.ctx.provider.before_undoing()
        ran = self.ctx.provider.run(command, what=f"undo the last {count} migrations")
        if ran.exit_code:
            message = f"the migrations could not be undone (exit code {ran.exit_code})."
            hint = self.advice(ran.lines) or f"Some of them may be undone: check with {look}."
            raise DeployFailed(message, hint=hint, lines=ran.lines)

    @on(Event.ROLLBACK_SUCCEEDED, Outcome.SCHEMA)
    def forget_undone_migrations(self) -> None:
        """Forget, after the rollback, that migrations were undone for it."""
        self.unfinished.done(UNDONE)
