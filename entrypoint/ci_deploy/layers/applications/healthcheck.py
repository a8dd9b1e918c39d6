"""Ask the app itself, from outside: HEALTHCHECK_URL has to answer before the deadline."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ci_deploy.errors import Unhealthy, Unreachable
from ci_deploy.events import Event, on
from ci_deploy.layers.base import Application
from ci_deploy.settings import setting, settings
from ci_deploy.values import http_url

PAUSE = 2.0  # seconds between two tries


@settings
class HealthcheckSettings:
    """Settings of the health check."""

    url: str = setting(
        "HEALTHCHECK_URL",
        "URL of the app that has to answer with 2xx after the deploy",
        default="",
        example="https://my-project.example.com/health",
        parse=http_url,
    )
    timeout: int = setting(
        "HEALTHCHECK_TIMEOUT", "Seconds until the app has to be healthy", default=60
    )


class Healthcheck(Application[HealthcheckSettings]):
    """The health check."""

    name = "healthcheck"
    Settings: ClassVar[type[Any]] = HealthcheckSettings
    trigger = "HEALTHCHECK_URL"

    # Before the migrations of the application layers nothing can be said, so it comes late.
    @on(Event.POST_DEPLOY, priority=200)
    @on(Event.DEPLOY_SKIPPED, priority=200)
    def check(self) -> None:
        """Ask until it answers well; the last answer is in the message."""
        if self.ctx.planning:
            self.ctx.console.indent(f"{self.settings.url} would have to answer with 2xx")
            return
        until = time.monotonic() + self.settings.timeout
        while True:
            answer = self._ask(max(1.0, until - time.monotonic()))
            if answer.startswith("2"):
                self.ctx.console.indent(f"healthy: {self.settings.url} answers {answer}")
                return
            if time.monotonic() + PAUSE > until:
                break
            self.ctx.cancellation.sleep(PAUSE)
        message = (
            f"not healthy within {self.settings.timeout} s: {self.settings.url} answers {answer}."
        )
        raise Unhealthy(
            message, hint="Look at the app's log; raise HEALTHCHECK_TIMEOUT if it is slow."
        )

    def _ask(self, seconds: float) -> str:
        try:
            return str(self.ctx.http.read(self.settings.url, timeout=min(10.0, seconds)).status)
        except Unreachable as error:
            return f"nothing ({error.message.rstrip('.')})"
