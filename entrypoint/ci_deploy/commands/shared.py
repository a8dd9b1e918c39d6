"""Functions that several commands share: they make the context (`ready`), open the checkout
(`open_checkout`) and write the command's result to stdout (`answer`, `print_line`,
`print_json`)."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any

from ci_deploy.commands.assembly import Assembly
from ci_deploy.errors import Problem, SettingsError
from ci_deploy.output.redaction import Redactor
from ci_deploy.output.sanitizer import clean
from ci_deploy.run.context import Context


def ready(
    assembly: Assembly, options: argparse.Namespace, *, planning: bool = False
) -> tuple[Context, list[Any]]:
    """Check the job, and make (context, layers) for a command that emits no events. The layers
    begin to connect, without waiting; `Provider.connect` waits. Raises Refused, SettingsError,
    ToolMissing, or what else `Assembly.context` raises."""
    assembly.check_job(options.command, options)
    ctx, layers = assembly.context(options.command, planning=planning, arguments=vars(options))
    for layer in layers:
        layer.begin()
    return ctx, layers


def open_checkout(ctx: Context) -> None:
    """Open the checkout, choose the revision that DEPLOY_REVISION names or the job's own
    (`Context.choose`), and check that it contains APP_DIR. Raises SettingsError, ToolMissing."""
    ctx.repository.checkout.check()
    ctx.repository.open()
    ctx.choose(ctx.repository.resolve(ctx.settings.revision))
    wanted = ctx.settings.app_dir
    if wanted and not ctx.repository.is_folder(ctx.revision, wanted):
        reason = f"there is no directory {wanted} at {ctx.revision[:7]}."
        remedy = ""
        if (ctx.repository.checkout.path / wanted).is_dir():
            remedy = (
                "It is in the checkout, but not committed: commit it in the job, and set "
                "DEPLOY_REVISION=HEAD."
            )
        raise SettingsError(Problem("APP_DIR", reason, "", remedy))


def answer(text: str) -> None:
    """Write a part of the command's result to stdout, as it is: not redacted, and without a line
    end of its own. A closed pipe is no error; raises OSError for others."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text)


def print_line(ctx: Context, text: str) -> None:
    """Write `text` to stdout as one line of the command's result: redacted, without control
    characters, with spaces for line ends."""
    line = clean(ctx.redactor.text(text)).replace("\n", " ")
    answer(f"{line}\n")


def print_json(redactor: Redactor, facts: Any) -> None:
    """Write `facts` (mappings, lists and plain values) as JSON to stdout. Each text in them, except
    keys, is redacted separately, so that the JSON stays valid."""
    answer(f"{json.dumps(_safe(redactor, facts), indent=2)}\n")


def _safe(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, str):
        return clean(redactor.text(value))
    if isinstance(value, dict):
        return {key: _safe(redactor, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(redactor, each) for each in value]
    return value
