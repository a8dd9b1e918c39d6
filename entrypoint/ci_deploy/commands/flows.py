"""The commands with events: `deploy`, `rollback`, `review`, `destroy` and `promote`, and `plan` for
each of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import open_checkout, print_json
from ci_deploy.commands.sweep import sweep
from ci_deploy.errors import SkipDeploy, UsageError
from ci_deploy.layers.base import Layer
from ci_deploy.report import console as style
from ci_deploy.report.outputs import Report
from ci_deploy.run import guards
from ci_deploy.run.context import Context
from ci_deploy.run.deployment import Deployment
from ci_deploy.run.events import BUILDING, FLOWS


def flow(assembly: Assembly, options: argparse.Namespace) -> int:
    """Run the events of `options.command` (`FLOWS`) and report their outcome; returns the exit
    code: 0 also when CI_DEPLOY is false or a guard skips the run. Raises DeployError before the
    first event only (`destroy --stale`: also when the review apps cannot be listed)."""
    return _run_events(assembly, options.command, options, options.words)


def plan(assembly: Assembly, options: argparse.Namespace) -> int:
    """Run the events of `options.target`, by default `deploy`, without making a change: each change
    is logged, and with --json the report is printed. Returns the exit code. Raises UsageError for
    another command, and DeployError like `flow`."""
    if options.target not in FLOWS:
        word = next(iter(options.words), "")
        if word:
            raise UsageError(f"`{word}` cannot be planned; choose one of {', '.join(FLOWS)}.")
        options.target = "deploy"
    return _run_events(assembly, options.target, options, options.words, planning=True)


def _run_events(
    assembly: Assembly,
    command: str,
    options: argparse.Namespace,
    words: list[str],
    *,
    planning: bool = False,
) -> int:
    wanted = assembly.guards()
    if not wanted.enabled:
        return _nothing(assembly, command, "disabled", "CI_DEPLOY is false: nothing was done.")
    try:
        assembly.check_job(command, options)
    except SkipDeploy as skip:
        return _nothing(assembly, command, "skipped", str(skip))
    arguments = {**vars(options), "revision": next(iter(words), "")}
    ctx, layers = assembly.context(command, planning=planning, arguments=arguments)
    _check_migrations(options.migrations, layers)
    for layer in layers:
        layer.begin()
    if command in BUILDING:
        open_checkout(ctx)
    else:
        ctx.repository.open(optional=True)
    if command == "destroy" and options.stale is not None:
        return sweep(ctx, layers, options)
    guards.check_code(ctx.facts, ctx.repository, ctx.revision, wanted.allow)
    _headline(ctx)
    for doubt in guards.doubts(ctx.facts):
        ctx.console.warning(doubt)
    code = Deployment(ctx, layers).run()
    if planning and options.json:
        print_json(ctx.redactor, ctx.report.as_json())
    return code


def _check_migrations(count: int, layers: Sequence[Layer[Any]]) -> None:
    """Raise UsageError for `--migrations N` when no active layer can undo migrations."""
    if count < 0:
        raise UsageError("--migrations takes the number of migrations to undo.")
    if count and not any("migrations" in layer.options for layer in layers):
        raise UsageError(
            "--migrations: no Django or Rails app is active; set DEPLOY_APPLICATION or APP_DIR."
        )


def _headline(ctx: Context) -> None:
    where = f" to {ctx.environment}" if ctx.environment and ctx.revision else ""
    by = f" by {ctx.facts.actor}" if ctx.facts.actor else ""
    start = "plan: " if ctx.planning else ""
    ctx.console.line(f"{start}{ctx.command} {ctx.app}{where}", style.BOLD)
    if ctx.revision and ctx.command != "destroy":  # the branch and its commit may be deleted
        ref = f" ({ctx.facts.ref})" if ctx.facts.ref else ""
        ctx.console.indent(f"{ctx.revision[:7]}{ref}{by}: {ctx.title}")


def _nothing(assembly: Assembly, command: str, status: str, reason: str) -> int:
    """Report that there is nothing to do, which is a success; returns the exit code."""
    assembly.console.line(reason)
    assembly.console.annotate("notice", "ci-deploy", reason)
    report = Report(command=command, status=status, exit_code=0, live=reason, finished=True)
    try:
        assembly.ci.write(report)
    except OSError as error:
        assembly.console.warning(f"an output could not be written: {error}")
    return 0
