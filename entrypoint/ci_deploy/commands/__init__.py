"""The commands of the contract; each is in a module of its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

from ci_deploy.commands import (
    backups,
    doctor,
    events,
    history,
    init,
    logs,
    run,
    status,
    tag,
    unlock,
    version,
)
from ci_deploy.commands.assembly import Assembly
from ci_deploy.commands.options import INIT

# All but their output goes to stderr.
FOR_PROGRAMS = {"run", "version", "tag", "history", "status", "logs", "backups"}


class CommandSpec(NamedTuple):
    """A command of the command line: what it does, and the options and words that it takes."""

    act: Callable[[Assembly, argparse.Namespace], int]
    help: str
    options: tuple[str, ...] = ()
    word: str = ""  # as help shows it
    words: str = "?"  # how many words: `?` at most one, `*` any number


COMMANDS = {
    "deploy": CommandSpec(events.deployment, "deploy the revision to the app of this environment"),
    "plan": CommandSpec(
        events.plan,
        "say what a deploy (or `plan rollback` …) would change",
        options=("--json",),
        word="COMMAND",
    ),
    "rollback": CommandSpec(
        events.deployment,
        "return to the previous (or the given) revision, verified",
        options=("--migrations",),
        word="REVISION",
    ),
    "review": CommandSpec(
        events.deployment,
        "create or update this branch's review app, deploy to it",
        options=("--adopt", "--yes"),
    ),
    "destroy": CommandSpec(
        events.deployment,
        "remove this branch's review app and its services",
        options=("--stale", "--adopt", "--yes"),
    ),
    "promote": CommandSpec(
        events.deployment, "bring what the source app runs to the next app, verified"
    ),
    "init": CommandSpec(
        init.init,
        "write the pipeline file, say which secrets it needs in which form",
        options=("--yes", *INIT),
    ),
    "doctor": CommandSpec(
        doctor.doctor,
        "check settings, key, host, access, tools; changes nothing",
        options=("--json",),
    ),
    "run": CommandSpec(
        run.run, "run a one-off command in the app: ci-deploy run -- CMD…", word="CMD", words="*"
    ),
    "unlock": CommandSpec(
        unlock.unlock, "show who holds the deploy lock; release it with --yes", options=("--yes",)
    ),
    "tag": CommandSpec(tag.tag, "print the default DEPLOY_TAG, for the job that builds the image"),
    "history": CommandSpec(
        history.history, "what was live when, from which pipeline", options=("--json",)
    ),
    "status": CommandSpec(
        status.status, "what runs, since when, by whom, how it is", options=("--json",)
    ),
    "logs": CommandSpec(
        logs.logs,
        "what the app, or one service of it, has written",
        options=("--follow", "--lines"),
        word="SERVICE",
    ),
    "backups": CommandSpec(
        backups.backups, "own hosts: dumps made before migrations", options=("--json",)
    ),
    "restore": CommandSpec(
        backups.restore,
        "own hosts: bring a dump back, with the app stopped; needs --yes",
        options=("--yes",),
        word="NAME",
    ),
    "version": CommandSpec(
        version.version,
        "print the versions of this tool and of what it calls",
        options=("--short",),
    ),
}
