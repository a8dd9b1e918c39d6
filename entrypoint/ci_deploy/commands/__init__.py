"""The commands of the contract, and what each of them does around a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ci_deploy import __version__
from ci_deploy.commands import inquiries
from ci_deploy.commands.assembly import Assembly, every_setting
from ci_deploy.commands.doctor import examine, open_checkout
from ci_deploy.commands.versions import tool_versions
from ci_deploy.errors import Cancelled, DeployError, Problem, SettingsError, SkipDeploy, UsageError
from ci_deploy.layers.applications.framework import Framework
from ci_deploy.process.cancellation import Phases
from ci_deploy.report import console as style
from ci_deploy.report.outputs import Report
from ci_deploy.run import guards
from ci_deploy.run.context import Context
from ci_deploy.run.deployment import FLOWS, Deployment
from ci_deploy.run.review_app import ReviewApp, ReviewSettings

# All but their output goes to stderr.
FOR_PROGRAMS = {"run", "version", "tag", "history", "status", "logs"}
WITHOUT_CHECKOUT = {"destroy", "rollback", "promote"}


def deployment(assembly: Assembly, options: argparse.Namespace) -> int:
    """Run the events of a deployment, or say that there is nothing to do."""
    return _run_events(assembly, options.command, options, options.words)


def plan(assembly: Assembly, options: argparse.Namespace) -> int:
    """The same run, in which no change is made but each one is named."""
    if options.target not in FLOWS:
        word = next(iter(options.words), "")
        if word:
            raise UsageError(f"`{word}` cannot be planned; it is one of {', '.join(FLOWS)}.")
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
    if command == "destroy" and options.stale is not None:
        return _sweep(ctx, options)
    if command in WITHOUT_CHECKOUT:
        ctx.repository.open(optional=True)
    else:
        open_checkout(ctx)
    guards.check_code(ctx.facts, ctx.repository, ctx.revision, wanted.allow)
    _headline(ctx)
    for doubt in guards.doubts(ctx.facts):
        ctx.console.warning(doubt)
    code = Deployment(ctx, layers).run()
    if planning and options.json:
        inquiries.print_json(ctx.redactor, ctx.report.as_json())
    return code


def _check_migrations(count: int, layers: Sequence[Any]) -> None:
    """`--migrations N` needs somebody who can undo them."""
    if count < 0:
        raise UsageError("--migrations takes the number of migrations to undo.")
    if count and not any(isinstance(layer, Framework) for layer in layers):
        raise UsageError(
            "--migrations: no framework was found here; name it by DEPLOY_APPLICATION."
        )


def _headline(ctx: Context) -> None:
    where = f" to {ctx.environment}" if ctx.environment and ctx.revision else ""
    by = f" by {ctx.facts.actor}" if ctx.facts.actor else ""
    start = "plan: what " if ctx.planning else ""
    end = " would change" if ctx.planning else ""
    ctx.console.line(f"{start}{ctx.command} {ctx.app}{where}{end}", style.BOLD)
    if ctx.revision and ctx.command != "destroy":  # the branch may be gone, and its commit too
        ref = f" ({ctx.facts.ref})" if ctx.facts.ref else ""
        ctx.console.indent(f"{ctx.revision[:7]}{ref}{by}: {ctx.title}")


def _nothing(assembly: Assembly, command: str, status: str, reason: str) -> int:
    """Nothing is to be done, and that is no failure."""
    assembly.console.line(reason)
    assembly.console.annotate("notice", "ci-deploy", reason)
    report = Report(command=command, status=status, exit_code=0, live=reason, finished=True)
    try:
        assembly.ci.write(report)
    except OSError as error:
        assembly.console.warning(f"an output could not be written: {error}")
    return 0


def _sweep(ctx: Context, options: argparse.Namespace) -> int:
    """Remove review apps that nobody has deployed for a while; listed first."""
    base, code = ctx.settings.app_name, 0
    ctx.provider.connect()
    names = ctx.provider.stale_review_apps(options.stale)
    apps = "1 review app" if len(names) == 1 else f"{len(names)} review apps"
    title = f"{apps} of {base} not deployed for {options.stale} days"
    ctx.console.line(title, style.BOLD)
    for name in names:
        ctx.console.indent(name)
    if names and not options.yes:
        ctx.console.line("Nothing was removed; with --yes they are.")
    for name in names if options.yes else ():
        ctx.review, ctx.sweeping = ReviewApp(name, base, "", ReviewSettings()), True
        try:
            ctx.provider.destroy()
        except DeployError as error:  # the others are removed all the same
            ctx.console.warning(f"{name}: {error}")
            code = error.code
    return code


def doctor(assembly: Assembly, options: argparse.Namespace) -> int:
    """Check everything that a deploy needs, and change nothing."""
    ctx, layers = inquiries.ready(assembly, options, planning=True)
    facts = examine(ctx, layers)
    if options.json:
        inquiries.print_json(ctx.redactor, facts)
    return 0


def run(assembly: Assembly, options: argparse.Namespace) -> int:
    """A one-off command: its output is ours, and so is its exit code."""
    command = options.after or options.words
    if not command:
        raise UsageError("say what to run: `ci-deploy run -- CMD…`.")
    ctx, _ = inquiries.ready(assembly, options)
    ctx.provider.connect()
    try:
        return ctx.provider.run(command).exit_code
    except Cancelled:
        ctx.cancellation.leave(Phases.LEAVE)
        ctx.provider.interrupted()
        raise


def unlock(assembly: Assembly, options: argparse.Namespace) -> int:
    """Show who holds the lock; release it only when told to."""
    ctx, _ = inquiries.ready(assembly, options)
    ctx.provider.connect()
    holder = ctx.provider.lock_holder()
    ctx.console.line(f"{ctx.app}: {holder or 'not locked'}", style.BOLD)
    if holder and options.yes:
        ctx.provider.unlock()
    elif holder:
        ctx.console.line("If that deploy is dead, `ci-deploy unlock --yes` releases its lock.")
    return 0


def tag(assembly: Assembly, options: argparse.Namespace) -> int:  # noqa: ARG001
    """The default DEPLOY_TAG, for the job that builds the image."""
    sys.stdout.write(f"{deploy_tag(assembly)}\n")
    return 0


def deploy_tag(assembly: Assembly) -> str:
    """`<build number>_<first seven of the sha>`. Raises SettingsError when there is no number."""
    facts = assembly.ci.context
    tag = next(each for each in every_setting(assembly.classes) if each.name == "DEPLOY_TAG")
    if given := assembly.source.find(tag):
        try:
            return str(tag.convert(given.text))
        except ValueError as error:
            raise SettingsError(Problem(tag.name, str(error), given.origin)) from None
    if not (facts.build and facts.revision):
        reason = "this CI gives no build number and revision to make one of."
        raise SettingsError(Problem("DEPLOY_TAG", reason, "", "Set it."))
    return f"{facts.build}_{facts.revision[:7]}"


def version(assembly: Assembly, options: argparse.Namespace) -> int:
    """This tool's version and those of the programs that it calls."""
    sys.stdout.write(f"ci-deploy {__version__}\n")
    if not options.short:
        for name, found in tool_versions(assembly.bare_context()).items():
            sys.stdout.write(f"{name} {found}\n")
    return 0


