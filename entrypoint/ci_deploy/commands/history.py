"""`history`: what was live when. The result goes to stdout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import print_json, print_line, ready
from ci_deploy.state import Deployed, Live


def history(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print what was live when, and who deployed it. Returns the exit code."""
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
    """The index of the live entry: the newest one of the live revision; if several releases have
    that revision, the one of the live release that did not fail. None when it is unknown."""
    same = [n for n, each in enumerate(entries) if live.revision and each.revision == live.revision]

    def unlike(number: int) -> tuple[bool, bool]:
        each = entries[number]
        return each.release != live.release, not each.succeeded

    return min(same, key=unlike, default=None)
