"""The layer `healthcheck`: HEALTHCHECK_URL must answer with 2xx within HEALTHCHECK_TIMEOUT."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from ci_deploy.errors import Problem, Unhealthy, Unreachable
from ci_deploy.layers.base import Application
from ci_deploy.layers.priorities import After, Outcome, Promoted
from ci_deploy.run.events import Event, on
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import http_url

PAUSE = 2.0  # seconds between two tries
REDIRECTS = {301, 302, 303, 307, 308}


@settings
class HealthcheckSettings:
    """The settings of the layer `healthcheck`; HEALTHCHECK_URL switches it on."""

    url: str = setting(
        "HEALTHCHECK_URL",
        "URL of the app that must answer with 2xx after the deployment; `{host}`: each host",
        default="",
        example="https://my-project.example.com/health",
        parse=http_url,
    )
    timeout: int = setting(
        "HEALTHCHECK_TIMEOUT", "Seconds to wait for the app to become healthy", default=60
    )


class Healthcheck(Application[HealthcheckSettings]):
    """Requests HEALTHCHECK_URL after a deployment or promotion, and when there is nothing to
    deploy; with `{host}` in it, of each host in turn."""

    name = "healthcheck"
    Settings: ClassVar[type[Any]] = HealthcheckSettings
    trigger = "HEALTHCHECK_URL"

    def problems(self) -> Iterable[Problem]:
        ctx = self.ctx
        if "{host}" in self.settings.url and ctx.has_provider and not ctx.provider.host_names:
            message = (
                f"{ctx.provider.name} does not support `{{host}}`: only Compose has a list of "
                "hosts."
            )
            yield Problem("HEALTHCHECK_URL", message, "", "Write the app's host name instead.")

    @on(Event.CONFIGURE)
    def set_health_url(self) -> None:
        """Give the URL to providers that request it while they switch releases."""
        self.ctx.health_url = self.settings.url

    # Late, since the app may answer only after its migrations.
    @on(Event.POST_DEPLOY, After.HEALTH)
    @on(Event.PROMOTE, Promoted.HEALTH)
    @on(Event.DEPLOY_SKIPPED, Outcome.HEALTH)
    def check(self) -> None:
        """Request HEALTHCHECK_URL until it answers with 2xx, or the time is over.

        Each host has HEALTHCHECK_TIMEOUT, and at most what the run has left. Raises Unhealthy for
        the first that does not answer so. When planning it only announces the request.
        """
        hosts = self.ctx.provider.host_names if "{host}" in self.settings.url else [""]
        for host in hosts:
            self._check(self.settings.url.replace("{host}", host))

    def _check(self, url: str) -> None:
        if self.ctx.planning:
            self.ctx.console.indent(f"after the deployment, {url} must answer with 2xx")
            return
        started = time.monotonic()
        until = started + self.settings.timeout
        limit, raised = f"within {self.settings.timeout} s", "HEALTHCHECK_TIMEOUT"
        if (over := self.ctx.runner.until) < until:  # a request after that would have no time
            limit, raised = "before the run's time was over (DEPLOY_TIMEOUT)", "DEPLOY_TIMEOUT"
            until = over
        while True:
            answer = self._ask(url, max(1.0, until - time.monotonic()))
            if answer.startswith("2"):
                self.ctx.console.indent(f"healthy: {url} answers {answer}")
                return
            if time.monotonic() + PAUSE >= until:
                break
            self.ctx.console.still(started)
            self.ctx.cancellation.sleep(PAUSE)
        message = f"not healthy {limit}: {url} answers {answer}."
        raise Unhealthy(message, hint=_remedy(answer, raised))

    def _ask(self, url: str, seconds: float) -> str:
        """The status, and the final address: a page of another host says nothing of the app."""
        try:
            answer = self.ctx.http.read(url, timeout=min(10.0, seconds), within_site=True)
        except Unreachable as error:
            return f"nothing ({error.message.rstrip('.')})"
        if leads := answer.headers.get("Location", "") if answer.status in REDIRECTS else "":
            return f"{answer.status}, to {_plain(urljoin(answer.url, leads))}"
        moved = _plain(answer.url) != _plain(url)
        return f"{answer.status}{f' at {_plain(answer.url)}' if moved else ''}"


def _plain(url: str) -> str:
    """The URL without its query, which may contain a token."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _remedy(answer: str, timeout: str) -> str:
    """A hint for the last answer; `timeout` is the setting that has ended the wait."""
    if ", to " in answer:
        return (
            "The URL redirects to another host, which proves nothing about the app: set "
            "HEALTHCHECK_URL to an address that the app answers itself."
        )
    if answer[:3] in {"401", "403"}:
        return (
            "The URL requires a login, or the app rejects this machine: set HEALTHCHECK_URL to a "
            "public path."
        )
    if answer.startswith("404"):
        return "The app has no such path (HEALTHCHECK_URL), or does not serve this host name."
    if "expired" in answer:
        return "Renew the app's TLS certificate."
    if "certificate" in answer:
        return (
            "For a private certificate authority, set CA_BUNDLE. A new domain may not have a "
            "certificate yet."
        )
    if "redirects" in answer:
        return (
            "The URL redirects more than five times, often in a loop: does the app know that it is "
            "served over HTTPS?"
        )
    return f"Look at the app's log; raise {timeout} if it is slow."
