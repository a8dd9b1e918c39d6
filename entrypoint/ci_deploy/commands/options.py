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
        "help": "take an app that ci-deploy did not create as the review app",
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
        "help": "the last N lines of each process, on Heroku of all together (default: 100)",
    },
    "--migrations": {
        "type": number,
        "metavar": "N",
        "help": "undo the last N migrations before the rollback",
    },
}
INIT: dict[str, dict[str, Any]] = {
    "--ci": {
        "choices": ("gitlab", "github", "circleci"),
        "help": "the CI platform (default: detected from the git remote and files)",
    },
    "--provider": {"metavar": "NAME", "help": "the platform: dokku, heroku, compose or swarm"},
    "--host": {
        "metavar": "[USER@]HOST",
        "help": "the Dokku server, the Docker hosts, or a manager of the swarm",
    },
    "--app": {"metavar": "NAME", "help": "the name of the app on the provider"},
    "--environments": {
        "metavar": "NAMES",
        "help": "like `staging production`; of several, the last is deployed manually or by a tag",
    },
    "--review": {
        "action": BooleanOptionalAction,
        "help": "a review app for each branch or merge request",
    },
    "--folder": {"metavar": "DIR", "help": "the app's directory in the repository"},
    "--compose": {"metavar": "FILES", "help": "the compose files, relative to that directory"},
    "--print": {"action": "store_true", "help": "print the file instead of writing it"},
    "--force": {"action": "store_true", "help": "replace an existing file"},
}
OPTIONS |= INIT
YES = {  # the help of --yes for commands for which it means something else
    "init": "accept what was detected, without asking",
    "review": "with --adopt: adopt the app; without this option it is only shown",
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
    """The keyword arguments of argparse's `add_argument` for `option` of `command`; the help of
    --yes depends on the command."""
    found = OPTIONS[option]
    return {**found, "help": YES[command]} if option == "--yes" and command in YES else found
