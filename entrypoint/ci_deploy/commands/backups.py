"""The commands `backups` and `restore`: the database dumps that ci-deploy makes before migrations,
and on Heroku the backups that Heroku keeps."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import print_json, print_line, ready
from ci_deploy.errors import UsageError
from ci_deploy.report import console as style


def backups(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print the app's dumps or backups to stdout, newest first, one per line (name, size, service,
    release) or as JSON. Returns 0. Raises DeployError."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    found = ctx.provider.backups()
    if options.json:
        print_json(ctx.redactor, [each._asdict() for each in found])
        return 0
    for each in found:
        columns = (each.name, f"{each.bytes} bytes", f"of {each.service}", each.release)
        print_line(ctx, "  ".join(filter(None, columns)))
    return 0


def restore(assembly: Assembly, options: argparse.Namespace) -> int:
    """Restore the named dump with --yes; without it, log the changes that this would make. Returns
    0. Raises UsageError without a name, Refused on Heroku, another DeployError."""
    name = next(iter(options.words), "")
    if not name:
        raise UsageError(
            "name the backup: `ci-deploy restore NAME`; `ci-deploy backups` lists them."
        )
    ctx, _ = ready(assembly, options, planning=not options.yes)
    ctx.provider.connect()
    ctx.provider.restore(name)
    if options.yes:
        ctx.console.line(f"{ctx.app} is running again with the data of {name}.", style.BOLD)
    else:
        ctx.console.line(f"Nothing was changed: add --yes to restore {name}.")
    return 0
