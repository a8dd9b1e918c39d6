"""What a run that was interrupted owes: tasks, kept on the provider's side for the next run.

They are kept as keys, and every decision is made on these; only here they become words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from ci_deploy.settings.lines import from_json

VERSION = 1  # of what is kept


class Key(StrEnum):
    """The tasks of our own layers; a layer of another package has keys of its own."""

    MIGRATE = "migrate"
    PREPARE = "prepare-database"
    SEED = "load-seeds"
    UNDONE = "migrations-undone"
    COMMAND = "post-deploy-command"
    WORKERS = "restart-workers"
    MAINTENANCE = "end-maintenance"
    SETUP = "set-up-review-app"
    HELD_BACK = "held-back"
    TOOK_OVER = "took-over"
    RESTORE = "finish-restore"  # has a note of its own: it is kept without a deploy
    UNREADABLE = "unreadable"  # whoever has written it


WORDS = {
    Key.MIGRATE: "run the migrations",
    Key.PREPARE: "prepare the database",
    Key.SEED: "load the seeds",
    Key.UNDONE: "run the migrations that were undone for a rollback",
    Key.COMMAND: "run POST_DEPLOY_COMMAND",
    Key.WORKERS: "restart the workers, which take no new jobs",
    Key.MAINTENANCE: "switch maintenance mode off",
    Key.SETUP: "set up the review app",
    Key.HELD_BACK: "release a newer build, which is held back ({revision} still runs)",
    Key.TOOK_OVER: "deploy again ({revision} runs, Dokku records {recorded})",
    Key.RESTORE: "finish the restore of {dump}",
    Key.UNREADABLE: "{text}",
}
# Earlier versions kept sentences, with `; ` between them.
_SENTENCES = {
    "migrations are to be run": Key.MIGRATE,
    "the database is to be prepared": Key.PREPARE,
    "seeds are to be loaded": Key.SEED,
    "migrations were undone for a rollback": Key.UNDONE,
    "POST_DEPLOY_COMMAND is to be run": Key.COMMAND,
    "workers are quiet": Key.WORKERS,
    "maintenance mode is on": Key.MAINTENANCE,
    "the review app is being set up": Key.SETUP,
}
_SHA = r"([0-9a-f]{40}|nothing)"
_BUILT_OVER = re.compile(rf"built over {_SHA} in (\S+)")
_TOOK_OVER = re.compile(rf"{_SHA} took over in (\S+), recorded is {_SHA}")


class Task(NamedTuple):
    """One task; equal ones are the same task."""

    key: str  # a `Key`, or one of another package
    text: str = ""  # in words, where the key is none of ours
    revision: str = ""  # that runs, with `containers` as proof
    containers: tuple[str, ...] = ()  # ids, sorted
    recorded: str = ""  # the revision that the server records meanwhile
    dump: str = ""  # that is brought back into the database `service`
    service: str = ""
    stopped: tuple[str, ...] = ()  # `NAME=COUNT` of what has to start again

    @property
    def words(self) -> str:
        """What is to be done, for people; a task of a newer version has no words here."""
        facts = self._asdict()
        for name in ("revision", "recorded"):
            facts[name] = facts[name][:7] or "nothing"
        words = WORDS.get(Key(self.key)) if self.key in set(Key) else self.text
        return words.format(**facts) if words else f"{self.key} (not known to this version)"


def in_words(tasks: Iterable[Task]) -> str:
    """All of them in one line."""
    return "; ".join(task.words for task in tasks)


def dumped(tasks: Iterable[Task]) -> str:
    """One line of JSON; empty for no task."""
    found = [{name: value for name, value in task._asdict().items() if value} for task in tasks]
    return json.dumps({"version": VERSION, "tasks": found}) if found else ""


def loaded(text: str) -> tuple[Task, ...]:
    """What `dumped` has made, or an earlier version. What cannot be read is a task too: somebody
    has to look at it."""
    if not text.startswith("{"):
        return tuple(map(of_sentence, filter(None, text.split("; "))))
    try:
        return tuple(_task(each) for each in from_json(text)["tasks"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return (Task(Key.UNREADABLE, text),)


def _task(found: dict[str, Any]) -> Task:
    return Task(
        str(found["key"]),
        str(found.get("text", "")),
        str(found.get("revision", "")),
        tuple(map(str, found.get("containers", ()))),
        str(found.get("recorded", "")),
        str(found.get("dump", "")),
        str(found.get("service", "")),
        tuple(map(str, found.get("stopped", ()))),
    )


def of_sentence(sentence: str) -> Task:
    """A task as earlier versions kept it."""
    if key := _SENTENCES.get(sentence):
        return Task(key)
    if found := _BUILT_OVER.fullmatch(sentence):
        return Task(Key.HELD_BACK, "", _revision(found[1]), _ids(found[2]))
    if found := _TOOK_OVER.fullmatch(sentence):
        revision, containers, recorded = found.groups()
        return Task(Key.TOOK_OVER, "", _revision(revision), _ids(containers), _revision(recorded))
    return Task(Key.UNREADABLE, sentence)


def _revision(text: str) -> str:
    return text.removeprefix("nothing")


def _ids(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(sorted(text.split("+")))
