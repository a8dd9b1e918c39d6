"""The command `logs`: the app's log."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.errors import UsageError


def logs(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print the app's log, or that of one process or service, to stdout; with --follow also what is
    added from now on. Returns the exit code. Raises DeployError, UsageError."""
    if options.lines < 1:
        raise UsageError("--lines takes a number of lines, 1 or more.")
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    service = next(iter(options.words), "")
    ctx.provider.logs(service, lines=options.lines, follow=options.follow)
    return 0
