"""Patterns for the messages of Heroku, of git when it pushes there, and of the heroku CLI.

Measured of builds: lines of errors and warnings begin with ` !`. The last of them are the same for
every failure ("Push failed", over git also "Push rejected to APP."), and the reason is right before
them. Without such a line the only reason is Heroku's general one, "failed to compile Ruby app".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

REMOTE = "remote:"
MARKED = re.compile(r"^(?:remote:)?\s*!(?:\s+(?!\[)|$)")
CLOSING = re.compile(
    r"Push failed\.?$|(Heroku )?[Pp]ush rejected( to \S+)?$|Verifying deploy|See:? |HINT: |https?://"
    r"|Aborting\b|More info\b|Learn more\b|Please try pushing again|If the problem persists",
    re.IGNORECASE,
)
VAGUE = re.compile(r"(?:Heroku )?push (?:rejected, |failed: )(?P<words>.+)", re.IGNORECASE)
ERROR = re.compile(r"error: ", re.IGNORECASE)

# Of a push.
UP_TO_DATE = re.compile(r"^Everything up-to-date")
SKIPPED = re.compile(
    r"^remote:\s*Pushed to branch other than \[main, master\], skipping build\.\s*$"
)
MOVED = re.compile(r"\((stale info|non-fast-forward|fetch first|needs force|cannot lock ref)\b")
DECLINED = re.compile(r"pre-receive hook declined|\[remote rejected\]")
LOST = re.compile(
    r"RPC failed|unexpected disconnect|remote end hung up|early EOF|Could not resolve host"
    r"|Failed to connect|Connection (reset|refused|timed out)|error: (5\d\d|429)\b|curl 56"
    r"|^error: .* died of signal \d+$",
    re.IGNORECASE,
)
AUTH = re.compile(r"Authentication failed|could not read (Username|Password)|error: 40[13]\b")
MISSING = re.compile(r"repository '[^']*' not found|error: 404\b")
GONE = re.compile(r"ref does not exist")  # a branch to be removed
PUSH = (UP_TO_DATE, SKIPPED, MOVED, DECLINED, LOST, MARKED, AUTH, MISSING)

# Of the CLI, when a dyno was never created.
REFUSED = re.compile(
    r"Error ID|Couldn't find|Invalid credentials|HEROKU_API_KEY is invalid|HTTP Error"
)
BAD_KEY = re.compile(r"credentials|HEROKU_API_KEY")
CLI_ERROR = "Error: "  # before the reason


def reason(lines: Iterable[str]) -> str:
    """The reason why a build or push failed, as a sentence, from the lines of its output; empty
    when they contain none."""
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


def own_words(lines: Iterable[str]) -> list[str]:
    """The lines of git itself; after `remote:` comes Heroku's output, including the build's."""
    return [line for line in lines if not line.startswith(REMOTE)]


def cli_refusal(said: Sequence[str]) -> str:
    """The CLI's reason for not starting a one-off command, from the lines of its stderr: those from
    `Error: ` on, joined. Empty when they do not report that Heroku refused."""
    begins = next((at for at, line in enumerate(said) if line.startswith(CLI_ERROR)), None)
    if begins is None or not any(map(REFUSED.search, said)):
        return ""
    its_own = takewhile(lambda line: not line.startswith("Error ID"), said[begins:])
    return " ".join(its_own).removeprefix(CLI_ERROR)


def _told(block: list[str]) -> str:
    """The first line that calls itself an error, else the first line of the last paragraph that is
    not about where to read more."""
    if named := next((line for line in block if ERROR.match(line)), ""):
        return ERROR.sub("", named, count=1)
    paragraphs = "\n".join(block).strip().split("\n\n")
    return next((line for line in paragraphs[-1].splitlines() if not CLOSING.match(line)), "")
