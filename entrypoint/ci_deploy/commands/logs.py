"""The command `logs`: prints the app's log."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.errors import UsageError


def logs(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print the end of the app's log (--lines), or of that of one process or service, to stdout;
    with --follow also what is added until the command is stopped. Returns 0. Raises DeployError,
    UsageError for --lines 0, Cancelled."""
    if options.lines < 1:
        raise UsageError("--lines takes a number of lines, 1 or more.")
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    service = next(iter(options.words), "")
    ctx.provider.logs(service, lines=options.lines, follow=options.follow)
    return 0
