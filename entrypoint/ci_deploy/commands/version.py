"""The command `version`: the versions of ci-deploy and of the programs that it calls."""

from __future__ import annotations

import argparse

from ci_deploy import __version__
from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.shared import answer
from ci_deploy.errors import DeployError
from ci_deploy.process.program import Command
from ci_deploy.run.context import Context

TOOLS = {
    "git": ["git", "--version"],
    "ssh": ["ssh", "-V"],
    "sentry-cli": ["sentry-cli", "--version"],
    "heroku": ["heroku", "--version"],
}
TOOL_OF = {"heroku": "heroku", "sentry": "sentry-cli"}  # layer → its program


def tool_versions(ctx: Context) -> dict[str, str]:
    """{name: version} of all programs in TOOLS; the version is `unknown` if the program prints
    none, and `not installed` if it is not in PATH."""
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
        words = next(iter((result.text or result.errors).splitlines()), "").split()
        known = [word for word in words if any(map(str.isdigit, word))]
        versions[name] = known[0].rstrip(",") if known else "unknown"
    return versions


def version(assembly: Assembly, options: argparse.Namespace) -> int:
    """Print to stdout the version of ci-deploy and, without --short, those of the programs that it
    calls. Returns 0."""
    answer(f"ci-deploy {__version__}\n")
    if not options.short:
        for name, found in tool_versions(assembly.bare_context()).items():
            answer(f"{name} {found}\n")
    return 0
