"""Rails: migrations when asked, Sidekiq quiet during the deploy and never left so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ci_deploy.errors import DeployFailed
from ci_deploy.events import Event, on
from ci_deploy.layers.base import Application, ApplicationSettings
from ci_deploy.layers.provider import ProcessAction
from ci_deploy.settings import setting, settings

# Each Sidekiq process takes no new jobs from now on. Embedded ones (Sidekiq 7) cannot be told.
QUIET = (
    "require 'sidekiq/api'; "
    "Sidekiq::ProcessSet.new.each { |p| p.quiet! unless p.respond_to?(:embedded?) && p.embedded? }"
)
MIGRATES = ("db:migrate", "db:prepare", "db:setup", "db:schema:load")
QUIETED = "workers are quiet"


@settings
class RailsSettings(ApplicationSettings):
    """Settings of a Rails application."""

    quiet: bool = setting(
        "SIDEKIQ_QUIET_ON_DEPLOY",
        "Put Sidekiq into quiet mode before the deploy and restart it afterwards",
        default=False,
    )
    worker: str = setting(
        "SIDEKIQ_PROCESS",
        "The process that runs Sidekiq",
        default="worker",
        pattern=r"[A-Za-z0-9][\w-]*",
    )


class Rails(Application[RailsSettings]):
    """Ruby on Rails."""

    name = "rails"
    Settings: ClassVar[type[Any]] = RailsSettings

    @classmethod
    def detected(cls, root: Path) -> bool:
        """A Gemfile and the file that every Rails application has."""
        return (root / "Gemfile").is_file() and (root / "config/application.rb").is_file()

    @property
    def _first_deploy(self) -> bool:
        return not (self.ctx.before and self.ctx.before.revision)

    # --- before ---

    @on(Event.CONFIGURE, priority=150)
    def explain(self) -> None:
        """Say who migrates, so that it is not a surprise."""
        if self.settings.migrate and (where := self._migrates_itself()):
            self.ctx.console.indent(f"migrations: {where} runs them, so they are not run again.")

    @on(Event.PRE_DEPLOY)
    def quiet_workers(self) -> None:
        """Let running jobs end and start no new ones while the code changes."""
        if not self.settings.quiet or self._first_deploy:
            return
        self.ctx.provider.note(QUIETED)  # first the note: a kill in between must not be forgotten
        ran = self.ctx.provider.run(
            ["bin/rails", "runner", QUIET],
            what=f"put Sidekiq ({self.settings.worker}) into quiet mode",
        )
        if ran.exit_code:
            message = f"Sidekiq could not be put into quiet mode (exit code {ran.exit_code})."
            raise DeployFailed(message, lines=ran.lines)

    # --- after ---

    @on(Event.POST_DEPLOY)
    def migrate(self) -> None:
        """Run the migrations in the new release."""
        if not self.settings.migrate or self._migrates_itself():
            return
        ran = self.ctx.provider.run(["bin/rails", "db:migrate"], what="run the database migrations")
        if ran.exit_code:
            message = f"the migrations failed (exit code {ran.exit_code})."
            hint = "Fix them and deploy again; the new code already runs."
            raise DeployFailed(message, hint=hint, lines=ran.lines)

    @on(Event.POST_DEPLOY, priority=150)
    @on(Event.DEPLOY_FAILED, priority=60)
    @on(Event.DEPLOY_SKIPPED, priority=60)
    def wake_workers(self) -> None:
        """Only a restart ends quiet mode. Also after a failure, and for a run that was killed."""
        if QUIETED in self.ctx.provider.noted():
            self.ctx.provider.process(self.settings.worker, ProcessAction.RESTART)
            self.ctx.provider.note("")

    def _migrates_itself(self) -> str:
        tasks = self.ctx.provider.release_tasks()
        return next(
            (where for where, task in tasks.items() if any(word in task for word in MIGRATES)), ""
        )
