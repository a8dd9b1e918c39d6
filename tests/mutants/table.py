"""The breakages: `mutants.toml`, in which each says what it breaks and which tests must notice."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("mutants.toml")


class Mutant(NamedTuple):
    """A piece of one file, what it becomes, and the tests (arguments of pytest) that must fail.

    `kind` is the promise, fault or provider that it breaks; with `hangs` its tests never end."""

    name: str
    kind: str
    file: str
    old: str
    new: str
    tests: list[str]
    hangs: bool = False


def load() -> list[Mutant]:
    """All of them. Raises TypeError for an entry that lacks something."""
    package = "entrypoint/ci_deploy/"
    return [
        Mutant(**{**entry, "file": package + entry["file"], "tests": entry["tests"].split()})
        for entry in tomllib.loads(TABLE.read_text())["mutant"]
    ]
