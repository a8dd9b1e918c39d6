"""Removes secrets from text, in every spelling that programs are known to print them in.

A secret becomes *needles* and *fragments*. A needle counts only as a whole: a password, its JSON
spelling. A fragment is a long run of base64-like characters (keys, tokens, every encoding): any 24
of them in a row are removed, so a dump that is cut, wrapped or shifted needs no case of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_deploy.output.secret_search import NEEDLE, Index, open_from, secrets_in
from ci_deploy.output.spellings import (
    DENSE,
    GENERIC,
    SHORTEST,
    forms,
    json_values,
    to_bytes,
    url_parts,
)

if TYPE_CHECKING:
    from ci_deploy.output.secret_search import Span

_MARK = b"[REDACTED]"
_CONTEXT = 512  # shown text that is kept, for secrets that go on in the text to come
_ONLY_COLOURS = re.compile(rb"(?:\x1b\[[0-?]*[ -/]*[@-~]|\\)*")
# What stands in every log is no secret, even where somebody has made it a password.
_COMMON = {
    "production", "staging", "development", "testing", "preview", "review", "default", "master",
    "develop", "deploy", "deployment", "rollback", "destroy", "promote", "history", "doctor",
    "unlock", "version", "webhook", "webhooks", "enabled", "disabled", "localhost", "password",
    "secret", "postgres", "postgresql", "dokku", "heroku", "github", "gitlab",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z][a-z]{5,11}")  # in most lines: counts only where it stands alone
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def _render(text: bytes, secrets: list[Span], start: int, end: int) -> bytes:
    """The text from start to end. Each secret is marked where it begins; colours in it stay."""
    shown, at, previous = [], start, -1
    for low, high in secrets:
        if low >= end:
            break
        if low >= start:
            shown.append(text[at:low])
            if previous < 0 or not _ONLY_COLOURS.fullmatch(text, previous, low):
                shown.append(_MARK)
        at, previous = max(at, min(high, end)), high
    return b"".join([*shown, text[at:end]])


class Redactor:
    """Knows the secrets, and can be told more of them at any time."""

    def __init__(self) -> None:
        self._plain: dict[str, None] = {}
        self._needles: set[bytes] = set()
        self._fragments: set[bytes] = set()
        self._words: set[bytes] = set()
        self._spared = set(_COMMON)
        self._index: Index | None = None

    def spare(self, *words: str) -> None:
        """Words that this run says all the time, like the app's name; told before the secrets."""
        self._spared.update(word.lower() for word in words)

    def add(self, *secrets: str) -> None:
        """Registers secrets in all spellings; what is shorter than 6 characters is not one."""
        for given in secrets:
            secret = given.replace("\r\n", "\n").strip()
            known = secret in self._plain or secret.lower() in self._spared
            if len(secret) >= SHORTEST and not known:
                self._plain[secret] = None
                self._add_forms(secret)
                self.add(*url_parts(secret), *json_values(secret))
                self.add(secret.replace("\\n", "\n"))  # in JSON, or what `echo -e` makes of it

    def _add_forms(self, secret: str) -> None:
        self._index = None
        for form in {form.replace(b"\\", b"") for form in forms(secret)}:  # as the search sees it
            if _WORD.fullmatch(secret) and form == secret.encode():
                self._words.add(form)
            elif DENSE.fullmatch(form):
                self._fragments.add(form)
            elif len(form) >= SHORTEST:
                pieces = range(0, max(1, len(form) - NEEDLE), NEEDLE)
                self._needles.update(form[at : at + NEEDLE] for at in pieces)
                self._needles.add(form[-NEEDLE:])
                if not _URL.fullmatch(secret):  # a long name of a host is no secret
                    self._fragments.update(DENSE.findall(form))

    def hides_as_word(self, secret: str) -> bool:
        """Whether it is hidden only where it stands alone."""
        return secret.strip().encode() in self._words

    def masks(self) -> list[str]:
        """Single lines to register with the CI system, which then masks them in what others log."""
        lines = [line.strip() for secret in self._plain for line in secret.split("\n")]
        masks = dict.fromkeys(line for line in lines if not GENERIC.fullmatch(line))
        return [line for line in masks if len(line) >= SHORTEST]

    def text(self, text: str) -> str:
        """A complete text without the secrets."""
        data = to_bytes(text)
        secrets = secrets_in(self.index, data)
        return _render(data, secrets, 0, len(data)).decode("utf-8", "replace") if secrets else text

    def stream(self) -> RedactedStream:
        """For output that comes in chunks."""
        return RedactedStream(self)

    @property
    def index(self) -> Index:
        """All that is known now, made ready for the search when it is first needed."""
        if self._index is None:
            self._index = Index(self._needles, self._fragments, self._words)
        return self._index


class RedactedStream:
    """Output without secrets, also such as are split over chunks; a secret's beginning waits."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = b""  # some text that was shown already, then what is held back
        self._shown = 0

    def feed(self, chunk: bytes) -> bytes:
        """What is safe to show now."""
        self._text += chunk
        index = self._redactor.index
        secrets = secrets_in(index, self._text)
        return self._show(secrets, max(self._shown, open_from(index, self._text, secrets)))

    def flush(self) -> bytes:
        """The rest, when nothing more will come."""
        return self._show(secrets_in(self._redactor.index, self._text), len(self._text))

    def _show(self, secrets: list[Span], end: int) -> bytes:
        shown = _render(self._text, secrets, self._shown, end)
        kept = max(0, end - _CONTEXT)
        self._text, self._shown = self._text[kept:], end - kept
        return shown
