"""The command `history`: what was live when."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import print_json, print_line, ready
from ci_deploy.state import Deployed, Live


def history(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print to stdout what was live when, and who deployed it, newest first, one entry per line or
    as JSON; what is live now is marked. Returns 0. Raises DeployError."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    entries = ctx.provider.history()
    newest = newest_of(entries, ctx.before or Live())
    if options.json:
        listed = [
            {**each._asdict(), "live": number == newest} for number, each in enumerate(entries)
        ]
        print_json(ctx.redactor, listed)
        return 0
    for number, entry in enumerate(entries):
        status = entry.status or "deployed"  # providers without a status record successes only
        mark = "live" if number == newest else ""
        columns = (entry.at, status, entry.release, entry.revision, entry.by, mark)
        print_line(ctx, "  ".join(filter(None, columns)))
    return 0


def newest_of(entries: Sequence[Deployed], live: Live) -> int | None:
    """The index in `entries` (newest first) of the entry that is live: among those of the live
    revision, one with the name of the live release is preferred, then one that succeeded, then the
    newest. None if the live revision is unknown or has no entry."""
    same = [n for n, each in enumerate(entries) if live.revision and each.revision == live.revision]

    def unlike(number: int) -> tuple[bool, bool]:
        each = entries[number]
        return each.release != live.release, not each.succeeded

    return min(same, key=unlike, default=None)
