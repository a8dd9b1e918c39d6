"""The command `status`: prints what runs now, and what an interrupted run has left unfinished."""

from __future__ import annotations

import argparse

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.history import newest_of
from ci_deploy.commands.shared import print_json, print_line, ready
from ci_deploy.run.tasks import in_words
from ci_deploy.state import Deployed, Live


def status(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print to stdout, as text or JSON, what runs, since when, who deployed it, its health, and
    unfinished tasks. Returns 0, also if the app is down. Raises DeployError."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    ctx.provider.inspect()  # raises for an app that does not exist
    live, entries = ctx.before or Live(), ctx.provider.history()
    newest = newest_of(entries, live)
    last = Deployed("") if newest is None else entries[newest]
    unfinished = ctx.provider.unfinished()
    facts = {
        "app": ctx.app,
        "provider": ctx.provider.name,
        "revision": live.revision,
        "release": live.release,
        "up": live.up and bool(live.revision),
        "detail": live.detail,
        "busy": live.busy,
        "url": live.url or ctx.url,
        "since": last.at,
        "by": last.by,
        "unfinished": [task.words for task in unfinished],
        "tasks": [task.key for task in unfinished],
    }
    if options.json:
        print_json(ctx.redactor, facts)
        return 0
    runs = live.release or live.revision[:7] or "no known release"
    state = live.detail or ("up" if live.up else "not all of its processes run")
    print_line(ctx, f"{ctx.app} runs {runs}" + (f", {state}" if live.revision else ""))
    shown = {
        "revision": live.revision,
        "since": last.at,
        "by": last.by,
        "url": facts["url"],
        "now": "a deployment is in progress" if live.busy else "",
        "unfinished": in_words(unfinished),
    }
    for name, value in shown.items():
        if value:
            print_line(ctx, f"  {name:10}  {value}")
    return 0
