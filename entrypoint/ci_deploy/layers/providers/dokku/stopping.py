"""After a cancel, stops what this run has started on the server, and nothing else."""

from __future__ import annotations

import time

from ci_deploy.layers.providers.dokku import answers
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.provider import DokkuApp

COMES = 0.3  # seconds that are needed to stop a build


def stop(app: DokkuApp, code: DeployMethod) -> None:
    """Cancel our build on the server, if it has begun: only one build of an app runs at a time, so
    it is that one. Before Dokku 0.38, which cannot do that, nothing is done. Raises DeployError."""
    if not app.server.at_least(0, 38):
        return
    name = app.ctx.app
    if not (code.building or _has_begun(app, code)):
        return
    if process := code.checked:
        upcoming = f"{name}.{process}.upcoming"
        app.ctx.console.warning(
            f"Dokku may leave a container {upcoming}-… of the cancelled revision running, without "
            f"traffic. On the server, find it with `docker ps --filter name={upcoming}` "
            "and remove it with `docker rm -f`."
        )
    words, what = ["builds:cancel", name], f"cancel our build of {name}"
    while True:
        done = app.server.change(words, what=what, ok=None)
        if not any(map(answers.NOT_YET.search, done.lines)) or not _time_left(app):
            return


def _has_begun(app: DokkuApp, code: DeployMethod) -> bool:
    """Whether the server has begun to build what we sent, even if it has not printed that yet."""
    if not code.begun or code.said(answers.LOCKED):
        return False
    while not app.server.has_begun(app.ctx.app, time.monotonic() - code.begun):
        if not _time_left(app):
            return False
    return True


def _time_left(app: DokkuApp) -> bool:
    """Wait a moment if there is time for another attempt; returns whether there is."""
    if app.ctx.cancellation.left() < COMES:
        return False
    app.ctx.cancellation.sleep(0.1)
    return True
