"""The command `doctor`: checks what a deploy needs, and whether it would be refused."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ci_deploy.ci.checkouts import top
from ci_deploy.ci.local import Local
from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import open_checkout, print_json, ready
from ci_deploy.commands.version import TOOL_OF, tool_versions
from ci_deploy.errors import ImageMissing, Refused
from ci_deploy.layers.base import Layer
from ci_deploy.report import console as style
from ci_deploy.run import guards
from ci_deploy.run.context import Context
from ci_deploy.run.tasks import in_words
from ci_deploy.state import Live


def doctor(assembly: Assembly, options: argparse.Namespace) -> int:
    """Check everything that a deploy needs, without a change, and log the results; with --json,
    also print them to stdout. Returns 0, also if only this revision could not be deployed (a
    warning). Raises DeployError for another check that failed."""
    ctx, layers = ready(assembly, options, planning=True)
    facts = examine(ctx, layers)
    if options.json:
        print_json(ctx.redactor, facts)
    return 0


def examine(ctx: Context, layers: Sequence[Layer[Any]]) -> dict[str, Any]:
    """Check everything and log the results; returns them as the object that --json prints (`app`,
    `layers`, `tools`, `provider`, `revision`, `live`, `warnings`). Raises DeployError for a check
    that failed, except one of this revision alone, which is a warning."""
    ctx.console.line(f"doctor: {ctx.app} on {ctx.provider.name}", style.BOLD)
    names = [layer.name for layer in layers]
    needed = {"git", "ssh", *(TOOL_OF.get(name, "") for name in names)}
    tools = {name: found for name, found in tool_versions(ctx).items() if name in needed}
    _show(ctx, {"settings": f"OK; layers: {', '.join(names)}", **tools})
    checked = _check_checkout(ctx)
    ctx.provider.connect()
    provider, live = ctx.provider.inspect(), ctx.provider.live()
    _show(ctx, {**provider, "live": _state(live)})
    allowed = not checked or _check_deploy(ctx)
    for layer in layers if live.revision else ():
        layer.check()
    if tasks := ctx.provider.unfinished():
        left = in_words(tasks)
        ctx.console.warning(f"an earlier run left tasks unfinished: {left}. Deploy again.")
    if allowed:
        ctx.console.line("All checks passed.", style.GREEN)
    else:
        ctx.console.line("The connection works; see the warning above.", style.YELLOW)
    up = live.up and bool(live.revision)
    return {
        "app": ctx.app,
        "layers": names,
        "tools": tools,
        "provider": dict(provider),
        "revision": ctx.revision,
        "live": live._replace(up=up)._asdict(),
        "warnings": ctx.console.warnings,
    }


def _show(ctx: Context, facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        ctx.console.indent(f"{name}: {value}")


def _check_checkout(ctx: Context) -> bool:
    """Check the revision to deploy; False without a checkout, which is only a warning outside
    CI."""
    if ctx.ci.name == Local.name and not top(ctx.repository.checkout.path):
        ctx.console.warning(
            "there is no git checkout here, so the revision to deploy is not checked."
        )
        ctx.repository.open(optional=True)
        return False
    open_checkout(ctx)
    ctx.console.indent(f"revision: {ctx.revision[:7]}: {ctx.title}")
    return True


def _check_deploy(ctx: Context) -> bool:
    """Check what would stop a deploy before its first change. False, after a warning, when that is
    this revision only: it is refused, or its image is not in the registry yet."""
    try:
        guards.check_code(ctx.facts, ctx.repository, ctx.revision, ctx.settings.allow)
        ctx.provider.check_deploy()
    except (Refused, ImageMissing) as error:
        end = "be refused" if isinstance(error, Refused) else "fail"
        what = f"a deployment of {ctx.revision[:7]} would {end}"
        ctx.console.warning(f"{what}: {error.message} {error.hint}".rstrip())
        return False
    return True


def _state(live: Live) -> str:
    if not live.revision:
        return "no known release"
    return (
        f"{live.revision} ({'up' if live.up else live.detail or 'not all processes are running'})"
    )
