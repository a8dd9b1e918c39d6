"""Verifies a deploy: the server must report its revision, with its processes steadily up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.processes import restarted
from ci_deploy.layers.providers.dokku.provider import DokkuApp
from ci_deploy.layers.providers.dokku.upload import Upload
from ci_deploy.process.program import Change
from ci_deploy.run.summary import not_live
from ci_deploy.state import Live

PAUSE = 2.0  # seconds between two queries while not all processes are running
STEADY = 1.0  # seconds between the two queries that must find all processes up
UP_TIMEOUT = 60.0  # seconds within which all processes of a deployed revision must run


def verify(app: DokkuApp, code: DeployMethod, remember: Callable[..., Change]) -> None:
    """Wait until the server reports the revision of `code`, and all processes stay up; then call
    `ctx.verified`. `remember` prepares the record in the history, which is made in parallel with
    the first query (for an upload before it). Raises DeployFailed after UP_TIMEOUT, and at once for
    another revision."""
    ctx, until = app.ctx, time.monotonic() + UP_TIMEOUT
    url = answers.address(code.urls) if code.said(answers.DEPLOYED) else app.apps.url(ctx.app)
    app.state = app.state._replace(live=app.state.live._replace(url=url))
    beside: Change | None = None
    if isinstance(code, Upload):  # the server has its own name for it
        identity = code.identity(app.apps.look(ctx.app, app.state))
        app.server.change_together([remember(code, identity)])
    else:
        beside = remember(code)
    for live, again, seen in _looks(app, beside):
        if live.revision != code.revision:
            if not seen:
                raise _not_verified(app, code, live)
            other = live.revision[:7] or "something else"
            message = f"{code.revision[:7]} was deployed and verified, but {other} was deployed"
            ctx.console.warning(f"{message} right after it.")
            break
        if live.up and seen and not again:
            break
        if time.monotonic() > until:
            looping = f"{live.detail}; Docker keeps restarting {', '.join(again)}"
            raise _not_verified(app, code, live._replace(detail=looping) if again else live)
    off = f"; scaled to 0: {', '.join(code.unstarted)}" if code.unstarted else ""
    ctx.verified(live, f"{live.runs}{off}")


def verify_restart(app: DokkuApp) -> None:
    """Wait until all processes are up again, and stay so. Raises DeployFailed after UP_TIMEOUT."""
    until = time.monotonic() + UP_TIMEOUT
    for live, again, seen in _looks(app):
        if live.up and seen and not again:
            return
        if time.monotonic() > until:
            raise not_live(app.ctx, live)


def _looks(
    app: DokkuApp, beside: Change | None = None
) -> Iterator[tuple[Live, Sequence[str], bool]]:
    """Ask again and again. Yields what is live, the processes that Docker has restarted since the
    last query, and whether that query has found all of them up."""
    seen: State | None = None  # the state a moment ago, if it was up
    while True:
        now, beside = app.apps.look(app.ctx.app, app.state, beside), None
        again = restarted(seen.health.processes, now.health.processes) if seen else []
        yield now.live, again, seen is not None
        seen = now if now.live.up else None
        app.ctx.cancellation.sleep(STEADY if now.live.up else PAUSE)


def _not_verified(app: DokkuApp, code: DeployMethod, live: Live) -> DeployFailed:
    """The error for a report of another revision, or of processes that are not up. If Dokku said
    that ours is deployed, another one was deployed after it, perhaps the previous one again."""
    before = app.ctx.before.revision if app.ctx.before else ""
    known = live.revision not in {"", code.revision}
    if known and (live.revision != before or code.said(answers.DEPLOYED)):
        ours, other = code.revision[:7], live.revision[:7]
        message = f"{ours} was deployed, but {other} was deployed right after it."
        return DeployFailed(message, hint="Let only one job at a time deploy an environment.")
    runs = live.revision[:7] or "no known revision"
    ours = code.revision[:7]
    message = f"{ours} is not verified: the server reports {runs} as deployed, with {live.detail}."
    return DeployFailed(message, hint=f"`{app.check_command}` shows more.")


def steady(app: DokkuApp) -> bool:
    """Whether the app's processes, which are up, stay up for STEADY seconds; True at once if Docker
    has never restarted one. A process that crashes repeatedly is up in between."""
    before = app.state.health.processes
    if not any(each.restarts for each in before):
        return True
    app.ctx.cancellation.sleep(STEADY)
    now = app.apps.look(app.ctx.app, app.state)
    return now.live.up and not restarted(before, now.health.processes)
