"""`logs`: the app's log. It goes to stdout."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.errors import UsageError


def logs(assembly: Assembly, options: argparse.Namespace) -> int:
    """Show the app's log; with --follow also what is added from now on. Returns the exit code."""
    if options.lines < 1:
        raise UsageError("--lines takes a number of lines, 1 or more.")
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    service = next(iter(options.words), "")
    ctx.provider.logs(service, lines=options.lines, follow=options.follow)
    return 0
