"""What runs although Dokku records another revision: noted on the app, with its containers.

Dokku records what it has built. So a build that is held back (`MIGRATE=before`) counts as deployed,
and one that took over before a later task has failed does not. The containers are the proof: as
long as they are the same, so is the code in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHA = r"([0-9a-f]{40}|nothing)"
_BUILT_OVER = re.compile(rf"built over {_SHA} in (\S+)")
_TOOK_OVER = re.compile(rf"{_SHA} took over in (\S+), recorded is {_SHA}")


def built_over(live: str, containers: Iterable[str]) -> str:
    """A note: a newer build is on the server, and `containers` still run `live`."""
    return f"built over {live or 'nothing'} in {_ids(containers)}"


def took_over(revision: str, containers: Iterable[str], recorded: str) -> str:
    """`revision` runs, but its deploy has failed, and Dokku goes on recording another."""
    return f"{revision} took over in {_ids(containers)}, recorded is {recorded or 'nothing'}"


def is_held_back(noted: Iterable[str]) -> bool:
    """Whether it is this tool that holds the app back."""
    return any(map(_BUILT_OVER.fullmatch, noted))


def about_what_runs(noted: Iterable[str]) -> list[str]:
    """Those of the notes that are of this kind."""
    return [each for each in noted if _BUILT_OVER.fullmatch(each) or _TOOK_OVER.fullmatch(each)]


def running(note: str, recorded: str, containers: Iterable[str]) -> str:
    """The revision that runs; empty when that cannot be known."""
    there = _ids(containers)
    if (found := _BUILT_OVER.search(note)) and _same(found[2], there):
        return found[1].removeprefix("nothing")
    if found := _TOOK_OVER.search(note):
        if _same(found[2], there):
            return found[1]
        if recorded == found[3].removeprefix("nothing"):
            return ""  # restarted since, or rebuilt: that makes a difference, and is not recorded
    return recorded


def _ids(containers: Iterable[str]) -> str:
    return "+".join(sorted(containers)) or "none"


def _same(noted: str, there: str) -> bool:
    return bool(set(noted.split("+")) & set(there.split("+")))
