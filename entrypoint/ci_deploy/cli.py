"""The command line (`run`): parses it, runs the command, and reports the errors that the command
raises. `Deployment.run` reports its own errors and returns the exit code."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import select
import shlex
import shutil
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ci_deploy import __version__, ci, commands
from ci_deploy.ci.local import Local
from ci_deploy.commands.options import DEFAULTS, described
from ci_deploy.commands.published import GITHUB
from ci_deploy.errors import DOCS, Ending, SettingsError, UsageError
from ci_deploy.output.redaction import Redactor
from ci_deploy.process import limits, threads
from ci_deploy.process.cancellation import Cancellation, Phases
from ci_deploy.report import console as style
from ci_deploy.report.console import Console
from ci_deploy.report.outputs import Report
from ci_deploy.run.events import FLOWS
from ci_deploy.settings import environ
from ci_deploy.settings.parsers import suggestion

BUGS = f"https://github.com/{GITHUB}/issues"
TRACED = (
    "CI_DEBUG_TRACE is on: the runner itself prints every variable, File variables too, before "
    "ci-deploy can hide them. Unset it, delete this job's log and replace the secrets."
)


TIME_IS_OVER = (
    b"Cancelled, but the clean-up did not end in time. `ci-deploy status` shows what is live.\n"
)


class _Parser(argparse.ArgumentParser):
    """Raises UsageError (exit code 2) for bad arguments instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}.")


def run(argv: Sequence[str]) -> int:
    """Run the command of the arguments `argv` from start to end; returns the exit code of the
    process. Without arguments: on GitHub that of the input `command` (default `deploy`), elsewhere
    `--help`. Errors are reported, not raised, and bugs too (exit code 1)."""
    given = environ()
    platform = ci.detect(given)
    redactor = Redactor()
    asked = list(argv) or _asked_by_input(given, inputs=platform.inputs)
    threads.limit_stacks()
    console = _console(platform, redactor, asked, plain=bool(given.get("NO_COLOR")))
    cancellation = Cancellation()
    cancellation.install(lambda code: _last_moment(code, cancellation.private))
    with contextlib.ExitStack() as cleanup:
        try:
            options = _parse(asked)
            from ci_deploy.commands.assembly import Assembly  # half of all that is imported

            assembly = Assembly(given, platform, console, redactor, cancellation, cleanup)
            if assembly.source.text("DEPLOY_LOG_LEVEL") == "debug":
                console.show_debug()
            gc.freeze()  # everything is imported by now, and stays
            gc.enable()
            console.mask()
            if platform.context.traced:
                console.warning(TRACED)
            return commands.COMMANDS[options.command].act(assembly, options)
        except SystemExit as end:  # --help
            return int(end.code or 0)
        except Ending as error:
            return _end_early(platform, console, error)
        except Exception as error:  # noqa: BLE001 - a bug: say so, redacted, with exit code 1
            if isinstance(known := limits.named(error), Ending):
                return _end_early(platform, console, known)
            console.line("".join(traceback.format_exception(error)), style.DIM)
            console.line(f"This is a bug in ci-deploy: {error!r}", style.RED)
            console.line(f"Please report it, with the lines above: {BUGS}", style.RED)
            return 1


