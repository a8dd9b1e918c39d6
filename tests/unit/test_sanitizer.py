"""A program's output cannot steer the CI system or the terminal, and stays readable."""

from __future__ import annotations

import base64
import random
import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from ci_deploy.output.redaction import Redactor
from ci_deploy.output.sanitizer import Sanitizer, clean

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN = "xoxp-7Gq0Zt4WmB2kLr9VnY1cDf5HjS3a"
PASSWORD = "p@ss 'w\"0rd/<é&>$x"
SECRET_LINES = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----".format(
    "\n".join(base64.b64encode(random.Random(line).randbytes(48)).decode() for line in range(6))
)
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
JOINER = "\u2060"


REDACTOR = Redactor()
REDACTOR.add(TOKEN, PASSWORD, SECRET_LINES)


def sanitized(chunks: Iterable[bytes], *, prefix: str = "") -> str:
    """All that is shown of the chunks, if no time passes."""
    shown: list[str] = []
    sanitizer = Sanitizer(REDACTOR, shown.append, prefix=prefix, clock=lambda: 0.0)
    for chunk in chunks:
        sanitizer.feed(chunk)
    sanitizer.close()
    return "".join(f"{lines}\n" for lines in shown)


def shown_of(text: str) -> str:
    return sanitized([text.encode()])


def halves(text: str) -> Iterable[list[bytes]]:
    data = text.encode()
    return ([data[:at], data[at:]] for at in range(len(data) + 1))


def bytewise(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


# --- models of those who read the log ---

DOTNET_BLANKS = (
    "".join(map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))))
    + "\u2028\u2029\u202f\u205f\u3000"
)


def github_commands(log: str) -> list[str]:
    """Lines that a runner of GitHub (or Azure) obeys, by actions/runner's ActionCommand."""
    lines = re.split("\r\n|\n|\r", log)
    new = [line for line in lines if re.match("::.*::", line.lstrip(DOTNET_BLANKS))]
    return new + [line for line in lines if re.search(r"##(vso)?\[.*\]", line, re.IGNORECASE)]


def gitlab_sections(log: str) -> list[str]:
    return re.findall(r"section_(?:start|end):\d+:", log)


def other_commands(log: str) -> list[str]:
    return re.findall(r"##teamcity\[|travis_(?:fold|time):", log, re.IGNORECASE)


def obeyed(log: str) -> list[str]:
    """What any CI system obeys, also if something in between takes the colours out."""
    return [
        command
        for text in (log, COLOUR.sub("", log))
        for commands in (github_commands, gitlab_sections, other_commands)
        for command in commands(text)
    ]


