"""The command `run`: runs a one-off command in the app."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import ready
from ci_deploy.errors import Cancelled, DeployError, UsageError


def run(assembly: Assembly, options: argparse.Namespace) -> int:
    """Run a one-off command in the app, in a container or dyno of the live release; its output goes
    to stdout. Returns the command's own exit code. Raises UsageError without a command, another
    DeployError, and Cancelled, after the provider has tried to stop the command."""
    command = options.after or options.words
    if not command:
        raise UsageError("no command was given: `ci-deploy run -- CMD…`.")
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    try:
        return ctx.provider.run(command).exit_code
    except Cancelled:
        ctx.cancellation.leave()
        try:
            ctx.provider.interrupted()
        except DeployError as error:  # the run stays cancelled
            ctx.console.warning(f"the command may still be running in {ctx.app}: {error}")
        raise
