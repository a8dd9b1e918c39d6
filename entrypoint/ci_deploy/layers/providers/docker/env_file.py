"""The env file of a release, in the one form that Compose reads back byte by byte.

Compose expands `$…` in values, and its quotes are not a shell's. A double-quoted value with these
five escapes is read back unchanged (measured with Compose 2.26).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"}


def env_file(values: Mapping[str, str]) -> str:
    """The text of an env file with these variables (name → value), one line each."""
    return "".join(f'{name}="{_escaped(value)}"\n' for name, value in values.items())


def _escaped(value: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in value)


def unusable(values: Mapping[str, str]) -> Iterable[str]:
    """The names of variables that Compose cannot set, since their values contain a NUL byte. (The
    names were checked when APP_CONFIG was parsed.)"""
    return [name for name, value in values.items() if "\0" in value]
