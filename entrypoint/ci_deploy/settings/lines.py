"""Settings of several lines, in all the forms in which people put them into CI:

text, base64 of it (also wrapped, url-safe or without padding), CRLF, a byte order mark, and a
literal `\\n` for each line end. No error shows a value.
"""

from __future__ import annotations

import base64
import codecs
import io
import json
import re
from math import isfinite
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # names that every shell, Dokku and Heroku accept
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # names that Compose accepts
LITERAL = re.compile(r"(?:\\r)?\\n")
# Where a literal \n is a part of a value: within quotes, and in a key that has no quotes.
_WHOLE = re.compile(
    r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|-----BEGIN .*?-----END [A-Z0-9 ]+-----'
)
_BEGINS_LINE = re.compile(r"\s*(?:\\r)?(?:$|#|\\n|(?:export\s+)?[A-Za-z_][\w.-]*\s*=(?!=))")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+|[A-Za-z0-9_-]+")
_PADDED = re.compile(r"[A-Za-z0-9+/_-]+={1,2}")


def text_of(data: bytes, errors: str = "replace") -> str:
    """Decode a file: UTF-8 with or without a byte order mark, or PowerShell's UTF-16.

    `errors` is that of `bytes.decode`; `strict` raises UnicodeDecodeError, a ValueError.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    return data.decode("utf-8-sig", errors)


def plain(text: str) -> str:
    """Convert line ends to `\\n`, remove a byte order mark, and decode what looks like the base64
    of a text, up to three times."""
    for _ in range(3):  # base64 of base64 happens when two programs both encode
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        decoded = _decoded(text)
        if decoded is None:
            break
        text = decoded
    return text


def from_json(text: str | bytes) -> Any:
    """Parse JSON. Raises ValueError, also for JSON nested deeper than Python can parse, and for
    numbers that are not finite (NaN, 1e999), with which int() would raise other errors."""
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        message = "the JSON is nested too deeply."
        raise ValueError(message) from None


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        message = "the JSON has a number that is not finite: NaN, Infinity, or one like 1e999."
        raise ValueError(message)
    return number


def split(text: str) -> str:
    """Like `plain`; in a text without line ends, each literal `\\n` also becomes a line end."""
    text = plain(text)
    return text if "\n" in text.strip() else LITERAL.sub("\n", text)


def dotenv_text(text: str) -> str:
    """Like `split` for `NAME=value` lines, but a literal `\\n` within a value stays as it is.

    Raises ValueError when it is unclear whether line ends or parts of values are meant.
    """
    text = plain(text)
    if "\n" in text.strip():
        return text
    whole = [match.span() for match in _WHOLE.finditer(text)]
    ends = [
        match
        for match in LITERAL.finditer(text)
        if not any(start < match.start() < end for start, end in whole)
    ]
    new = [bool(_BEGINS_LINE.match(text, match.end())) for match in ends]
    if not any(new):
        return text
    if not all(new):
        message = (
            r"some literal `\n` are followed by a new `NAME=value`, others are not. Quote values "
            r"that contain `\n`, or pass the lines as base64."
        )
        raise ValueError(message)
    for match in reversed(ends):
        text = f"{text[: match.start()]}\n{text[match.end() :]}"
    return text


def dotenv(text: str) -> dict[str, str]:
    """Parse dotenv lines to {name: value}, without expanding `${…}`, which may be part of a
    password. Raises ValueError for a line that is none, with its number."""
    # `dotenv_values` leaves out a line that it cannot parse, and says so only in a log; the parser
    # that it uses reports such a line, and its number.
    from dotenv.parser import parse_stream

    text = dotenv_text(text)
    if _PADDED.fullmatch(text.strip()):
        message = (
            "expected `NAME=value` lines, but the text is a single name, or base64 of something "
            "else. Encode the lines with `base64 <FILE | tr -d '\\n'`, or write `NAME=''` for an "
            "empty value."
        )
        raise ValueError(message)
    found: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.line
            message = f"line {line} is not `NAME=value`. A value of several lines needs quotes."
            raise ValueError(message)
        if binding.key is not None:
            found[binding.key] = binding.value or ""
    return found


def config(text: str) -> dict[str, str]:
    """Parse dotenv lines with the variables of an app to {name: value}. Raises ValueError, also for
    a name that Compose does not accept; Dokku and Heroku accept fewer (`NAME`)."""
    found = dotenv(text)
    for number, name in enumerate(found, 1):
        if not _NAME.fullmatch(name):
            message = (
                f"the name of variable {number} is not valid: it must begin with a letter "
                "or `_`, and may contain letters, digits and `_` (on Docker hosts `.` and `-` too)."
            )
            raise ValueError(message)
    return found


def _decoded(text: str) -> str | None:
    """Decode base64; None when `text` does not look like the base64 of a text."""
    packed = "".join(text.split())
    bare = packed.rstrip("=")
    if len(bare) < 4 or not _BASE64.fullmatch(bare) or len(packed) - len(bare) > 2:
        return None
    lines = text.split()
    if len({len(line) for line in lines[:-1]}) > 1:  # wrapped base64 has lines of one length
        return None
    try:
        data = base64.b64decode(bare.translate({45: "+", 95: "/"}) + "=" * (-len(bare) % 4))
        mark = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        found = data.decode("utf-16" if mark else "utf-8-sig")
    except ValueError:
        return None
    clean = all(char.isprintable() or char in "\n\r\t\ufeff" for char in found)
    meaningful = re.search(r"[=#\s:-]", found.strip()) or _BASE64.fullmatch(found.strip())
    return found if clean and meaningful and found.strip() else None
