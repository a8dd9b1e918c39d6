"""Tasks: what a run has yet to do, so that the next run can finish it after an interruption.

The provider stores them on the server, as JSON with keys. Code decides by the keys; only this
module has their texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from ci_deploy.settings.lines import from_json

VERSION = 1  # of the JSON format


class Key(StrEnum):
    """The keys of the tasks of ci-deploy's own layers; a layer of another package has its own."""

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
    RESTORE = "finish-restore"  # kept separately, since there may be no deploy
    UNREADABLE = "unreadable"  # a task that cannot be parsed
    NEWER = "newer"  # tasks in the format of a newer version, which `text` keeps


WORDS = {
    Key.MIGRATE: "run the migrations",
    Key.PREPARE: "prepare the database",
    Key.SEED: "load the seeds",
    Key.UNDONE: "run the migrations that were undone for a rollback",
    Key.COMMAND: "run POST_DEPLOY_COMMAND",
    Key.WORKERS: "restart the workers, which take no new jobs",
    Key.MAINTENANCE: "switch maintenance mode off",
    Key.SETUP: "set up the review app",
    Key.HELD_BACK: "release a newer build, which is held back (still live: {revision})",
    Key.TOOK_OVER: "deploy again ({revision} runs, but Dokku records {recorded} as deployed)",
    Key.RESTORE: "finish the restore of {dump}",
    Key.UNREADABLE: "{text}",
    Key.NEWER: "what a newer ci-deploy has recorded: {text}",
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
    """One thing that a run has yet to do, like the migrations. Layers record it on the server
    before they begin (`Provider.remember`), and remove it when it is done; the next run finds what
    an interrupted one has left. A task equal to a recorded one is not recorded again."""

    key: str  # a `Key`, or one of another package
    text: str = ""  # for a key of another package its words; UNREADABLE, NEWER: what was stored
    revision: str = ""  # HELD_BACK, TOOK_OVER: the one that runs, with `containers` as proof
    containers: tuple[str, ...] = ()  # their ids, sorted
    recorded: str = ""  # TOOK_OVER: the revision that the server records meanwhile
    dump: str = ""  # RESTORE: the dump that is being restored into the database `service`
    service: str = ""
    stopped: tuple[str, ...] = ()  # RESTORE: `NAME=COUNT` of what has to be started again

    @property
    def words(self) -> str:
        """What is to be done, as a phrase like "run the migrations"; for an unknown key without
        `text` (of a newer version) only the key."""
        facts = self._asdict()
        for name in ("revision", "recorded"):
            facts[name] = facts[name][:7] or "nothing"
        words = WORDS.get(Key(self.key)) if self.key in set(Key) else self.text
        return words.format(**facts) if words else f"{self.key} (not known to this version)"


def in_words(tasks: Iterable[Task]) -> str:
    """The phrases of all tasks on one line, separated by `; `."""
    return "; ".join(task.words for task in tasks)


def dumped(tasks: Iterable[Task]) -> str:
    """The tasks as one line of JSON, which `loaded` parses; an empty text if there are none."""
    found = [{name: value for name, value in task._asdict().items() if value} for task in tasks]
    return json.dumps({"version": VERSION, "tasks": found}) if found else ""


def loaded(text: str) -> tuple[Task, ...]:
    """Parse what `dumped` of this or an earlier version has made; an empty text has no tasks. A
    text that cannot be parsed, or that a newer version has made, becomes one task (UNREADABLE,
    NEWER), so that it is kept and reported."""
    if not text.startswith("{"):
        return tuple(map(of_sentence, filter(None, text.split("; "))))
    try:
        found = from_json(text)
        if found["version"] != VERSION:
            return (Task(Key.NEWER, text),)
        return tuple(task for each in found["tasks"] for task in _tasks(each))
    except (ValueError, LookupError, TypeError, AttributeError):
        return (Task(Key.UNREADABLE, text),)


def _tasks(found: dict[str, Any]) -> tuple[Task, ...]:
    if found["key"] == Key.NEWER:  # an older version ran in between; this one may be new enough
        return loaded(str(found["text"]))
    task = Task(
        str(found["key"]),
        str(found.get("text", "")),
        str(found.get("revision", "")),
        tuple(map(str, found.get("containers", ()))),
        str(found.get("recorded", "")),
        str(found.get("dump", "")),
        str(found.get("service", "")),
        tuple(map(str, found.get("stopped", ()))),
    )
    return (task,)


def of_sentence(sentence: str) -> Task:
    """Parse a task in the form of earlier versions, a sentence; UNREADABLE for an unknown one."""
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
