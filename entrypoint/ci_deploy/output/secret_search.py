"""Finds secrets in text (`secrets_in`); above all, finds out quickly that there is none.

Colours and backslashes are ignored. Two views of the rest are searched, which rejoin what was
wrapped: the lines joined, without `remote: ` and timestamps; and the last words of the lines
joined, for other prefixes. If a secret looks like such a prefix, the unjoined text is searched too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from ci_deploy.output.encodings import FRAGMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Span = tuple[int, int]

NEEDLE = 64  # longer needles are searched in pieces: never more than this is held back
_WAIT = 8  # a line is held back if it ends with so many bytes of a secret, or with half of one
_HELD = 4096  # most bytes to hold back for a secret's beginning, with blank lines and colours
# Backslashes too: every shell and language escapes other characters.
_INVISIBLE = re.compile(rb"\x1b\[[0-?]*[ -/]*(?:[@-~]|\Z)|\x1b\Z|[\r\\]+")
_LINE_START = re.compile(rb"\n(?:remote: |\xe2\x94\x82 |[\d:.,+TZ-]{8,} )*")
_LIKE_LINE_START = re.compile(rb"[\d:.,+TZ-]+(?: |\Z)|remote: |\xe2\x94\x82 ")
_BLANKS = bytes(32 if byte > 127 or byte in b"\t|>])" else byte for byte in range(256))


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
    """The length of the common prefix."""
    size = min(len(one), len(other))
    difference = int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")
    return size - (difference.bit_length() + 7) // 8


class Index:
    """An index of all secrets, which finds out quickly that a text contains none.

    Any 23 bytes contain an 8-byte word that starts at a multiple of 16. So it is enough to look
    these words up in one set, except for shorter needles.
    """

    def __init__(
        self, needles: set[bytes], fragments: set[bytes], words: set[bytes] | None = None
    ) -> None:
        """`needles` match as a whole, any FRAGMENT bytes of `fragments` match, and `words` match
        only where no letter or digit touches them. None of the three may contain a backslash, since
        the search removes these from the text."""
        words = words or set()
        self._short = [needle for needle in needles if len(needle) < FRAGMENT]
        self._corpus = b""
        for fragment in sorted(fragments, key=len, reverse=True):
            if fragment not in self._corpus:
                self._corpus += fragment + b"\n"
        self._fragment_words = _all_words(self._corpus)
        # A long needle is found by its end: many URLs begin alike.
        self._long: dict[int, list[bytes]] = {}
        for needle in needles:
            for word in _all_words(needle[-FRAGMENT:]) if len(needle) >= FRAGMENT else ():
                self._long.setdefault(word, []).append(needle)
        self._known_words = self._fragment_words | self._long.keys()
        self._starts = {
            needle[:size] + line_end
            for needle in needles | words
            for line_end, least in ((b"", 1), (b"\n", min(_WAIT, len(needle) // 2)))
            for size in range(least, len(needle))
        }
        prefixed = any(map(_LIKE_LINE_START.match, needles | fragments))
        self.views = (*_VIEWS, _AS_IT_IS) if prefixed else _VIEWS
        either = b"|".join(map(re.escape, sorted(words)))
        self.words = (
            re.compile(rb"(?<![A-Za-z0-9])(?:%b)(?![A-Za-z0-9])" % either) if words else None
        )
        self._places = lru_cache(4096)(lambda word: [at for at, _ in _find(word, self._corpus)])

    def search(self, view: bytes) -> Iterator[Span]:
        """Yield the byte ranges (start, end) of needles in `view`, and of parts of fragments with
        at least FRAGMENT bytes. They may overlap. `secrets_in` finds the `words`."""
        for needle in self._short:
            if needle in view:
                yield from _find(needle, view)
        words = _words(view)[::2]
        if self._known_words.isdisjoint(words):
            return
        for at, word in zip(range(0, len(view), 16), words, strict=False):
            for needle in self._long.get(word, ()):
                size = len(needle)  # only the one with this word: another may come before it
                start = view.find(needle, max(0, at + 8 - size), at + size)
                if start >= 0:
                    yield start, start + size
            if word in self._fragment_words:
                for left, right in set(self._agreeing(view, at)):
                    if left + 8 + right >= FRAGMENT:
                        yield at - left, at + 8 + right

    def _agreeing(self, view: bytes, at: int) -> Iterator[Span]:
        """How many bytes left and right of the word at `at` agree with each fragment that contains
        it. It is enough to look as far as the next word that is looked up."""
        low, end = max(0, at - FRAGMENT), at + 8
        before, after = view[low:at][::-1], view[end : end + FRAGMENT]
        for place in self._places(view[at:end]):
            left = self._corpus[max(0, place - FRAGMENT) : place][::-1]
            right = self._corpus[place + 8 : place + 8 + FRAGMENT]
            yield _agreement(before, left), _agreement(after, right)

    def unfinished(self, view: bytes, *, line_ended: bool) -> int:
        """How many bytes at the end of `view` may be the beginning of a secret; 0 for none.
        `line_ended`: the text from which the view was made ends with a newline."""
        size = 0
        last_word = len(view) - 8
        if last_word >= 0 and _words(view[last_word:])[0] in self._fragment_words:
            size = 8 + max(left for left, _ in self._agreeing(view, last_word))
        elif not line_ended:
            while size < min(7, len(view)) and view[-size - 1 :] in self._corpus:
                size += 1
        ends = (view[-longer:] for longer in range(size + 1, min(NEEDLE, len(view) + 1)))
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
# Line ends are between fragments too, so here they are something else.
_AS_IT_IS = (lambda text: text.replace(b"\n", b"\0"), lambda text: [(0, len(text))])


def _visible(text: bytes) -> tuple[bytes, list[Span]]:
    """The text as a terminal shows it, without backslashes, and the spans it consists of."""
    if b"\x1b" not in text and b"\r" not in text and b"\\" not in text:
        return text, [(0, len(text))]
    return _INVISIBLE.sub(b"", text), _between(_INVISIBLE, text)


def _project(found: Iterable[Span], spans: list[Span]) -> Iterator[Span]:
    """Map places in a view to places in the text; the view consists of the text's `spans`."""
    spans = [span for span in spans if span[0] < span[1]]
    starts = list(accumulate((end - start for start, end in spans), initial=0))
    for low, high in found:
        at = bisect_right(starts, low) - 1
        while at < len(spans) and starts[at] < high:
            start, end = spans[at]
            yield start + max(low - starts[at], 0), min(start + high - starts[at], end)
            at += 1


