"""Tasks on the app that record what runs, with its containers, if Dokku records another revision.

Dokku records what it has built. So a build that is held back (`MIGRATE=before`) counts as deployed,
and one that took over before a later task failed does not. The containers are the proof: as long as
they are the same, so is the code in them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ci_deploy.run.tasks import Key, Task


def built_over(live: str, containers: Iterable[str]) -> Task:
    """The task (HELD_BACK) for a newer build on the server while `containers` (ids) still run the
    revision `live`."""
    return Task(Key.HELD_BACK, revision=live, containers=tuple(sorted(containers)))


def took_over(revision: str, containers: Iterable[str], recorded: str) -> Task:
    """The task (TOOK_OVER) for a `revision` that runs in `containers` (ids) although its deploy
    failed and Dokku still records `recorded`."""
    return Task(Key.TOOK_OVER, "", revision, tuple(sorted(containers)), recorded)


def is_held_back(noted: Iterable[Task]) -> bool:
    """Whether one of the tasks `noted` says that a build is held back (HELD_BACK)."""
    return any(task.key == Key.HELD_BACK for task in noted)


def about_what_runs(noted: Iterable[Task]) -> list[Task]:
    """Those of the tasks `noted` that record what runs (HELD_BACK, TOOK_OVER)."""
    return [task for task in noted if task.key in {Key.HELD_BACK, Key.TOOK_OVER}]


def running(noted: Iterable[Task], recorded: str, containers: Collection[str]) -> str:
    """The revision that runs in `containers` (ids), by the tasks `noted`, else `recorded`, which
    Dokku records; empty when unknown."""
    known = {task.key: task for task in noted}
    if (held := known.get(Key.HELD_BACK)) and _same(held, containers):
        return held.revision
    if took := known.get(Key.TOOK_OVER):
        if _same(took, containers):
            return took.revision
        if recorded == took.recorded:
            return ""  # restarted or rebuilt since; which of them is not recorded
    return recorded


def _same(task: Task, containers: Collection[str]) -> bool:
    return bool(set(task.containers) & set(containers)) or not (task.containers or containers)
