"""Parsers: each converts the text of a setting to its value, and raises ValueError with a sentence
for the user."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ci_deploy import files
from ci_deploy.settings import lines

FILE_LIMIT = 16 * 1024 * 1024  # bytes; a bundle of certificates has about 250,000
NOTHING: Mapping[str, Any] = MappingProxyType({})  # a default that cannot be modified

NO_BRANCH = re.compile(r"\.\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|\.$")
JSON_COMMENT = re.compile(r'(?P<string>"(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
JSON_COMMA = re.compile(r'(?P<string>"(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)


def boolean(text: str) -> bool:
    """Parse true/false, yes/no, on/off or 1/0 in any case. Raises ValueError."""
    meanings = {"true": True, "1": True, "yes": True, "on": True}
    meanings |= {"false": False, "0": False, "no": False, "off": False}
    if text.lower() not in meanings:
        message = f"`{text}` is not a boolean: use true or false."
        raise ValueError(message)
    return meanings[text.lower()]


def number(text: str) -> int:
    """Parse a whole number, 0 or more, in decimal digits. Raises ValueError."""
    if not (text.isascii() and text.isdecimal()):
        has_unit = re.fullmatch(r"\d+ *[A-Za-z]+", text)
        why = ": leave out the unit" if has_unit else ", 0 or more"
        message = f"`{text}` is not a whole number{why}."
        raise ValueError(message)
    return int(text)


def words(text: str) -> tuple[str, ...]:
    """Split a list at spaces, commas and newlines; returns its words, without empty ones."""
    return tuple(word for word in re.split(r"[\s,]+", text) if word)


def folder(text: str) -> str:
    """Normalise the path of a directory in the repository: without `.`, `./` and leading, doubled
    or trailing slashes; empty for the repository's root. `..` stays."""
    return "/".join(part for part in text.split("/") if part not in {"", "."})


def branch(text: str) -> str:
    """Check the name of a branch by git's rules (git-check-ref-format(1)); returns it. Raises
    ValueError, also for a full ref like refs/heads/main."""
    if text.startswith("refs/"):
        name = text.removeprefix("refs/heads/")
        message = f"`{text}` is a full ref: give the name of a branch, like `main`."
        if name != text:
            message = f"`{text}` is a full ref: give the branch, `{name}`."
        raise ValueError(message)
    parts = text.split("/")
    bad = any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    if bad or NO_BRANCH.search(text) or text.startswith("-") or text == "HEAD":
        message = f"`{text}` is not a valid branch name (see git check-ref-format)."
        raise ValueError(message)
    return text


def jsonc(text: str) -> Any:
    """Parse JSON with comments and trailing commas, as Dokku reads app.json since 0.37; returns the
    value. Raises ValueError."""
    text = JSON_COMMENT.sub(lambda found: found["string"] or " ", text.removeprefix("\ufeff"))
    return lines.from_json(JSON_COMMA.sub(lambda found: found["string"] or "", text))


def http_url(text: str) -> str:
    """Check an http(s) URL; returns it. Raises ValueError for any other text, and for a URL with a
    user or a password."""
    with contextlib.suppress(ValueError):  # no port, half of an IPv6 address
        _ = urlsplit(text).port
        if re.fullmatch(r"https?://[^\s/?#@]+([/?#]\S*)?", text, re.I):
            return text
    message = "this is not a valid http:// or https:// URL."
    if re.match(r"https?://[^/?#]*@", text, re.I):
        message = "this URL is not valid, or contains a user or a password, which must be left out."
    raise ValueError(message)


def existing_file(text: str) -> str:
    """Check that the regular file with the path `text` exists, can be read and has at most
    FILE_LIMIT bytes; returns the path. Raises ValueError."""
    try:
        files.read(text, FILE_LIMIT)
    except FileNotFoundError:
        message = f"there is no file {text}."
        raise ValueError(message) from None
    except OSError as error:
        message = f"the file {text} cannot be read: {error.strerror}."
        raise ValueError(message) from None
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """The question "Did you mean …?" if a known word is similar to `word`, else an empty text."""
    return "".join(f"Did you mean `{each}`?" for each in nearest(word, known))


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The word of `known` that is most similar to `word`, as a list of one; an empty list if none
    is similar."""
    import difflib

    return difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)


CONVERT: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: number,
    bool: boolean,
    tuple[str, ...]: words,
    dict[str, str]: lines.config,
}
