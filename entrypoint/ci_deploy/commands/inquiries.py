"""Commands that only ask: `status`, `logs` and `history`. Their answers go to stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ci_deploy.commands.assembly import Assembly
from ci_deploy.errors import UsageError
from ci_deploy.output.redaction import Redactor
from ci_deploy.output.relay import clean
from ci_deploy.run.context import Context
from ci_deploy.state import Deployed, Live


def ready(
    assembly: Assembly, options: argparse.Namespace, *, planning: bool = False
) -> tuple[Context, list[Any]]:
    """The layers of a command without events, connecting. Raises SettingsError, Refused."""
    assembly.check_job(options.command, options)
    ctx, layers = assembly.context(options.command, planning=planning, arguments=vars(options))
    for layer in layers:
        layer.begin()
    return ctx, layers


def status(assembly: Assembly, options: argparse.Namespace) -> int:
    """What runs, since when, by whom, how it is, and what is unfinished."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    ctx.provider.inspect()  # an app that is not there is told
    live, entries = ctx.before or Live(), ctx.provider.history()
    newest = _newest(entries, live)
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
        "unfinished": unfinished,
    }
    if options.json:
        print_json(ctx.redactor, facts)
        return 0
    runs = live.release or live.revision[:7] or "nothing that is known"
    state = live.detail or ("up" if live.up else "not all of its processes run")
    _print(ctx, f"{ctx.app} runs {runs}" + (f", {state}" if live.revision else ""))
    shown = {
        "revision": live.revision,
        "since": last.at,
        "by": last.by,
        "url": facts["url"],
        "now": "a deploy is going on" if live.busy else "",
        "unfinished": "; ".join(unfinished),
    }
    for name, value in shown.items():
        if value:
            _print(ctx, f"  {name:10}  {value}")
    return 0


def history(assembly: Assembly, options: argparse.Namespace) -> int:
    """What was live when, and who brought it."""
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    entries = ctx.provider.history()
    newest = _newest(entries, ctx.before or Live())
    if options.json:
        listed = [
            {**each._asdict(), "live": number == newest} for number, each in enumerate(entries)
        ]
        print_json(ctx.redactor, listed)
        return 0
    for number, entry in enumerate(entries):
        status = entry.status or "deployed"  # what a provider notes, it notes at a success
        mark = "live" if number == newest else ""
        columns = (entry.at, status, entry.release, entry.revision, entry.by, mark)
        _print(ctx, "  ".join(filter(None, columns)))
    return 0


def logs(assembly: Assembly, options: argparse.Namespace) -> int:
    """What the app has written, and with --follow what it writes from now on."""
    if options.lines < 1:
        raise UsageError("--lines takes a number of lines, 1 or more.")
    ctx, _ = ready(assembly, options)
    ctx.provider.connect()
    service = next(iter(options.words), "")
    ctx.provider.logs(service, lines=options.lines, follow=options.follow)
    return 0


def _newest(entries: Sequence[Deployed], live: Live) -> int | None:
    """Which of them is what runs: the newest of its revision, if that is known."""
    same = (n for n, each in enumerate(entries) if live.revision and each.revision == live.revision)
    return next(same, None)


def _print(ctx: Context, text: str) -> None:
    line = clean(ctx.redactor.text(text)).replace("\n", " ")
    sys.stdout.write(f"{line}\n")


def print_json(redactor: Redactor, facts: Any) -> None:
    """With values redacted one by one: what is hidden must not break the form."""
    sys.stdout.write(f"{json.dumps(_safe(redactor, facts), indent=2)}\n")


def _safe(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, str):
        return clean(redactor.text(value))
    if isinstance(value, dict):
        return {key: _safe(redactor, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(redactor, each) for each in value]
    return value
