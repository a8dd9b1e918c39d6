"""The commands of the contract, and what each of them does around a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ci_deploy import __version__, guards
from ci_deploy import console as style
from ci_deploy.assembly import Assembly
from ci_deploy.context import Context
from ci_deploy.deployment import FLOWS, Deployment
from ci_deploy.errors import DeployError, Problem, SettingsError, SkipDeploy
from ci_deploy.layers.base import Live
from ci_deploy.report import Report
from ci_deploy.shell.program import Command

TOOLS = {
    "git": ["git", "--version"],
    "ssh": ["ssh", "-V"],
    "sentry-cli": ["sentry-cli", "--version"],
    "heroku": ["heroku", "--version"],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "--short": {"action": "store_true", "help": "version: only this tool's"},
}
FOR_PROGRAMS = {"run", "version"}  # their output is for programs: all else goes to stderr


def deploy(assembly: Assembly, options: argparse.Namespace) -> int:
    """Run the events of a deployment, or say that there is nothing to do."""
    return _deployment(assembly, options.command)


def plan(assembly: Assembly, options: argparse.Namespace) -> int:
    """The same run, in which no change is made but each one is named."""
    target = (options.words or ["deploy"])[0]
    if target not in FLOWS:
        reason = f"`{target}` cannot be planned; it is one of {', '.join(FLOWS)}."
        raise SettingsError(Problem("the command line", reason))
    return _deployment(assembly, target, planning=True)


def _deployment(assembly: Assembly, command: str, *, planning: bool = False) -> int:
    wanted = assembly.guards()
    if not wanted.enabled:
        return _nothing(assembly, command, "disabled", "CI_DEPLOY is false: nothing was done.")
    try:
        guards.check(command, assembly.ci.context, wanted.allow)
    except SkipDeploy as skip:
        return _nothing(assembly, command, "skipped", str(skip))
    ctx, layers = assembly.context(command, planning=planning)
    for layer in layers:
        layer.begin()
    ctx.repository.open()
    ctx.revision = ctx.repository.resolve(ctx.settings.revision)
    ctx.title = ctx.repository.subject(ctx.revision)
    _headline(ctx)
    return Deployment(ctx, layers).run()


def _headline(ctx: Context) -> None:
    where = f" to {ctx.environment}" if ctx.environment else ""
    by = f" by {ctx.facts.actor}" if ctx.facts.actor else ""
    start = "plan: what " if ctx.planning else ""
    end = " would change" if ctx.planning else ""
    ctx.console.line(f"{start}{ctx.command} {ctx.app}{where}{end}", style.BOLD)
    ref = f" ({ctx.facts.ref})" if ctx.facts.ref else ""
    ctx.console.indent(f"{ctx.revision[:7]}{ref}{by}: {ctx.title}")


def _nothing(assembly: Assembly, command: str, status: str, reason: str) -> int:
    """Nothing is to be done, and that is no failure."""
    assembly.console.line(reason)
    assembly.console.annotate("notice", "ci-deploy", reason)
    report = Report(command=command, status=status, exit_code=0, live=reason, finished=True)
    assembly.ci.write(report)
    return 0


def doctor(assembly: Assembly, options: argparse.Namespace) -> int:
    """Check everything that a deploy needs, and change nothing."""
    ctx, layers = assembly.context(options.command, planning=True)
    for layer in layers:
        layer.begin()
    say = ctx.console.indent
    ctx.console.line(f"doctor: {ctx.app} on {ctx.provider.name}", style.BOLD)
    say(f"settings: right; layers: {', '.join(layer.name for layer in layers)}")
    for name, version in tool_versions(ctx).items():
        say(f"{name}: {version}")
    ctx.provider.connect()
    for name, value in ctx.provider.inspect().items():
        say(f"{name}: {value}")
    live = ctx.provider.live()
    say(f"live: {_state(live)}")
    if note := ctx.provider.noted():
        ctx.console.warning(f"an earlier run has left something unfinished: {note}. Deploy again.")
    ctx.console.line("Everything that a deploy needs is there.", style.GREEN)
    return 0


def _state(live: Live) -> str:
    if not live.revision:
        return "nothing that is known"
    return f"{live.revision} ({'up' if live.up else live.detail or 'not all processes run'})"


def run(assembly: Assembly, options: argparse.Namespace) -> int:
    """A one-off command: its output is ours, and so is its exit code."""
    command = options.after or options.words
    if not command:
        reason = "say what to run: `ci-deploy run -- CMD…`."
        raise SettingsError(Problem("the command line", reason))
    ctx, layers = assembly.context(options.command)
    for layer in layers:
        layer.begin()
    ctx.provider.connect()
    return ctx.provider.run(command).exit_code


def version(assembly: Assembly, options: argparse.Namespace) -> int:
    """This tool's version and those of the programs that it calls."""
    sys.stdout.write(f"ci-deploy {__version__}\n")
    if not options.short:
        ctx = assembly.bare_context()
        for name, found in tool_versions(ctx).items():
            sys.stdout.write(f"{name} {found}\n")
    return 0


def tool_versions(ctx: Context) -> dict[str, str]:
    """Version of each program, `not installed` where there is none."""
    commands = {}
    versions = dict.fromkeys(TOOLS, "not installed")
    for name, argv in TOOLS.items():
        try:
            ctx.runner.find(argv[0])
        except DeployError:
            continue
        commands[name] = Command(argv)
    results = ctx.runner.read_all(list(commands.values()), ok=None)
    for name, result in zip(commands, results, strict=True):
        words = (result.text or result.errors).splitlines()[0].split()
        known = [word for word in words if any(map(str.isdigit, word))]
        versions[name] = known[0].rstrip(",") if known else "unknown"
    return versions


@dataclass(frozen=True)
class CommandSpec:
    """A command of the command line."""

    act: Callable[[Assembly, argparse.Namespace], int]
    help: str


COMMANDS = {
    "deploy": CommandSpec(deploy, "deploy the revision to the app of this environment"),
    "plan": CommandSpec(plan, "say what a deploy would change; changes nothing"),
    "doctor": CommandSpec(doctor, "check settings, key, host, access, tools; changes nothing"),
    "run": CommandSpec(run, "run a one-off command in the app: ci-deploy run -- CMD…"),
    "version": CommandSpec(version, "print the versions of this tool and of what it calls"),
}