class CommandSpec(NamedTuple):
    """A command of the command line: what it does, and the options and words that it takes."""

    act: Callable[[Assembly, argparse.Namespace], int]
    help: str
    options: tuple[str, ...] = ()
    word: str = ""  # as help shows it
    words: str = "?"  # how many words: `?` at most one, `*` any number


COMMANDS = {
    "deploy": CommandSpec(deployment, "deploy the revision to the app of this environment"),
    "plan": CommandSpec(
        plan,
        "say what a deploy (or `plan rollback` …) would change",
        options=("--json",),
        word="COMMAND",
    ),
    "rollback": CommandSpec(
        deployment,
        "return to the previous (or the given) revision, verified",
        options=("--migrations",),
        word="REVISION",
    ),
    "review": CommandSpec(
        deployment,
        "create or update this branch's review app, deploy to it",
        options=("--adopt", "--yes"),
    ),
    "destroy": CommandSpec(
        deployment,
        "remove this branch's review app and its services",
        options=("--stale", "--adopt", "--yes"),
    ),
    "promote": CommandSpec(deployment, "bring what the source app runs to the next app, verified"),
    "doctor": CommandSpec(
        doctor, "check settings, key, host, access, tools; changes nothing", options=("--json",)
    ),
    "run": CommandSpec(
        run, "run a one-off command in the app: ci-deploy run -- CMD…", word="CMD", words="*"
    ),
    "unlock": CommandSpec(
        unlock, "show who holds the deploy lock; release it with --yes", options=("--yes",)
    ),
    "tag": CommandSpec(tag, "print the default DEPLOY_TAG, for the job that builds the image"),
    "history": CommandSpec(
        inquiries.history, "what was live when, from which pipeline", options=("--json",)
    ),
    "status": CommandSpec(
        inquiries.status, "what runs, since when, by whom, how it is", options=("--json",)
    ),
    "logs": CommandSpec(
        inquiries.logs,
        "what the app, or one service of it, has written",
        options=("--follow", "--lines"),
        word="SERVICE",
    ),
    "version": CommandSpec(
        version, "print the versions of this tool and of what it calls", options=("--short",)
    ),
}
