"""The command `unlock`: shows who holds the deploy lock, and releases it."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.report import console as style


def unlock(assembly: Assembly, options: argparse.Namespace) -> int:
    """Log who holds the deploy lock of the app; with --yes, release it, whoever holds it. Returns
    0. Raises DeployError, also where locks cannot be released by hand (`Provider.unlocks`)."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    holder = ctx.provider.lock_holder()
    ctx.console.line(f"{ctx.app}: {holder or 'not locked'}", style.BOLD)
    if holder and options.yes:
        ctx.provider.unlock()
    elif holder and not ctx.provider.unlocks:
        ctx.console.line("The lock is released when that run ends.")
    elif holder:
        ctx.console.line("If that deployment has died, `ci-deploy unlock --yes` releases its lock.")
    return 0
