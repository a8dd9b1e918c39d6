"""The app's log, by a log session.

Source: Platform API, `POST /apps/NAME/log-sessions` with `dyno` (`web.1`, or `web` for all of
them), `lines`, `source` and `tail` returns `logplex_url`: plain text without credentials, so the
URL itself is secret. Apps of the Fir generation have no `lines`, and always tail.
"""

from __future__ import annotations

import time

from ci_deploy.errors import NoService
from ci_deploy.layers.providers.heroku.api import Api
from ci_deploy.run.context import Context

MOST = 1500  # lines that Heroku keeps
TICK = 5.0  # seconds of silence after which the deadline is checked
LATEST = 15.0  # seconds of silence after which a log that is not followed ends


def show(ctx: Context, api: Api, service: str, *, lines: int, follow: bool) -> None:
    """Show the last `lines` lines of the log of `service`, a process type or dyno (empty: of all),
    and with `follow` new ones until the end of the run; else it ends after LATEST seconds of
    silence. Raises NoService for an unknown service, HttpError, Unauthorized, Unreachable, and
    DeployFailed or ResponseLost when Heroku opens no log session."""
    known = ctx.provider.processes()
    if service and known and service.partition(".")[0] not in known:
        raise NoService(ctx.app, service, known)
    if lines > MOST:
        ctx.console.warning(f"Heroku keeps only the last {MOST} lines of the log.")
    wanted = {"lines": min(lines, MOST), "tail": follow, **({"dyno": service} if service else {})}
    session = api.change("POST", f"/apps/{ctx.app}/log-sessions", wanted, what="")
    url, heard = str(session["logplex_url"]), time.monotonic()
    ctx.redactor.add(url)
    with ctx.console.child() as sanitizer:
        for part in ctx.http.stream(url, tick=TICK):
            if part:
                sanitizer.feed(part)
                heard = time.monotonic()
            elif not follow and time.monotonic() - heard > LATEST:
                return
            if time.monotonic() >= ctx.runner.until:
                return
