"""The table of the commands; the module of a command is loaded when it runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from ci_deploy.commands.options import INIT

if TYPE_CHECKING:
    import argparse

    from ci_deploy.commands.assembly import Assembly


class CommandSpec(NamedTuple):
    """A command in the table COMMANDS: its function, its help, and the options and positional
    arguments that it takes."""

    action: str  # `module.function` in this folder, loaded when the command is run
    help: str
    options: tuple[str, ...] = ()  # of OPTIONS in options.py
    word: str = ""  # the positional argument's name in the help; empty: it takes none
    words: str = "?"  # how many positional arguments: `?` at most one, `*` any number
    piped: bool = False  # its output is for programs, so everything else goes to stderr

    def act(self, assembly: Assembly, options: argparse.Namespace) -> int:
        """Run the command with its parsed `options`; returns the exit code of the process. Raises
        DeployError, Cancelled."""
        module, _, function = self.action.partition(".")
        loaded = importlib.import_module(f"{__name__}.{module}")
        return int(getattr(loaded, function)(assembly, options))


COMMANDS = {
    "deploy": CommandSpec("flows.flow", "deploy the revision to the app of this environment"),
    "plan": CommandSpec(
        "flows.plan",
        "show what a deploy (or `plan rollback` …) would change",
        options=("--json",),
        word="COMMAND",
    ),
    "rollback": CommandSpec(
        "flows.flow",
        "roll back to the previous (or the given) revision",
        options=("--migrations",),
        word="REVISION",
    ),
    "review": CommandSpec(
        "flows.flow",
        "create or update this branch's review app, and deploy to it",
        options=("--adopt", "--yes"),
    ),
    "destroy": CommandSpec(
        "flows.flow",
        "remove this branch's review app and its services",
        options=("--stale", "--adopt", "--yes"),
    ),
    "promote": CommandSpec("flows.flow", "deploy to the app the release that the source app runs"),
    "init": CommandSpec(
        "init.init",
        "write the pipeline file, and list the secrets that it needs",
        options=("--yes", *INIT),
    ),
    "doctor": CommandSpec(
        "doctor.doctor",
        "check settings, key, host, access and tools (changes nothing)",
        options=("--json",),
    ),
    "run": CommandSpec(
        "run.run",
        "run a one-off command in the app: ci-deploy run -- CMD…",
        word="CMD",
        words="*",
        piped=True,
    ),
    "unlock": CommandSpec(
        "unlock.unlock", "show who holds the deploy lock; release it with --yes", options=("--yes",)
    ),
    "tag": CommandSpec(
        "tag.tag", "print DEPLOY_TAG or its default, for the job that builds the image", piped=True
    ),
    "history": CommandSpec(
        "history.history",
        "show what was live when, and from which pipeline",
        options=("--json",),
        piped=True,
    ),
    "status": CommandSpec(
        "status.status",
        "show the running release, its health, who deployed it when",
        options=("--json",),
        piped=True,
    ),
    "logs": CommandSpec(
        "logs.logs",
        "show the log of the app, or of one process or service",
        options=("--follow", "--lines"),
        word="SERVICE",
        piped=True,
    ),
    "backups": CommandSpec(
        "backups.backups",
        "list database dumps (own hosts) or Heroku's backups",
        options=("--json",),
        piped=True,
    ),
    "restore": CommandSpec(
        "backups.restore",
        "stop the app and restore a dump (own hosts); needs --yes",
        options=("--yes",),
        word="NAME",
    ),
    "version": CommandSpec(
        "version.version",
        "print the versions of ci-deploy and the programs it calls",
        options=("--short",),
        piped=True,
    ),
}
