"""Finds the reason of a failed build in the output of Heroku or the buildpack.

Measured: lines of errors and warnings begin with ` !`. The last of them are the same for every
failure ("Push failed", over git also "Push rejected to APP."), and the reason is right before them;
without one, "failed to compile Ruby app" is all that is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REMOTE = "remote:"
MARKED = re.compile(r"^(?:remote:)?\s*!(?:\s+(?!\[)|$)")
CLOSING = re.compile(
    r"Push failed\.?$|(Heroku )?[Pp]ush rejected( to \S+)?$|Verifying deploy|See:? |HINT: |https?://"
    r"|Aborting\b|More info\b|Learn more\b|Please try pushing again|If the problem persists",
    re.IGNORECASE,
)
VAGUE = re.compile(r"(?:Heroku )?push (?:rejected, |failed: )(?P<words>.+)", re.IGNORECASE)
ERROR = re.compile(r"error: ", re.IGNORECASE)


def reason(lines: Iterable[str]) -> str:
    """The reason as a sentence; empty when the lines contain none."""
    every = list(lines)
    build = [line for line in every if line.startswith(REMOTE)] or every  # without git's own lines
    vague, block, before = "", list[str](), ""
    for line in reversed(build):
        marked = MARKED.match(line)
        words = (line[marked.end() :] if marked else line.removeprefix(REMOTE)).strip()
        if block and not marked:
            break
        if not words or (not block and CLOSING.match(words)):
            block += [""] if block else []
        elif marked and not block and (found := VAGUE.match(words)):
            vague = vague or found["words"]
        elif marked:
            block.append(words)
        else:
            before = words.removeprefix("-----> ")
            break
    words = _told(block[::-1]) or vague or (before if any(map(MARKED.match, build)) else "")
    return words if not words or words.endswith((".", "!", "?")) else f"{words.rstrip(':')}."


def _told(block: list[str]) -> str:
    """The first line that calls itself an error, else the first line of the last paragraph that is
    not about where to read more."""
    if named := next((line for line in block if ERROR.match(line)), ""):
        return ERROR.sub("", named, count=1)
    paragraphs = "\n".join(block).strip().split("\n\n")
    return next((line for line in paragraphs[-1].splitlines() if not CLOSING.match(line)), "")
