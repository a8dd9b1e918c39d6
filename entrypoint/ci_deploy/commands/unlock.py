"""`unlock`: shows who holds the lock."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.report import console as style


def unlock(assembly: Assembly, options: argparse.Namespace) -> int:
    """Show who holds the lock; release it with --yes. Returns the exit code."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    holder = ctx.provider.lock_holder()
    ctx.console.line(f"{ctx.app}: {holder or 'not locked'}", style.BOLD)
    if holder and options.yes:
        ctx.provider.unlock()
    elif holder and not ctx.provider.unlocks:
        ctx.console.line("The lock is released when that deployment ends.")
    elif holder:
        ctx.console.line("If that deployment is dead, `ci-deploy unlock --yes` releases its lock.")
    return 0
