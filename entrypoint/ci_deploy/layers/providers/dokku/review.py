"""Review apps on Dokku: marked, never linked to the base app's services, removed with their own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from ci_deploy.errors import DeployError, DeployFailed, OutcomeUnknown
from ci_deploy.layers.providers.dokku import answers, services
from ci_deploy.layers.providers.dokku.answers import absent
from ci_deploy.layers.providers.dokku.app import OURS, App, State
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.report.console import Console
from ci_deploy.run.review_app import MARK, ReviewApp, addresses, guard_addresses, marked

WEB = re.compile(r"https?://(?!(\S*@)?dokku-)")  # `dokku-elasticsearch-hello` is a service


def is_empty(state: State) -> bool:
    """Whether the app was created, but nothing was ever set on it or deployed to it: left so by a
    run that was killed before it could mark the app."""
    return not state.live.revision and not state.source and not state.config


def guard_config(
    apps: App, wanted: ReviewApp, config: Mapping[str, str], is_own: Callable[[str], bool]
) -> None:
    """Raises Refused like `guard_addresses`. The base app is queried only if a variable may be the
    address of one of its services."""
    found = addresses(config, WEB)
    doubtful = {k: v for k, v in found.items() if k not in OURS and not is_own(v)}
    if doubtful:
        hint = "Take it out of APP_CONFIG or REVIEW_CONFIG; DOKKU_SERVICES gives it its own."
        theirs = addresses(apps.read_config(wanted.base), WEB)
        base = {key: value for key, value in theirs.items() if key not in OURS}
        guard_addresses(wanted, base, doubtful, hint)


def set_domain(server: DokkuServer, app: str, review: ReviewApp) -> None:
    """Set its host name under REVIEW_DOMAIN; before the first deploy, so that its ports are
    right."""
    if not review.host:
        return
    now = answers.report(server.ask(["domains:report", app])[0]).get("app vhosts", "")
    if review.host not in now.split():
        words = ["domains:set", app, review.host]
        server.change(words, what=f"name {app} {review.host}", quiet=True)


def secure(server: DokkuServer, app: str, console: Console) -> None:
    """Enable TLS if the server has a certificate for it or can get one; a failure is only a
    warning."""
    plugins, certs, active = server.ask(
        ["plugin:list"], ["certs:report", app], ["letsencrypt:active", app]
    )
    if answers.report(certs).get("enabled") == "true" or active.text.strip() == "true":
        return
    if not re.search(r"(?m)^\s*letsencrypt\s", plugins.text):
        return
    try:
        server.change(["letsencrypt:enable", app], what=f"get a certificate for {app}")
    except DeployError as error:
        console.warning(f"{app} goes on without a certificate: {error}")


def destroy(server: DokkuServer, app: str, console: Console) -> None:
    """Remove the app's services, then the app. The app's mark says that the services are ours, so
    it is removed last, and the next run can finish what a killed run began."""
    services.destroy(server, app, services.of_app(server, app))
    try:
        server.change(["apps:destroy", app, "--force"], what=f"destroy the app {app}")
    except OutcomeUnknown as error:
        if server.connected():
            raise
        answer = server.ask(["apps:exists", app])[0]
        try:
            gone = absent(answer, f"the app {app}")
        except DeployFailed:
            raise error from None
        if not gone:
            raise DeployFailed(error.message, lines=error.lines, shown=error.shown) from None
        console.indent("no response, but the change was applied.")


def stale(apps: App, server: DokkuServer, base: str, days: int) -> list[str]:
    """Marked review apps of `base` whose code has not changed for `days` days, whatever their
    names."""
    listed = server.ask(["apps:list"])[0].text.split()
    asked = [["config:export", name, "--format", "json"] for name in listed if name != base]
    configs = server.ask(*asked) if asked else []
    since = time.time() - days * 86400
    found = []
    for (_, name, *_), config in zip(asked, configs, strict=True):
        if MARK in config.text:
            state, _ = apps.survey(name, urls=False)
            if (
                marked(state.config, base) and 0 < state.updated < since
            ):  # never when it is not known
                found.append(name)
    return found
