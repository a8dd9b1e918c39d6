"""`logs`: what the app has written. It goes to stdout."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.errors import UsageError


def logs(assembly: Assembly, options: argparse.Namespace) -> int:
    """What the app has written, and with --follow what it writes from now on."""
    if options.lines < 1:
        raise UsageError("--lines takes a number of lines, 1 or more.")
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    service = next(iter(options.words), "")
    ctx.provider.logs(service, lines=options.lines, follow=options.follow)
    return 0
