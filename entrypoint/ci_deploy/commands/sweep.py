"""`destroy --stale`: removes review apps that were not deployed for some time."""

from __future__ import annotations

import argparse

from ci_deploy.errors import DeployError
from ci_deploy.report import console as style
from ci_deploy.run.context import Context
from ci_deploy.run.review_app import ReviewApp, ReviewSettings


def sweep(ctx: Context, options: argparse.Namespace) -> int:
    """List the review apps not deployed for `options.stale` days; with --yes, remove them. Returns
    the exit code."""
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
    for name in names if options.yes else ():
        ctx.review, ctx.sweeping = ReviewApp(name, base, "", ReviewSettings()), True
        try:
            ctx.provider.destroy()
        except DeployError as error:  # the others are still removed
            ctx.console.warning(f"{name}: {error}")
            code = error.code
    return code
