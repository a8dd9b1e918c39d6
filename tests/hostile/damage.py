"""Texts that are damaged at random."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

NASTY = (
    "\0", "\n", "\r", "\x1b[2J", "\udcff", "\u202e", "\u2028", "🚀", "é", "$(id)", "`id`",
    "'", '"', "\\", "%00", "..", "../", "-", "--", "=", ":", "@", "[", "]", "{", "}", "null",
    "1e999", "-1", "9" * 5000, "[" * 5000, '{"a":' * 5000, "A" * 70_000, "true", "${HOME}",
    "::set-output name=a::b",
)  # fmt: skip
# In JSON, in the place of anything.
ODD = (
    "null", "true", "0", "-1", "1.5", "1e400", '""', '"x"', "[]", "{}", "[[]]", "[null]",
    '{"a": {}}', '{"a": null}', '"\\u001b[2J"', '"::set-output name=a::b"', "9" * 4000,
)  # fmt: skip


def damaged(text: str, choose: random.Random) -> str:
    """The text with some of it cut, doubled, exchanged, and something nasty in it; half of the JSON
    stays JSON, of other types."""
    if text[:1] in "{[" and choose.random() < 0.5:
        return retyped(text, choose)
    for _ in range(choose.randint(1, 4)):
        at, to = sorted(choose.choices(range(len(text) + 1), k=2))
        what = choose.randrange(6)
        if what == 0:
            text = text[:at] + text[to:]
        elif what == 1:
            text = text[:to] + text[at:]
        elif what == 2:
            text = text[:at]
        elif what == 3:
            text = text[:at] + chr(choose.randrange(0xD7FF)) + text[at + 1 :]
        else:
            text = text[:at] + choose.choice(NASTY) + text[at if what == 4 else to :]
    return text


def retyped(text: str, choose: random.Random) -> str:
    """JSON with some of its values exchanged for others; other text as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    for _ in range(choose.randint(1, 3)):
        odd = json.loads(choose.choice(ODD))
        *above, last = choose.choice([*_paths(value)] or [("",)])
        at = value
        for key in above:
            at = at[key]
        if isinstance(at, dict | list):
            at[last] = odd
    return json.dumps(value)


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value in it is."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*above, key)
        if isinstance(each, dict | list):
            yield from _paths(each, (*above, key))
