"""Removes secrets from text, in every encoding in which programs are known to print them.

A secret becomes *needles* and *fragments*. A needle must match as a whole: a password, or its JSON
encoding. A fragment is a long run of base64-like characters (keys, tokens, encodings): any 24 of
them in a row are removed, so a dump that is cut, wrapped or shifted needs no case of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_deploy.output.encodings import (
    DENSE,
    GENERIC,
    SHORTEST,
    forms,
    json_values,
    to_bytes,
    url_parts,
)
from ci_deploy.output.secret_search import NEEDLE, Index, open_from, secrets_in

if TYPE_CHECKING:
    from ci_deploy.output.secret_search import Span

_MARK = b"[REDACTED]"
_CONTEXT = 512  # bytes of shown text that are kept, for secrets that continue in the next chunk
_ONLY_COLOURS = re.compile(rb"(?:\x1b\[[0-?]*[ -/]*[@-~]|\\)*")
# Words that are in every log are not secrets, even if one of them is somebody's password.
COMMON = {
    "production", "staging", "development", "testing", "preview", "review", "default", "master",
    "develop", "deploy", "deployment", "rollback", "destroy", "promote", "history", "doctor",
    "unlock", "version", "webhook", "webhooks", "enabled", "disabled", "localhost", "password",
    "secret", "postgres", "postgresql", "dokku", "heroku", "github", "gitlab",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z][a-z]{5,11}")  # in most lines: hidden only where it stands alone
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def _render(text: bytes, secrets: list[Span], start: int, end: int) -> bytes:
    """The text from `start` to `end`, with a mark where each secret begins; colours within it
    stay."""
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
    """Replaces the run's secrets in text by `[REDACTED]`. There is one per process, made in `cli`;
    secrets can be added at any time, and later text is searched for them too."""

    def __init__(self) -> None:
        self._plain: dict[str, None] = {}
        self._needles: set[bytes] = set()
        self._fragments: set[bytes] = set()
        self._words: set[bytes] = set()
        self._spared = set(COMMON)
        self._index: Index | None = None

    def spare(self, *words: str) -> None:
        """Exempt words that this run logs all the time, like the app's name, whether in upper or
        lower case. To be called before `add`: what is registered stays a secret."""
        self._spared.update(word.lower() for word in words)

    def add(self, *secrets: str) -> None:
        """Register secrets, without spaces around them, in all encodings, with their parts if they
        are URLs or JSON. Ignored are secrets of fewer than 6 characters, words that every log
        contains (COMMON), and exempt words (`spare`)."""
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
                if not _URL.fullmatch(secret):  # a long host name is not a secret
                    self._fragments.update(DENSE.findall(form))

    def hides_as_word(self, secret: str) -> bool:
        """Whether a registered secret is hidden only where it stands alone, not within a longer
        word: it has 6 to 12 letters, all after the first in lower case. False for others."""
        return secret.strip().encode() in self._words

    def masks(self) -> list[str]:
        """The lines of all secrets, to register with the CI platform (`Console.mask`), which then
        hides them in the rest of the job too. Without PEM headers, and without lines of fewer than
        6 characters."""
        lines = [line.strip() for secret in self._plain for line in secret.split("\n")]
        masks = dict.fromkeys(line for line in lines if not GENERIC.fullmatch(line))
        return [line for line in masks if len(line) >= SHORTEST]

    def text(self, text: str) -> str:
        """Return a complete text with `[REDACTED]` for its secrets; colours stay."""
        data = to_bytes(text)
        secrets = secrets_in(self.index, data)
        return _render(data, secrets, 0, len(data)).decode("utf-8", "replace") if secrets else text

    def stream(self) -> RedactedStream:
        """Make the redactor of one output that comes in chunks; it knows secrets that are added
        later too."""
        return RedactedStream(self)

    @property
    def index(self) -> Index:
        """The search index of all secrets so far, built when it is first needed after `add`."""
        if self._index is None:
            self._index = Index(self._needles, self._fragments, self._words)
        return self._index


class RedactedStream:
    """Replaces secrets in one output that comes in chunks (`Redactor.stream`), also a secret that
    is split between two chunks: what may be the beginning of a secret is held back."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = b""  # some text that was already shown, then what is held back
        self._shown = 0

    def feed(self, chunk: bytes) -> bytes:
        """Add a chunk; returns the redacted text that is safe to show now, perhaps empty."""
        self._text += chunk
        index = self._redactor.index
        secrets = secrets_in(index, self._text)
        return self._show(secrets, max(self._shown, open_from(index, self._text, secrets)))

    def flush(self) -> bytes:
        """Return, redacted, what was held back; to be called after the last chunk."""
        return self._show(secrets_in(self._redactor.index, self._text), len(self._text))

    def _show(self, secrets: list[Span], end: int) -> bytes:
        shown = _render(self._text, secrets, self._shown, end)
        kept = max(0, end - _CONTEXT)
        self._text, self._shown = self._text[kept:], end - kept
        return shown
