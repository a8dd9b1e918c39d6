"""What was called: two lines in `calls.jsonl` for each remote command, its start and its end; and
in `deploys.jsonl` how long each deploy took, for measurements that leave builds out."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .state import locked

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One remote command; `exit` is None while it runs, or when it never came to its end."""

    id: str
    time: float
    connection: int
    key: str
    raw: str
    argv: list[str]
    exit: int | None = None
    seconds: float | None = None
    unknown: bool = False


def begin(root: Path, key: str, raw: str, argv: list[str]) -> str:
    """Note that a command starts."""
    identity = f"{os.getpid()}.{time.monotonic_ns()}"
    connection = os.environ.get("SSH_CONNECTION", "").split()
    _append(
        root,
        id=identity,
        time=time.time(),
        connection=int(connection[1]) if connection else 0,
        key=key,
        raw=raw,
        argv=argv,
    )
    return identity


def end(root: Path, identity: str, code: int, seconds: float, *, unknown: bool) -> None:
    """Note how a command ended."""
    _append(root, id=identity, exit=code, seconds=round(seconds, 4), unknown=unknown)


def read(root: Path, since: int = 0) -> list[Call]:
    """Return the commands so far, in the order in which they started; with `since` those that were
    noted after so many bytes (`size`)."""
    path = root / "calls.jsonl"
    if not path.exists():
        return []
    found: dict[str, dict[str, Any]] = {}
    with path.open("rb") as file:
        file.seek(since)
        lines = file.read().splitlines()
    for note in map(json.loads, lines):
        if "raw" in note:
            found[note["id"]] = note
        elif note["id"] in found:
            found[note["id"]].update(note)
    return [Call(**note) for note in found.values()]


def size(root: Path) -> int:
    """Return how many bytes were noted so far."""
    path = root / "calls.jsonl"
    return path.stat().st_size if path.exists() else 0


def deployed(root: Path, app: str, seconds: float) -> None:
    """Note how long a deploy took: the build and all that Dokku does with it."""
    _append(root, "deploys.jsonl", app=app, seconds=seconds)


def deploys(root: Path, app: str) -> list[float]:
    """How long (seconds) each deploy of an app took."""
    notes = map(json.loads, (root / "deploys.jsonl").read_text(encoding="utf-8").splitlines())
    return [note["seconds"] for note in notes if note["app"] == app]


def _append(root: Path, name: str = "calls.jsonl", /, **note: object) -> None:
    path = root / name
    with locked(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(note)}\n")
