"""The command `destroy --stale`: removes review apps that were not deployed for some time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ci_deploy.errors import DeployError, LiveButFailed
from ci_deploy.report import console as style
from ci_deploy.run.context import Context
from ci_deploy.run.deployment import NOTICES
from ci_deploy.run.events import FLOWS, Event, EventManager, Handler
from ci_deploy.run.review_app import ReviewApp, ReviewSettings
from ci_deploy.run.summary import Announcing


def sweep(ctx: Context, layers: Sequence[Announcing], options: argparse.Namespace) -> int:
    """Log the review apps of APP_NAME that were not deployed for `options.stale` days; with --yes,
    remove them, each even if another fails (then with a warning). Returns the exit code of the last
    failure, or 0. Raises DeployError if they cannot be listed."""
    base, code = ctx.settings.app_name, 0
    ctx.provider.connect()
    names = ctx.provider.stale_review_apps(options.stale)
    apps = "1 review app" if len(names) == 1 else f"{len(names)} review apps"
    title = f"{apps} of {base} not deployed for {options.stale} days"
    ctx.console.line(title, style.BOLD)
    for name in names:
        ctx.console.indent(name)
    if names and not options.yes:
        ctx.console.line("Nothing was removed: add --yes to remove them.")

    def warn(handler: Handler, error: Exception) -> None:
        ctx.console.warning(f"{handler.layer.name}: {error}")

    events, ctx.sweeping = EventManager(layers, warn=warn), True
    for name in names if options.yes else ():  # after an error the others are still removed
        ctx.review = ReviewApp(name, base, "", ReviewSettings())
        code = _remove(ctx, events) or code
    return code


def _remove(ctx: Context, events: EventManager) -> int:
    """Remove the review app with the events of `destroy`; returns the exit code."""
    report = ctx.report
    succeeded, _, failed = FLOWS["destroy"][1]
    ctx.event = Event.DESTROY
    try:
        events.emit(ctx.event)
    except DeployError as error:
        ctx.console.warning(f"while removing {ctx.app}: {error.message} {error.hint}".rstrip())
        report.status, report.message, report.hint = error.status, str(error), error.hint
        report.live, ctx.event, code = "", failed, error.code
    else:
        report.status, report.message, report.hint = "succeeded", "", ""
        report.live, ctx.event, code = f"{ctx.app} is removed", succeeded, 0
    late = events.emit_all(ctx.event)
    unsent = ctx.send_queue.close(NOTICES, ctx.cancellation.left)
    for layer, trouble in [*((handler.layer, error) for handler, error in late), *unsent]:
        ctx.console.warning(f"{layer.name}: {trouble}")
        code = code or (0 if layer.optional else LiveButFailed.exit_code)
    return code
