"""What is between the markers of a one-off command, however it is cut into pieces."""

from __future__ import annotations

import random
import time

import pytest

from ci_deploy.layers.providers.heroku import markers
from ci_deploy.layers.providers.heroku.markers import Markers

WORD = "0123456789abcdef01234567"


def said(output: bytes, code: int = 17, *, newline: bytes = b"\n") -> bytes:
    """All that comes from a dyno: banner gone, the marker before and after."""
    start = f"{WORD}:pre\n{WORD}:begin\n".encode()
    end = f"{WORD}:end:{code}:{WORD}\n".encode()
    return (start + output + end).replace(b"\n", newline) if newline != b"\n" else (
        start + output + end
    )  # fmt: skip


def read(*pieces: bytes) -> tuple[bytes, Markers]:
    """What is shown, and what was understood."""
    found = Markers(WORD)
    shown = b"".join(found.feed(piece) for piece in pieces)
    return shown + found.rest(), found


OUTPUT = b"one\ntwo\r\n\n  three \xff without an end"


def test_every_place_where_it_may_be_split() -> None:
    whole = said(OUTPUT)
    for place in range(len(whole) + 1):
        shown, found = read(whole[:place], whole[place:])
        assert (shown, found.code, found.begun) == (OUTPUT, 17, True), place


def test_output_is_shown_at_once_unless_a_marker_may_begin_there() -> None:
    found = Markers(WORD)
    found.feed(f"{WORD}:pre\n{WORD}:begin\n".encode())
    assert found.feed(b"half a line") == b"half a line"
    assert found.feed(b"\n01234") == b"\n"
    assert found.feed(b"X\n") == b"01234X\n"
    assert found.feed(f"{WORD} is a word\n".encode()) == b""
    assert found.feed(b"x" * 64).startswith(WORD.encode())


def test_byte_by_byte() -> None:
    whole = said(OUTPUT)
    shown, found = read(*(whole[i : i + 1] for i in range(len(whole))))
    assert (shown, found.code) == (OUTPUT, 17)


def test_cut_off_anywhere_is_never_taken_for_an_end() -> None:
    whole = said(OUTPUT)
    for place in range(len(whole)):
        shown, found = read(whole[:place])
        assert found.code is None, place
        assert OUTPUT.startswith(shown[: len(OUTPUT)])


def test_output_before_a_cut_is_shown() -> None:
    whole = said(OUTPUT)
    shown, _ = read(whole[: whole.index(b"without")])
    assert shown == OUTPUT[: OUTPUT.index(b"without")]


@pytest.mark.parametrize("code", [0, 1, 2, 17, 98, 126, 127, 137, 255])
def test_every_code(code: int) -> None:
    assert read(said(b"", code))[1].code == code


def test_carriage_returns_do_not_matter() -> None:
    shown, found = read(said(b"hello\n", 3, newline=b"\r\n"))
    assert (shown, found.code) == (b"hello\r\n", 3)


def test_signs_of_life_are_not_shown_wherever_they_come() -> None:
    tick = f"{WORD}:tick\n".encode()
    shown, found = read(said(b"begin" + tick + b" of a line\n" + tick + tick + b"end"))
    assert (shown, found.code) == (b"begin of a line\nend", 17)


def test_end_without_a_beginning_still_has_the_true_code() -> None:
    shown, found = read(f"lost{WORD}:end:5:{WORD}\n".encode())
    assert (shown, found.code, found.begun) == (b"", 5, False)


@pytest.mark.parametrize(
    "imitated",
    [
        b"\n\xef\xbf\xbf heroku-command-exit-status: 0\n",
        b"\n:end:0:\n",
        b"\n0123456789abcdef01234567:end:0\n",
        b"\n0123456789abcdef01234567:end:0:0123456789abcdef\n",
        b"\n0123456789abcdef01234567:end::0123456789abcdef01234567\n",
        b"\n0123456789abcdef01234567:begin\n",
    ],
)
def test_what_only_looks_like_an_end_is_output(imitated: bytes) -> None:
    shown, found = read(said(imitated, 17))
    assert (shown, found.code) == (imitated, 17)


def test_what_comes_after_the_end_is_not_shown() -> None:
    shown, found = read(said(b"x", 0) + b"logout\n", b"more")
    assert (shown, found.code) == (b"x", 0)


def test_random_pieces_of_much_output() -> None:
    dice = random.Random(7)
    output = dice.randbytes(200_000)
    whole = said(output)
    pieces, at = [], 0
    while at < len(whole):
        size = dice.choice([1, 7, 63, 64, 65, 4096, 65536])
        pieces.append(whole[at : at + size])
        at += size
    shown, found = read(*pieces)
    assert shown == output
    assert found.code == 17


def test_deadlines() -> None:
    now = time.monotonic()
    found = Markers(WORD)
    assert found.deadline() == pytest.approx(now + markers.START, abs=1)
    found.feed(b"x")
    assert found.deadline() == pytest.approx(now + markers.SILENCE, abs=1)
    found.feed(said(b"", 0))
    assert found.deadline() == pytest.approx(now + markers.AFTER_END, abs=1)
    assert Markers(WORD, 5).deadline() == pytest.approx(time.monotonic() + 5, abs=1)


def test_reason_of_a_deadline_is_only_there_when_it_has_passed() -> None:
    found = Markers(WORD, 0.0)
    assert found.deadline() <= time.monotonic()
    assert found.why == "it timed out"
    found = Markers(WORD)
    found.deadline()
    assert found.why == ""
