"""Keeps the lines of a server's output that decide what happened: a build log may have millions."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

WHOLE = 2**20  # the first characters, which are all kept
LATER = 8  # the last lines that match each pattern, kept of everything after that


class Excerpt(Sequence[str]):
    """The lines that are kept of one output, as a sequence: the first WHOLE characters, then for
    each of `patterns` the last LATER lines that match it. So the later lines are ordered by
    pattern, and one that matches two patterns is in it twice."""

    def __init__(self, patterns: Iterable[re.Pattern[str]]) -> None:
        self._patterns = tuple(patterns)
        self.clear()

    def clear(self) -> None:
        """Remove all lines, so that the same object can take another output."""
        self._first: list[str] = []
        self._left = WHOLE
        self._later: list[deque[str]] = [deque(maxlen=LATER) for _ in self._patterns]

    def take(self, line: str) -> None:
        """Add the next line of the output (without its newline), if it is one to keep."""
        if self._left > 0:
            self._left -= len(line) + 1
            self._first.append(line)
            return
        for pattern, kept in zip(self._patterns, self._later, strict=True):
            if pattern.search(line):
                kept.append(line)

    def _all(self) -> list[str]:
        return [*self._first, *(line for kept in self._later for line in kept)]

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._first) + sum(map(len, self._later))

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._all())
