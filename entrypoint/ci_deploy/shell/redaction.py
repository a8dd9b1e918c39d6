"""Removes secrets from text, in every spelling that programs are known to print them in.

A secret becomes *needles* and *fragments*. A needle counts only as a whole: a password, its JSON
spelling. A fragment is a long run of base64-like characters (keys, tokens, every encoding): any 24
of them in a row are removed, so a dump that is cut, wrapped or shifted needs no case of its own.

Both are searched in two views of the text, which put together what was wrapped or coloured: the
lines joined, without `remote: ` and timestamps; and their last words joined, for other prefixes.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Span = tuple[int, int]

_MARK = b"[REDACTED]"
_SHORTEST = 6  # what is shorter is found in ordinary text too
_FRAGMENT = 24  # so much of a fragment is a leak
_NEEDLE = 64  # longer needles are searched in pieces: never more than this is held back
_WAIT = 8  # a line is held back for the next one if so much of a secret ends it, or half of it
_CONTEXT = 512  # shown text that is kept, for secrets that go on in the text to come
_HELD = 4096  # the limit for a secret's beginning with its blank lines and colour codes

_DENSE = re.compile(rb"[A-Za-z0-9+/=_-]{24,}")
_GENERIC = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]+-----")
_INVISIBLE = re.compile(rb"\x1b\[[0-?]*[ -/]*(?:[@-~]|\Z)|\x1b\Z|\r")
_ONLY_COLOURS = re.compile(rb"(?:\x1b\[[0-?]*[ -/]*[@-~])*")
_LINE_START = re.compile(rb"\n(?:remote: |\xe2\x94\x82 |[\d:.,+TZ-]{8,} )*")
_BLANKS = bytes(32 if byte > 127 or byte in b"\t|>])" else byte for byte in range(256))
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


# --- what a secret may look like ---


def _bytes(text: str) -> bytes:
    """UTF-8, also of bytes that Python decoded to surrogates (an environ's, a file name's)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _spellings(text: str) -> set[str]:
    """How URLs, JSON, HTML, shells and Python write the text."""
    data = _bytes(text)
    percent = {quote_plus(data), *(quote(data, safe) for safe in ("", "/", "!'()*~"))}
    percent |= {re.sub("%..", lambda code: code[0].lower(), form) for form in percent}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    escaped |= {form.replace("/", "\\/") for form in escaped}
    escaped |= {re.sub("[<>&]", lambda char: f"\\u{ord(char[0]):04x}", form) for form in escaped}
    entities = {html.escape(text), html.escape(text, quote=False)}
    entities |= {
        form.replace("&#x27;", other) for form in entities for other in ("&#39;", "&apos;")
    }
    entities |= {form.replace("&quot;", "&#34;") for form in entities}
    shell = {text.replace("'", inside) for inside in ("'\\''", "'\"'\"'", "\\'")}
    # bash's printf %q, Ruby's shellescape, Perl's quotemeta; in double quotes; in $'…'.
    shell |= {re.sub(rf"[^\w{keep}]", r"\\\g<0>", text) for keep in ("@%+=:./-", ".,:+/@-", "")}
    shell.add(re.sub(r'[\\"$`]', r"\\\g<0>", text))
    shell.add(text.replace("\\", "\\\\").replace("'", "\\'"))
    python = {repr(text)[1:-1], repr(data)[2:-1]}
    return {text, *percent, *escaped, *entities, *shell, *python}


