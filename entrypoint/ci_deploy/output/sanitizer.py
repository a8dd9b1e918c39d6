"""Makes the output of other programs safe for a CI log.

A log is a control channel: GitHub, GitLab and others obey commands in it, terminals obey escape
sequences. It is unknown where a log will be shown, so all of them are made harmless on every
platform. The order matters in a `Sanitizer`: control characters and escape sequences are removed
first, then secrets are, then commands are defused, so that none can hide another.
"""

from __future__ import annotations

import codecs
import re
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci_deploy.output.redaction import Redactor

_LONGEST = 16 * 1024  # a longer line is shown in pieces
_PROGRESS = 5.0  # seconds; a progress line is shown at most this often
_HARMLESS = bytes(range(0x20, 0x7F)) + b"\n\t"

_C1 = re.compile("[\x80-\x9f]")
# Control characters (but not those that are handled later: tab, line ends, ESC and BEL), marks that
# change the direction of text, other line ends, and lone surrogates, which cannot be encoded.
_CONTROL = re.compile(
    "[\x00-\x06\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f"
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Colours (kept), other control sequences, strings with their payload, all other escapes.
_ESCAPE = re.compile(
    r"(\x1b\[[0-9;:]{0,32}m)|\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[PX\]^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\x07"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[PX\]^_][^\x07\x1b\n]*\x1b?|[ -/]*)\Z")
_PAYLOAD = re.compile(r"(?<=\A\x1b[PX\]^_])[^\x1b]*")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_PIECE = re.compile(rf"(?:\x1b\[[0-9;:]*m|.){{1,{_LONGEST}}}")
# GitHub obeys `::name` after any spaces, and `##[name]` anywhere (Azure too, and `##vso[`);
# TeamCity, GitLab and Travis have their own words.
_COMMAND = re.compile(
    r"^[\s\u180e\u200b-\u200d\u2060\ufeff]*:(?=:)|#(?=#(?:vso|teamcity)?\[)"
    r"|section_(?=(?:start|end):)|travis_(?=(?:fold|time):)",
    re.IGNORECASE,
)
_MARKS = ("::", "##", "section_", "travis_")  # every command contains one of them


def _normal(text: str) -> str:
    """Remove control characters; of them only ESC, BEL, tab and line ends remain."""
    if not text.isascii():
        text = _C1.sub(lambda char: f"\x1b{chr(ord(char[0]) - 0x40)}", text)  # to ESC and a letter
    return _CONTROL.sub("", text)


def _last_state(line: str) -> str:
    """What a terminal shows at the end of a line that overwrites itself with carriage returns."""
    if "\r" not in line:
        return line
    states = [state.rstrip(" \t") for state in line.split("\r")]
    return next((state for state in reversed(states) if _COLOUR.sub("", state)), "".join(states))


def _harmless(line: str) -> str:
    """Defuse commands for a CI system by a word joiner: invisible, but not a space for any parser.

    A line with a command loses its colours, which may hide it. No colour stays open at a line's
    end.
    """
    plain = _COLOUR.sub("", line)
    if any(mark in plain for mark in _MARKS) and _COMMAND.search(plain):
        return _COMMAND.sub("\\g<0>\u2060", plain)
    last_colour = line[line.rfind("\x1b") :] if "\x1b" in line else "\x1b[m"
    return line if last_colour.startswith(("\x1b[m", "\x1b[0m")) else f"{line}\x1b[0m"


def clean(text: str) -> str:
    """Return a complete text, which contains words from outside, without what a log or terminal
    would obey: control characters, escape sequences except colours, and log commands, which get
    an invisible U+2060. Newlines and tabs stay; of a line with carriage returns only the last state
    does. Secrets stay: `Redactor.text` replaces them."""
    lines = _ESCAPE.sub(r"\1", _normal(text)).split("\n")
    return "\n".join(_harmless(_last_state(line)) for line in lines)


