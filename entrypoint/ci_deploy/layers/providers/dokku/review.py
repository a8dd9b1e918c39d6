"""Review apps on Dokku: marked, never linked to the base app's services, removed with their own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from ci_deploy.errors import DeployError, DeployFailed, OutcomeUnknown, Unauthorized
from ci_deploy.layers.providers.dokku import answers, services
from ci_deploy.layers.providers.dokku.answers import absent
from ci_deploy.layers.providers.dokku.app import OURS, App, State
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.report.console import Console
from ci_deploy.run.review_app import MARK, ReviewApp, addresses, guard_addresses, marked

WEB = re.compile(r"https?://(?!(\S*@)?dokku-)")  # `dokku-elasticsearch-hello` is a service


def is_empty(state: State) -> bool:
    """Whether the app in this `state` has no code and no variables, as when a run was killed before
    it could mark the app that it had created."""
    return not state.live.revision and not state.source and not state.config


def guard_config(
    apps: App, wanted: ReviewApp, config: Mapping[str, str], is_own: Callable[[str], bool]
) -> None:
    """Raise Refused for a `config` (the review app's present and wanted variables) that would
    connect the review app `wanted` to a service of its base app. The base app is queried only if a
    value is an address of which `is_own` is False."""
    found = addresses(config, WEB)
    doubtful = {k: v for k, v in found.items() if k not in OURS and not is_own(v)}
    if doubtful:
        hint = (
            "Remove it from APP_CONFIG or REVIEW_CONFIG, and from the review app if that has it "
            f"(on the server: `dokku config:unset {wanted.name} NAME`); DOKKU_SERVICES creates a "
            "service for the review app."
        )
        theirs = addresses(apps.read_config(wanted.base), WEB)
        base = {key: value for key, value in theirs.items() if key not in OURS}
        guard_addresses(wanted, base, doubtful, hint)


def set_domain(server: DokkuServer, app: str, review: ReviewApp) -> None:
    """Set the app's domain to the review app's host name under REVIEW_DOMAIN, if that is set and
    the app has another; before the first deploy, since Dokku then derives the app's ports from it.
    Raises CommandFailed, OutcomeUnknown."""
    if not review.host:
        return
    now = answers.report(server.ask(["domains:report", app])[0]).get("app vhosts", "")
    if review.host not in now.split():
        words = ["domains:set", app, review.host]
        server.change(words, what=f"set the domain of {app} to {review.host}", quiet=True)


def secure(server: DokkuServer, app: str, console: Console) -> None:
    """Get a certificate for the app by the letsencrypt plugin, if the server has that and the app
    has no certificate. A failure is only a warning."""
    plugins, certs, active = server.ask(
        ["plugin:list"], ["certs:report", app], ["letsencrypt:active", app]
    )
    if answers.report(certs).get("enabled") == "true" or active.text.strip() == "true":
        return
    if "letsencrypt" not in answers.plugins(plugins):
        return
    try:
        server.change(["letsencrypt:enable", app], what=f"get a certificate for {app}")
    except DeployError as error:
        console.warning(f"{app} may have no certificate yet: {error}")


def destroy(server: DokkuServer, app: str, console: Console) -> None:
    """Remove the app's services, then the app. The app's mark says that the services are ours, so
    the app is removed last, and the next run can finish what a killed run began. Raises
    DeployFailed, OutcomeUnknown."""
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
        console.indent(f"the connection was lost, but {app} was destroyed.")


def stale(
    apps: App, server: DokkuServer, base: str, days: int, warn: Callable[[str], None]
) -> list[str]:
    """The names of the marked review apps of `base` that were not deployed for `days` days.

    The server's clock counts: with that of a runner that is ahead every app would be old. Where the
    server's cannot be read, the newest time on the server is the lower bound of now; apps that only
    the runner's clock calls old are kept, and `warn` gets a message that names them."""
    updated = _updated(apps, server, base)
    if not updated:
        return []
    main, _ = apps.survey(base, urls=False)
    sure = min(time.time(), max(main.updated, *updated.values()))
    now = _clock(server, base, main) or sure
    age = days * 86400
    if doubtful := [name for name, at in updated.items() if now - at < age <= time.time() - at]:
        warn(
            f"kept {', '.join(doubtful)}: not deployed for {days} days by this runner's clock, but "
            "the server's clock does not confirm that. `ci-deploy destroy` removes a review app."
        )
    return [name for name, at in updated.items() if now - at >= age]


def _updated(apps: App, server: DokkuServer, base: str) -> dict[str, int]:
    """Name → time of the last change, of marked review apps of `base`; without a known time they
    are left out."""
    listed = server.ask(["apps:list"])[0].text.split()
    asked = [["config:export", name, "--format", "json"] for name in listed if name != base]
    configs = server.ask(*asked) if asked else []
    found = {}
    for (_, name, *_), config in zip(asked, configs, strict=True):
        if MARK in config.text:
            state, _ = apps.survey(name, urls=False)
            if marked(state.config, base) and state.updated:
                found[name] = state.updated
    return found


def _clock(server: DokkuServer, base: str, state: State) -> int:
    """The server's time in seconds since 1970; 0 when no process of the base app can tell it.
    Dokku has no command for it. Review apps are not asked: anybody may write their code."""
    running = [each for each in state.health.processes if each.state == "running"]
    if not running:
        return 0
    process = running[0].name.replace(" ", ".")
    try:
        answer = server.ask(["enter", base, process, "date", "+%s"])[0]
    except Unauthorized:  # dokku-acl may leave `enter` to others
        return 0
    last = answer.text.split()[-1:] if answer.exit_code == 0 else []
    return int(last[0]) if last and last[0].isdecimal() else 0