def _base64(data: bytes) -> Iterator[bytes]:
    """What is the same in data's base64 wherever in a longer text data begins, or if it ends it."""
    for shift, unstable in enumerate((0, 2, 3)):
        code = b64encode(bytes(shift) + data)
        forms = {code[unstable:]}
        stable = code[unstable : (shift + len(data)) * 8 // 6]
        if len(stable) < _FRAGMENT:  # else it is found as a part of the code
            forms |= {stable, code[unstable:].rstrip(b"=")}
        yield from forms
        yield from (form.translate(_URL_SAFE) for form in forms)


def _forms(secret: str) -> Iterator[bytes]:
    """The secret as it may be printed, without line ends."""
    lines = [line for line in secret.split("\n") if not _GENERIC.fullmatch(line.strip())]
    words = [line.strip() for line in lines if len(line.strip()) >= _SHORTEST]
    for text in {"\n".join(lines), *words}:
        yield from (_bytes(form).replace(b"\n", b"") for form in _spellings(text))
    short = [word for word in words if len(word) < _FRAGMENT]
    for text in {secret, secret.replace("\n", "\\n"), secret.replace("\n", "\r\n"), *short}:
        data = _bytes(text)
        yield from (data.hex().encode(), data.hex().upper().encode())
        for code in set(_base64(data)):
            yield code
            yield from _base64(code)


def _url_parts(url: str) -> Iterator[str]:
    """The parts of a URL that are secrets of their own: error messages show only the path.

    Not the path of another scheme: in a database's URL that is the name of the database.
    """
    try:
        parts = urlsplit(url)
        values = [parts.password or ""]
    except ValueError:
        return
    if parts.scheme in ("http", "https"):
        path = parts.path.strip("/")
        values += [path, path.rpartition("/")[2]]
        values += [pair.partition("=")[2] for pair in parts.query.split("&")]
    for value in values:
        yield from (value, unquote(value), unquote_plus(value))


# --- where the secrets are ---


def _words(text: bytes) -> memoryview:
    """The 8-byte words at multiples of 8, as numbers."""
    return memoryview(text)[: len(text) & ~7].cast("Q")


def _all_words(text: bytes) -> set[int]:
    return {word for start in range(8) for word in _words(text[start:])}


def _find(needle: bytes, text: bytes) -> Iterator[Span]:
    at = text.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = text.find(needle, at + 1)


def _agreement(one: bytes, other: bytes) -> int:
    """The length of the common beginning."""
    size = min(len(one), len(other))
    difference = int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")
    return size - (difference.bit_length() + 7) // 8


class _Index:
    """Finds out fast that there is no secret in a text.

    One of the 8-byte words that start at multiples of 16 lies within any 23 bytes: looking these
    up in one set is enough, but for needles that are shorter.
    """

    def __init__(self, needles: set[bytes], fragments: set[bytes]) -> None:
        self._short = [needle for needle in needles if len(needle) < _FRAGMENT]
        self._long = [needle for needle in needles if len(needle) >= _FRAGMENT]
        self._corpus = b""
        for fragment in sorted(fragments, key=len, reverse=True):
            if fragment not in self._corpus:
                self._corpus += fragment + b"\n"
        self._fragment_words = _all_words(self._corpus)
        # A long needle is known by its end: what is special about a URL is not how it begins.
        self._needle_words = _all_words(b"\n".join(needle[-_FRAGMENT:] for needle in self._long))
        self._known_words = self._fragment_words | self._needle_words
        self._starts = {
            needle[:size] + line_end
            for needle in needles
            for line_end, least in ((b"", 1), (b"\n", min(_WAIT, len(needle) // 2)))
            for size in range(least, len(needle))
        }
        self._places = lru_cache(4096)(lambda word: [at for at, _ in _find(word, self._corpus)])

    def search(self, view: bytes) -> Iterator[Span]:
        """Where secrets are; they may overlap."""
        for needle in self._short:
            if needle in view:
                yield from _find(needle, view)
        words = _words(view)[::2]
        if self._known_words.isdisjoint(words):
            return
        if not self._needle_words.isdisjoint(words):
            for needle in self._long:
                yield from _find(needle, view)
        for number, word in enumerate(words):
            if word in self._fragment_words:
                at = number * 16
                for left, right in set(self._agreeing(view, at)):
                    if left + 8 + right >= _FRAGMENT:
                        yield at - left, at + 8 + right

    def _agreeing(self, view: bytes, at: int) -> Iterator[Span]:
        """How far fragments agree with the text around a word of both.

        It is enough to look as far as the next word that is looked up.
        """
        low, end = max(0, at - _FRAGMENT), at + 8
        before, after = view[low:at][::-1], view[end : end + _FRAGMENT]
        for place in self._places(view[at:end]):
            left = self._corpus[max(0, place - _FRAGMENT) : place][::-1]
            right = self._corpus[place + 8 : place + 8 + _FRAGMENT]
            yield _agreement(before, left), _agreement(after, right)

    def unfinished(self, view: bytes, *, line_ended: bool) -> int:
        """How many bytes at the end may be a secret's beginning."""
        size = 0
        last_word = len(view) - 8
        if last_word >= 0 and _words(view[last_word:])[0] in self._fragment_words:
            size = 8 + max(left for left, _ in self._agreeing(view, last_word))
        elif not line_ended:
            while size < min(7, len(view)) and view[-size - 1 :] in self._corpus:
                size += 1
        ends = (view[-longer:] for longer in range(size + 1, min(_NEEDLE, len(view) + 1)))
        line_end = b"\n" if line_ended else b""
        return max((len(end) for end in ends if end + line_end in self._starts), default=size)


# --- views: each is made fast; the spans it consists of are needed only for what was found ---


def _between(separator: re.Pattern[bytes], text: bytes) -> list[Span]:
    edges = [0, *(edge for found in separator.finditer(text) for edge in found.span()), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _joined(text: bytes) -> bytes:
    return b"".join(_LINE_START.split(text))


def _joined_spans(text: bytes) -> list[Span]:
    return _between(_LINE_START, text)


def _last_words(text: bytes) -> bytes:
    lines = text.translate(_BLANKS).split(b"\n")
    return b"".join([line.rstrip().rpartition(b" ")[2] for line in lines])


def _last_words_spans(text: bytes) -> list[Span]:
    spans, start = [], 0
    for line in text.translate(_BLANKS).split(b"\n"):
        words = line.rstrip()
        spans.append((start + words.rfind(b" ") + 1, start + len(words)))
        start += len(line) + 1
    return spans


_VIEWS = ((_joined, _joined_spans), (_last_words, _last_words_spans))


def _visible(text: bytes) -> tuple[bytes, list[Span]]:
    """The text as a terminal shows it, and the spans it consists of."""
    if b"\x1b" not in text and b"\r" not in text:
        return text, [(0, len(text))]
    return _INVISIBLE.sub(b"", text), _between(_INVISIBLE, text)


def _project(found: Iterable[Span], spans: list[Span]) -> Iterator[Span]:
    """From places in a view to places in the text whose spans the view consists of."""
    spans = [span for span in spans if span[0] < span[1]]
    starts = list(accumulate((end - start for start, end in spans), initial=0))
    for low, high in found:
        at = bisect_right(starts, low) - 1
        while at < len(spans) and starts[at] < high:
            start, end = spans[at]
            yield start + max(low - starts[at], 0), min(start + high - starts[at], end)
            at += 1


def _secrets(index: _Index, text: bytes) -> list[Span]:
    """Where the secrets are, in order and without overlaps."""
    plain, plain_spans = _visible(text)
    found: list[Span] = []
    for view, spans in _VIEWS:
        if hits := list(index.search(view(plain))):
            found += _project(_project(hits, spans(plain)), plain_spans)
    secrets: list[Span] = []
    for start, end in sorted(found):
        if secrets and start <= secrets[-1][1]:
            secrets[-1] = (secrets[-1][0], max(end, secrets[-1][1]))
        else:
            secrets.append((start, end))
    return secrets


def _open_from(index: _Index, text: bytes, secrets: list[Span]) -> int:
    """From where on the text may be the beginning of a secret. What is removed need not wait."""
    skipped = max(0, len(text) - _HELD)
    plain, plain_spans = _visible(text[skipped:])
    lines = plain[: plain.rfind(b"\n") + 1]  # of an unfinished line the last word is not known
    starts = [len(text)]
    for view, spans in _VIEWS:
        for part in {plain, lines}:
            end = len(view(part))
            size = index.unfinished(view(part), line_ended=part.endswith(b"\n"))
            tail = _project([(end - size, end)], spans(part)) if size else ()
            for low, high in _project(tail, plain_spans):
                removed_to = (to for start, to in secrets if start <= skipped + low < to)
                if (start := next(removed_to, skipped + low)) < skipped + high:
                    starts.append(start)
    return min(starts)


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


# --- what the others use ---


class Redactor:
    """Knows the secrets, and can be told more of them at any time."""

    def __init__(self) -> None:
        self._plain: dict[str, None] = {}
        self._needles: set[bytes] = set()
        self._fragments: set[bytes] = set()
        self._index: _Index | None = None

    def add(self, *secrets: str) -> None:
        """Registers secrets in all spellings; what is shorter than 6 characters is not one."""
        for given in secrets:
            secret = given.replace("\r\n", "\n").strip()
            if len(secret) >= _SHORTEST and secret not in self._plain:
                self._plain[secret] = None
                self._add_forms(secret)
                self.add(*_url_parts(secret))
                if "-----BEGIN" in secret:  # in JSON, or as people store keys in variables
                    self.add(secret.replace("\\n", "\n"))

    def _add_forms(self, secret: str) -> None:
        self._index = None
        for form in _forms(secret):
            if _DENSE.fullmatch(form):
                self._fragments.add(form)
            elif len(form) >= _SHORTEST:
                pieces = range(0, max(1, len(form) - _NEEDLE), _NEEDLE)
                self._needles.update(form[at : at + _NEEDLE] for at in pieces)
                self._needles.add(form[-_NEEDLE:])
                if "://" not in secret:  # a long name of a host is no secret
                    self._fragments.update(_DENSE.findall(form))

    def masks(self) -> list[str]:
        """Single lines to register with the CI system, which then masks them in what others log."""
        lines = [line.strip() for secret in self._plain for line in secret.split("\n")]
        masks = dict.fromkeys(line for line in lines if not _GENERIC.fullmatch(line))
        return [line for line in masks if len(line) >= _SHORTEST]

    def text(self, text: str) -> str:
        """A complete text without the secrets."""
        data = _bytes(text)
        secrets = _secrets(self.index, data)
        return _render(data, secrets, 0, len(data)).decode("utf-8", "replace") if secrets else text

    def stream(self) -> RedactedStream:
        """For output that comes in chunks."""
        return RedactedStream(self)

    @property
    def index(self) -> _Index:
        """All that is known now, made ready for the search when it is first needed."""
        if self._index is None:
            self._index = _Index(self._needles, self._fragments)
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
        secrets = _secrets(index, self._text)
        return self._show(secrets, max(self._shown, _open_from(index, self._text, secrets)))

    def flush(self) -> bytes:
        """The rest, when nothing more will come."""
        return self._show(_secrets(self._redactor.index, self._text), len(self._text))

    def _show(self, secrets: list[Span], end: int) -> bytes:
        shown = _render(self._text, secrets, self._shown, end)
        kept = max(0, end - _CONTEXT)
        self._text, self._shown = self._text[kept:], end - kept
        return shown