def _asked_by_input(given: Mapping[str, str], *, inputs: bool) -> list[str]:
    """The command and its arguments from the input `command`, since on GitHub the image gets none;
    `--help` on platforms without inputs."""
    if not inputs:
        return ["--help"]
    command = given.get("INPUT_COMMAND") or "deploy"
    try:
        return shlex.split(command)
    except ValueError:  # an unclosed quote: there is no such command
        return [command]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command and its options. Raises UsageError; SystemExit for help and version."""
    name, *rest = argv or ["--help"]
    if name.startswith("-"):
        _top().parse_known_args([name, *rest])
        raise UsageError(f"the command comes first: `ci-deploy COMMAND {name}`.")
    if name not in commands.COMMANDS:
        near = suggestion(name, commands.COMMANDS) or "`ci-deploy --help` lists the commands."
        raise UsageError(f"there is no command `{name}`. {near}")
    target = next((word for word in rest if not word.startswith("-")), "")
    if name == "plan" and target in FLOWS:
        rest.remove(target)
        return _parse_one(target, rest, command="plan")
    return _parse_one(name, rest, command=name)


def _top() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10}{each.help}" for name, each in commands.COMMANDS.items())
    parser = _Parser(
        prog="ci-deploy",
        description=f"ci-deploy {__version__}\n\ncommands:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="ci-deploy COMMAND [OPTION…]",
        epilog="`ci-deploy COMMAND --help` lists a command's options. "
        f"Settings are environment variables (on GitHub also inputs): {DOCS}settings.md",
    )
    parser.add_argument("--version", action="version", version=f"ci-deploy {__version__}")
    return parser


def _parse_one(name: str, rest: Sequence[str], *, command: str) -> argparse.Namespace:
    """Parse the options of the command `name`. `command` is `name`, or `plan`, which takes the
    options of the command that it plans."""
    spec = commands.COMMANDS[name]
    prog = " ".join(dict.fromkeys(("ci-deploy", command, name)))
    parser = _Parser(prog=prog, description=f"{spec.help}.", allow_abbrev=False)
    parser.set_defaults(**DEFAULTS)
    for option in dict.fromkeys((*spec.options, *commands.COMMANDS[command].options)):
        parser.add_argument(option, **described(option, name))
    if spec.word:
        parser.add_argument("words", nargs=spec.words, metavar=spec.word, default=[])
    end = rest.index("--") if "--" in rest else len(rest)
    options, unknown = parser.parse_known_args(list(rest[:end]))
    options.words = [options.words] if isinstance(options.words, str) else options.words or []
    options.after = list(rest[end + 1 :])
    too_many = unknown or (end < len(rest) and (spec.words != "*" or options.words) and ["--"])
    if too_many:
        hint = " The command to run comes after `--`." if spec.words == "*" else ""
        raise UsageError(f"`{command}` does not take `{too_many[0]}`.{hint}")
    options.command, options.target = command, name
    return options


def _console(platform: ci.CI, redactor: Redactor, argv: Sequence[str], *, plain: bool) -> Console:
    """Make the console. It writes to stderr when the command's output on stdout is for programs."""
    fd = (
        2
        if {"--json", "--print"} & {*argv}
        or any(commands.COMMANDS[name].piped for name in argv[:1] if name in commands.COMMANDS)
        else 1
    )
    colour = (platform.colour or os.isatty(fd)) and not plain
    return Console(platform, redactor, fd=fd, colour=colour, debug=platform.context.debug)


def _end_early(platform: ci.CI, console: Console, error: Ending) -> int:
    """Report an error that a command has raised; returns the exit code. A SettingsError is raised
    by checks, before the first change."""
    message, hint = console.message(error.message), console.message(error.hint)
    console.line(f"✗ {message}", style.RED)
    if error.lines and not error.shown:
        console.indent("\n".join(error.lines))
    if hint:
        console.indent(hint)
    if isinstance(error, SettingsError) and not isinstance(error, UsageError):
        console.indent("Nothing was changed.")
    console.annotate("error", "ci-deploy", f"{message}\n{hint}".strip())
    report = Report(command="", status=error.status, exit_code=error.code, finished=True)
    report.message, report.hint = message, hint
    if isinstance(error, UsageError) and platform.name == Local.name:
        return error.code  # nobody needs a report of that, and it would stay in the checkout
    with contextlib.suppress(OSError):
        platform.write(report)
    return error.code


def _last_moment(code: int, private: Sequence[Path]) -> None:
    """Start a timer that ends the process Phases.GONE seconds after a cancel, whatever hangs."""

    def end() -> None:
        time.sleep(Phases.GONE)
        _end_at_once(code, private)

    with contextlib.suppress(OSError, RuntimeError):  # no memory for it: the clean-up goes on
        threads.start(end)


def _end_at_once(code: int, private: Sequence[Path]) -> None:
    """Remove the private directories and end the process."""
    for folder in private:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        if select.select([], [2], [], 0)[1]:  # a log that nobody reads must not block us
            os.write(2, TIME_IS_OVER)
    os._exit(code)