def _from_backslashes(text: bytes, at: int) -> int:
    """Move `at` to before the backslashes that precede it, if they are few."""
    before = text[max(0, at - _WAIT) : at]
    return at - len(before) + len(before.rstrip(b"\\"))


def secrets_in(index: Index, text: bytes) -> list[Span]:
    """The byte ranges (start, end) of the secrets in `text`, in order and without overlaps."""
    plain, plain_spans = _visible(text)
    found: list[Span] = []
    for view, spans in index.views:
        if hits := list(index.search(view(plain))):
            found += _project(_project(hits, spans(plain)), plain_spans)
    if index.words:
        found += _project((word.span() for word in index.words.finditer(plain)), plain_spans)
    secrets: list[Span] = []
    for low, end in sorted(found):
        start = _from_backslashes(text, low)
        if secrets and start <= secrets[-1][1]:
            secrets[-1] = (secrets[-1][0], max(end, secrets[-1][1]))
        else:
            secrets.append((start, end))
    return secrets


def open_from(index: Index, text: bytes, secrets: list[Span]) -> int:
    """The offset from which the end of `text` may be the beginning of a secret; the length of
    `text` if it cannot be one. Looks at the last _HELD bytes. `secrets` are those found in it
    (`secrets_in`): what is replaced as a part of one is not held back."""
    skipped = max(0, len(text) - _HELD)
    plain, plain_spans = _visible(text[skipped:])
    lines = plain[: plain.rfind(b"\n") + 1]  # of an unfinished line the last word is not known
    starts = [len(text)]
    for view, spans in index.views:
        for part in {plain, lines}:
            end = len(view(part))
            size = index.unfinished(view(part), line_ended=part.endswith(b"\n"))
            tail = _project([(end - size, end)], spans(part)) if size else ()
            for low, high in _project(tail, plain_spans):
                removed_to = (to for start, to in secrets if start <= skipped + low < to)
                if (start := next(removed_to, skipped + low)) < skipped + high:
                    starts.append(start)
    return _from_backslashes(text, min(starts))