COMMANDS = [
    "::set-output name=url::https://evil.example.com",
    "::add-mask::e",
    "::stop-commands::x",
    "::error file=a,line=1::gotcha",
    ":::group::x",
    "##[add-mask]e",
    "##[group]x",
    "##vso[task.setvariable variable=x]y",
    "##VSO[task.complete result=Succeeded;]done",
    "##teamcity[buildStatus text='ok']",
    "section_start:1560896352:deploy[collapsed=true]\r\x1b[0Khidden",
    "section_end:1560896353:deploy\r\x1b[0K",
    "travis_fold:start:x",
]
DISGUISES = {
    "bare": "{}",
    "after a line": "before\n{}\nafter",
    "indented": "  \t{}",
    "no-break space": "\u00a0\u3000{}",
    "next line": "\u0085{}",
    "zero width": "\u200b\ufeff{}",
    "vertical tab": "\x0b\x0c{}",
    "line separator": "before\u2028{}",
    "carriage return": "50%\r{}",
    "carriage returns": "before\r\n\r{}\r",
    "colour": "\x1b[0m{}",
    "colours and blanks": " \x1b[31m \x1b[1m{}\x1b[0m",
    "cursor": "\x1b[2K\x1b[1A{}",
    "title": "\x1b]0;x\x07{}",
    "NUL": "\x00{}",
    "invalid": "\x1b\x1b[{}",
}
INSIDE = {
    "NUL": "\x00",
    "colour": "\x1b[31m",
    "cursor": "\x1b[K",
    "title": "\x1b]0;title\x1b\\",
    "8-bit": "\x9b1m",
    "bidi": "\u202e",
    "backspace": "\x08",
    "DEL": "\x7f",
    "line separator": "\u2028",
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_ci_system_obeys_a_forged_command(command: str, disguise: str) -> None:
    assert obeyed(command)  # it would without the sanitizer
    for chunks in ([disguise.format(command).encode()], bytewise(disguise.format(command))):
        shown = sanitized(chunks)
        assert not obeyed(shown), shown
        assert not obeyed(sanitized(chunks, prefix="│ "))


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("command", ["::set-output name=a::b", "##[add-mask]e", "section_end:1:x"])
def test_what_is_taken_out_does_not_bring_a_command_together(command: str, inside: str) -> None:
    for at in range(1, 13, 2):
        text = command[:at] + inside + command[at:]
        assert not obeyed(shown_of(text))
        for chunks in halves(text):
            assert not obeyed(sanitized(chunks))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_removed_secret_does_not_bring_a_command_together(command: str) -> None:
    for at in (1, 2, 5):
        shown = shown_of(command[:at] + TOKEN + command[at:])
        assert not obeyed(shown.replace("##[REDACTED]", ""))


@pytest.mark.parametrize("command", [command for command in COMMANDS if "\r" not in command])
def test_what_was_a_command_stays_readable(command: str) -> None:
    shown = shown_of(command)
    assert shown.replace(JOINER, "") == f"{command}\n"
    assert shown.count(JOINER) == 1


def test_a_section_of_gitlab_leaves_its_header() -> None:
    assert shown_of("section_start:1:a[collapsed=true]\r\x1b[0KHeader\n") == "Header\n"


@pytest.mark.parametrize("blank", ["\u200b", "\u200d", "\ufeff", "\u180e", "\u2060"])
def test_what_some_count_as_blanks_counts(blank: str) -> None:
    """Old versions of .NET trimmed some of them."""
    assert shown_of(f"{blank}::debug::x") == f"{blank}:{JOINER}:debug::x\n"


def test_ordinary_colons_and_hashes_are_left_alone() -> None:
    text = "ActiveRecord::Base a::b ## Title ###\nstd::move # [x] section_a: travis: 12::34\n"
    assert shown_of(text) == text


# --- terminals ---

ESCAPES = {
    "erase": "\x1b[2K",
    "cursor": "\x1b[1;2H",
    "private mode": "\x1b[?25l",
    "colour-like": "\x1b[>4;2m",
    "intermediate": "\x1b[1 m",
    "absurdly long colour": f"\x1b[{'1;' * 50}m",
    "8-bit erase": "\x9b2K",
    "title": "\x1b]0;payload\x07",
    "title, ST": "\x1b]2;payload\x1b\\",
    "title, 8-bit": "\x9d0;payload\x9c",
    "clipboard": "\x1b]52;c;cGF5bG9hZA==\x07",
    "link": "\x1b]8;;https://payload.example.com\x07",
    "DCS": "\x1bP1$rpayload\x1b\\",
    "DCS, 8-bit": "\x90payload\x9c",
    "APC": "\x1b_payload\x1b\\",
    "PM": "\x1b^payload\x1b\\",
    "SOS": "\x1bXpayload\x1b\\",
    "long payload": f"\x1b]0;{'payload' * 3000}\x07",
    "long payload, ST": f"\x1b]0;{'payload' * 9}\x1b\\",
    "charset": "\x1b(0",
    "reset": "\x1bc",
    "save": "\x1b7",
    "bell": "\x07",
    "NUL": "\x00",
    "backspace": "\x08",
    "DEL": "\x7f",
    "form feed": "\x0c",
    "next line": "\x85",
    "bidi": "\u202e\u2066\u2069\u200f\u061c",
    "separators": "\u2028\u2029",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_control_sequences_are_removed_with_their_payload(escape: str) -> None:
    assert shown_of(f"one{escape}two\n") == "onetwo\n"
    assert clean(f"one{escape}two\n") == "onetwo\n"
    data = f"one{escape}two\n".encode()
    for at in range(len(data)) if len(data) < 200 else (3, 5, 9, 5000, len(data) - 5):
        assert sanitized([data[:at], data[at:]]) == "onetwo\n"
    assert sanitized(bytewise(f"one{escape}two\n")) == "onetwo\n"


@pytest.mark.parametrize("introducer", ["\x1b]0;", "\x1bP", "\x1b_", "\x1b[1;1", "\x1b", "\x1b("])
def test_an_unfinished_sequence_ends_with_its_line(introducer: str) -> None:
    for chunks in ([f"a{introducer}\nnext\n".encode()], bytewise(f"a{introducer}\nnext\n")):
        assert sanitized(chunks) == "a\nnext\n"
    assert sanitized([f"last{introducer}".encode()]) == "last\n"


def test_colours_stay_and_end_with_the_line() -> None:
    assert shown_of("\x1b[32mok\x1b[0m\n") == "\x1b[32mok\x1b[0m\n"
    assert shown_of("\x1b[1;38:5:12mok\x1b[m\n") == "\x1b[1;38:5:12mok\x1b[m\n"
    assert shown_of("\x1b[31mone\ntwo\n") == "\x1b[31mone\x1b[0m\ntwo\n"
    assert sanitized(bytewise("\x1b[31mone\ntwo\n")) == "\x1b[31mone\x1b[0m\ntwo\n"


def test_invalid_utf_8_is_replaced() -> None:
    assert sanitized([b"a\xffb\n"]) == "a\ufffdb\n"
    assert sanitized([b"a\xe2\x94", b"\x82b\n"]) == "a│b\n"
    assert sanitized([b"a\xe2\x94", b"\n"]) == "a\ufffd\n"
    assert sanitized([b"a\xe2"]) == "a\ufffd\n"


# --- lines ---


def test_ordinary_output_is_not_changed() -> None:
    text = "remote: Building\n\n\ttabbed – é│✓ 漢字\n    indented\nlast\n"
    for chunks in halves(text):
        assert sanitized(chunks) == text


def test_each_line_has_the_prefix_and_a_last_one_needs_no_end() -> None:
    assert sanitized([b"one\n\ntwo\nthr", b"ee"], prefix="│ ") == "│ one\n│ \n│ two\n│ three\n"


def test_whole_lines_are_shown_at_once() -> None:
    shown: list[str] = []
    sanitizer = Sanitizer(Redactor(), shown.append)
    sanitizer.feed(b"one\ntwo\nthr")
    assert shown == ["one\ntwo"]
    sanitizer.feed(b"ee\n")
    assert shown == ["one\ntwo", "three"]
    sanitizer.close()
    sanitizer.close()
    assert shown == ["one\ntwo", "three"]


def test_of_progress_only_the_last_state_is_shown() -> None:
    text = "Counting: 10%\rCounting: 60%   \rCounting: 100%, done.   \r\nnext\r\nlast\rLAST   \r"
    for chunks in [*halves(text), bytewise(text)]:
        assert sanitized(chunks) == "Counting: 100%, done.\nnext\nLAST\n"


def test_of_a_long_progress_line_too_only_the_last_state_is_shown() -> None:
    text = f"{'a' * 10_000}\r{'b' * 10_000}\n"
    assert sanitized([text[:15_000].encode(), text[15_000:].encode()]) == f"{'b' * 10_000}\n"
    assert "\r" not in sanitized([text.encode()[:-1]])


def test_progress_that_lasts_is_shown_every_five_seconds() -> None:
    now = 0.0
    shown: list[str] = []
    sanitizer = Sanitizer(Redactor(), shown.append, clock=lambda: now)
    for percent in range(1, 100):
        now += 0.5
        sanitizer.feed(f"\r{percent}% of it".encode())
    assert shown == [f"{percent}% of it" for percent in range(10, 99, 10)]
    sanitizer.feed(b"\r100% of it\n")
    assert shown[-1] == "100% of it"
    now += 100
    sanitizer.feed(b"\r1% of the next\r2% of the next")
    assert shown[-1] == "100% of it"


def test_trailing_blanks_are_removed() -> None:
    assert shown_of("remote: Resolving        \nnext \t\n") == "remote: Resolving\nnext\n"


def test_a_long_line_is_shown_in_pieces() -> None:
    text = "0123456789" * 10_000
    for chunks in (
        [text.encode()],
        [text[at : at + 999].encode() for at in range(0, 100_000, 999)],
    ):
        lines = sanitized(chunks).splitlines()
        assert "".join(lines) == text
        assert {len(line) for line in lines[:-1]} == {16 * 1024}


def test_a_long_line_is_not_kept() -> None:
    shown: list[str] = []
    sanitizer = Sanitizer(Redactor(), shown.append)
    sanitizer.feed(b"a" * 16 * 1024)
    assert not shown
    sanitizer.feed(b"a" * 10)
    assert shown == ["a" * 16 * 1024]


@pytest.mark.parametrize("command", ["::set-output name=a::b", "##[add-mask]e"])
def test_a_piece_of_a_long_line_is_no_command(command: str) -> None:
    for before in range(16 * 1024 - len(command), 16 * 1024 + 1):
        text = "x" * before + command + "\n"
        assert not obeyed(shown_of(text))
        assert not obeyed(sanitized([text[:before].encode(), text[before:].encode()]))


def test_a_long_line_does_not_split_a_secret_or_a_colour() -> None:
    for before in range(16 * 1024 - len(TOKEN) - 1, 16 * 1024 + 2, 3):
        text = "x" * before + f"{TOKEN} \x1b[32mgreen\x1b[0m"
        for chunks in ([text.encode()], [text[: before + 9].encode(), text[before + 9 :].encode()]):
            shown = COLOUR.sub("", sanitized(chunks)).replace("\n", "")
            assert shown == "x" * before + "[REDACTED] green"


# --- secrets ---


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("secret", [TOKEN, PASSWORD])
def test_control_codes_do_not_hide_a_secret(secret: str, inside: str) -> None:
    for at in range(1, len(secret), 3):
        text = f"is {secret[:at]}{inside}{secret[at:]} it\n"
        for chunks in ([text.encode()], bytewise(text)):
            assert COLOUR.sub("", sanitized(chunks)) == "is [REDACTED] it\n"


def test_a_secret_in_many_lines_with_a_prefix_is_removed() -> None:
    code = base64.b64encode(f"abc{SECRET_LINES}".encode()).decode()
    dump = "".join(f"remote: {code[at : at + 76]}\n" for at in range(0, len(code), 76))
    assert code[:76] in dump
    for text in (dump, SECRET_LINES, SECRET_LINES.replace("\n", "\r\n")):
        for chunks in ([text.encode()], text.encode().splitlines(keepends=True)):
            shown = sanitized(chunks, prefix="│ ")
            left = re.sub(r"│ |remote: |\[REDACTED\]|-----.*?-----|\s", "", shown)
            assert len(left) < 10, shown


def test_the_tail_is_redacted_and_without_prefix_and_colours() -> None:
    redactor = Redactor()
    redactor.add(TOKEN)
    sanitizer = Sanitizer(redactor, lambda _: None, prefix="│ ", tail=3)
    sanitizer.feed(b"".join(b"\x1b[32mline %d\x1b[0m\n" % number for number in range(9)))
    sanitizer.feed(f"token {TOKEN}\nlast".encode())
    assert sanitizer.tail == ["line 7", "line 8", "token [REDACTED]"]
    sanitizer.close()
    assert sanitizer.tail == ["line 8", "token [REDACTED]", "last"]


# --- all together ---

ATOMS = [*COMMANDS, *DISGUISES.values(), *INSIDE.values(), *ESCAPES.values(), TOKEN, PASSWORD]
ATOMS += ["word", " ", "\t", ":", "#", "[", "\r", "\n", "\n", "\r\n", "\x1b", "é", "│", "{}", "%"]


def test_the_chunks_make_no_difference_and_nothing_gets_through() -> None:
    rng = random.Random(11)
    for _ in range(300):
        text = " ".join(rng.choices(ATOMS, k=rng.randint(1, 30)))
        data = text.encode()
        whole = sanitized([data])
        edges = sorted(rng.randint(0, len(data)) for _ in range(rng.choice([1, 5, 40])))
        parts = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
        assert sanitized(parts) == whole
        assert not obeyed(whole)
        plain = COLOUR.sub("", whole)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", plain)
        assert TOKEN not in plain
        assert PASSWORD not in plain


def test_memory_does_not_grow_with_the_output() -> None:
    redactor = Redactor()
    redactor.add(TOKEN, SECRET_LINES)
    sanitizer = Sanitizer(redactor, lambda _: None)
    long = b"1;" * 25_000
    for first, chunk in (
        (b"", b"an ordinary line\n" * 3000),
        (b"a line without end", long),
        (b"\x1b]0;a title without end", long),
        (b"\x1b[1;", long),
        (b"\x1b(", b"(" * 50_000),
        (b"progress", b"\r50%" * 10_000),
    ):
        sanitizer.feed(first + chunk)
        tracemalloc.start()
        for _ in range(20):
            sanitizer.feed(chunk)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < 500_000, first  # the tail are 20 long lines


# --- our own messages ---


def test_clean_makes_foreign_text_safe_and_keeps_lines() -> None:
    assert clean("branch \x1b[31mred\n two\r\nthree") == "branch \x1b[31mred\x1b[0m\n two\nthree"
    assert clean("a\x00b\u202ec\x1b]0;title\x07d") == "abcd"
    assert clean("feature/\udc80x") == "feature/x"
    for command in COMMANDS:
        for disguise in DISGUISES.values():
            assert not obeyed(clean(disguise.format(command)))
