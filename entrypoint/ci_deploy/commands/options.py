"""The options of the command line; commands/__init__.py defines which command takes which."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from typing import Any

from ci_deploy.settings.parsers import number

OPTIONS: dict[str, dict[str, Any]] = {
    "--short": {"action": "store_true", "help": "print only the version of ci-deploy"},
    "--yes": {
        "action": "store_true",
        "help": "make the change; without this option it is only shown",
    },
    "--adopt": {
        "action": "store_true",
        "help": "adopt an existing app that ci-deploy did not create",
    },
    "--stale": {
        "type": number,
        "metavar": "DAYS",
        "help": "list the review apps not deployed for DAYS days; with --yes, remove them",
    },
    "--json": {"action": "store_true", "help": "print JSON, for programs"},
    "--follow": {"action": "store_true", "help": "keep printing new lines until stopped"},
    "--lines": {
        "type": number,
        "metavar": "N",
        "help": "the last N lines of each process (default: 100)",
    },
    "--migrations": {
        "type": number,
        "metavar": "N",
        "help": "undo the last N migrations first",
    },
}
INIT: dict[str, dict[str, Any]] = {
    "--ci": {
        "choices": ("gitlab", "github", "circleci"),
        "help": "the CI platform (default: detected from the git remote)",
    },
    "--provider": {"metavar": "NAME", "help": "dokku, heroku, compose or swarm"},
    "--host": {"metavar": "[USER@]HOST", "help": "the Dokku server or the Docker host"},
    "--app": {"metavar": "NAME", "help": "the name of the app on the provider"},
    "--environments": {
        "metavar": "NAMES",
        "help": "like `staging production`; the last is deployed manually",
    },
    "--review": {"action": BooleanOptionalAction, "help": "a review app for each change"},
    "--folder": {"metavar": "DIR", "help": "the app's directory, if there are several apps"},
    "--compose": {"metavar": "FILES", "help": "the compose file, if there are several"},
    "--print": {"action": "store_true", "help": "print the file instead of writing it"},
    "--force": {"action": "store_true", "help": "replace an existing file"},
}
OPTIONS |= INIT
YES = {  # the help of --yes for commands for which it means something else
    "init": "accept what was detected, without asking",
    "review": "with --adopt: make the change; without this option it is only shown",
    "destroy": "with --stale or --adopt: make the change; without this option it is only shown",
}
DEFAULTS: dict[str, Any] = {
    "short": False,
    "yes": False,
    "adopt": False,
    "stale": None,
    "migrations": 0,
    "json": False,
    "follow": False,
    "lines": 100,
    "words": [],
    "print": False,
    "force": False,
}


def described(option: str, command: str) -> dict[str, Any]:
    """The arguments of argparse's `add_argument` for `option`, with its help for this command."""
    found = OPTIONS[option]
    return {**found, "help": YES[command]} if option == "--yes" and command in YES else found
