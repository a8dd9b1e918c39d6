"""Maintenance mode for the time of a deploy; afterwards it is what it was, on every path."""

from __future__ import annotations

from ci_deploy.layers.priorities import After, Before, Outcome
from ci_deploy.layers.providers.heroku.provider import HerokuApp
from ci_deploy.layers.providers.heroku.settings import HerokuSettings
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event, on
from ci_deploy.run.tasks import Key, Task

MAINTENANCE = Task(Key.MAINTENANCE)


class ClosedApp(HerokuApp):
    """An app that can be closed while it is deployed."""

    def __init__(self, ctx: Context, settings: HerokuSettings) -> None:
        super().__init__(ctx, settings)
        self._closed = False  # we have switched it on

    @property
    def left_closed(self) -> bool:
        """Whether a run of ours has switched it on, and not somebody else."""
        return MAINTENANCE in self.unfinished()

    @on(Event.PRE_DEPLOY, Before.CLOSE)
    def close(self) -> None:
        """Maintenance mode, when asked for; first the note: a kill must not be forgotten."""
        if self.settings.maintenance and not self.state.maintenance:
            self.remember(MAINTENANCE)
            self._closed = True
            self.app.switch_maintenance(on=True)

    @on(Event.POST_DEPLOY, After.OPEN)
    @on(Event.ROLLBACK, After.OPEN)
    @on(Event.PROMOTE, After.OPEN)
    @on(Event.DEPLOY_FAILED, Outcome.OPEN)
    @on(Event.DEPLOY_SKIPPED, Outcome.OPEN)
    @on(Event.ROLLBACK_SUCCEEDED, Outcome.OPEN)  # skipped
    @on(Event.ROLLBACK_FAILED, Outcome.OPEN)
    def open(self) -> None:
        """Back to what it was; also for an earlier run that could not do it."""
        if self.left_closed:
            if self._closed or self.state.maintenance:
                self.app.switch_maintenance(on=False)
            self.forget(MAINTENANCE)

    def interrupted(self) -> None:
        """Opened before anything is asked: a question may take all the time that is left."""
        if self._closed:
            self.app.switch_maintenance(on=False)
            self._closed = False