class Sanitizer:
    """Passes one program's output on: safe, redacted, in whole lines, each with `prefix`. Made by
    `Console.child`.

    `write` gets one or more lines at once, without the last newline. `watch` gets each line before
    redaction, without colours and prefix: decisions must not depend on the secrets in a line.
    `tail` is how many last lines are kept; `clock` is `time.monotonic`, except in tests.
    """

    def __init__(
        self,
        redactor: Redactor,
        write: Callable[[str], None],
        *,
        prefix: str = "",
        watch: Callable[[str], None] | None = None,
        tail: int = 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redacted = redactor.stream()
        self._write = write
        self._prefix = prefix
        self._watch = watch
        self._clock = clock
        self._tail: deque[str] = deque(maxlen=tail)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._decode_redacted = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._escape = ""  # the beginning of an escape sequence
        self._line = ""  # the beginning of a line
        self._ready = ""  # the beginning of a line, redacted
        self._progress_since: float | None = None

    @property
    def tail(self) -> list[str]:
        """The last lines (20 by default) as they were passed on: redacted, without prefix and
        colours."""
        return list(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Add a chunk of output. Writes the lines that are complete, except what may be the
        beginning of a secret."""
        text = self._decode(chunk)
        if self._escape or chunk.translate(None, _HARMLESS) or not text.isascii():
            text = self._without_escapes(text)
        text = self._line + text
        if "\r" in text:
            text = self._without_overwritten(text)
        lines, end, self._line = text.rpartition("\n")
        if len(self._line) > _LONGEST:
            end, self._line = end + _last_state(self._line), ""
        self._redact(lines + end)

    def close(self) -> None:
        """Write everything that was held back; to be called at the end of the output. A second
        call does nothing."""
        rest = self._line + self._without_escapes(self._decode(b"", final=True))
        self._line = self._escape = ""
        self._redact(_last_state(rest))
        self._show(self._decode_redacted(self._redacted.flush(), final=True))
        if self._ready:
            self._show("\n")

    def _without_escapes(self, text: str) -> str:
        """Remove escape sequences. Of one that continues in the next chunk only the kind is
        kept."""
        text = _normal(self._escape + text)
        unfinished = _UNFINISHED.search(text)
        self._escape = _PAYLOAD.sub("", unfinished[0])[:40] if unfinished else ""
        return _ESCAPE.sub(r"\1", text[: unfinished.start()] if unfinished else text)

    def _without_overwritten(self, text: str) -> str:
        """Reduce lines that overwrite themselves to their last state, with an earlier one now and
        then."""
        *lines, line = text.split("\n")
        lines = [_last_state(line) for line in lines]
        if lines:
            self._progress_since = None
        before, overwrites, now = line.rpartition("\r")
        if not overwrites:
            return "\n".join([*lines, line])
        state = _last_state(before + overwrites)
        if self._progress_since is None:
            self._progress_since = self._clock()
        elif self._clock() >= self._progress_since + _PROGRESS and state:
            self._progress_since = self._clock()
            lines.append(state)
        return "\n".join([*lines, f"{state}\r{now}"])

    def _redact(self, text: str) -> None:
        if self._watch and text:
            for line in _COLOUR.sub("", text).removesuffix("\n").split("\n"):
                self._watch(line.rstrip(" \t"))
        self._show(self._decode_redacted(self._redacted.feed(text.encode())))

    def _show(self, text: str) -> None:
        """Write whole lines; the beginning of a very long one is written as a line of its own."""
        lines = (self._ready + text).split("\n")
        if max(map(len, lines)) > _LONGEST:
            lines = [piece for line in lines for piece in _PIECE.findall(line) or [line]]
        self._ready = lines.pop()
        if not lines:
            return
        block = "\n".join([*lines, ""])
        if " \n" in block or "\t\n" in block:
            lines = [line.rstrip(" \t") for line in lines]
        for mark in (*_MARKS, "\x1b"):
            if mark in block:
                lines = [_harmless(line) if mark in line else line for line in lines]
        self._tail.extend(_COLOUR.sub("", line) for line in lines[-(self._tail.maxlen or 1) :])
        self._write(self._prefix + f"\n{self._prefix}".join(lines))
