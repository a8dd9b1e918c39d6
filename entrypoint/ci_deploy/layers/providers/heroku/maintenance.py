"""Turns maintenance mode on during a deploy, and off again however the deploy ends; after a kill
the next run turns it off. An app that was in maintenance mode before stays in it."""

from __future__ import annotations

from ci_deploy.layers.priorities import After, Before, Outcome
from ci_deploy.layers.providers.heroku.provider import HerokuApp
from ci_deploy.layers.providers.heroku.settings import HerokuSettings
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event, on
from ci_deploy.run.tasks import Key, Task

MAINTENANCE = Task(Key.MAINTENANCE)


class MaintenanceMode(HerokuApp):
    """The part of the Heroku provider for HEROKU_MAINTENANCE, from which `Heroku` is derived."""

    def __init__(self, ctx: Context, settings: HerokuSettings) -> None:
        super().__init__(ctx, settings)
        self._closed = False  # whether this run has turned it on

    @property
    def left_closed(self) -> bool:
        """Whether this run or an interrupted one has turned maintenance mode on, and none has
        turned it off since: the task for that is recorded."""
        return MAINTENANCE in self.unfinished()

    @on(Event.PRE_DEPLOY, Before.CLOSE)
    def close(self) -> None:
        """Turn maintenance mode on, if the user wants it; recorded first, in case of a kill."""
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
        """Turn maintenance mode off, if this run or an interrupted one has turned it on."""
        if self.left_closed:
            if self._closed or self.state.maintenance:
                self.app.switch_maintenance(on=False)
            self.forget(MAINTENANCE)

    def interrupted(self) -> None:
        """Turn maintenance mode off, if this run has turned it on. This comes before any query,
        which may take all the remaining time."""
        if self._closed:
            self.app.switch_maintenance(on=False)
            self._closed = False
