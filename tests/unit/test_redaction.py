"""No secret leaves in any spelling, wherever the output is split; ordinary text stays as it is."""

from __future__ import annotations

import base64
import html
import json
import random
import re
import shlex
import shutil
import string
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, urlsplit

import pytest

from ci_deploy.output.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Spelling = Callable[[str], str]

MARK = "[REDACTED]"
PREFIXES = ("", "remote: ", "2026-11-20T12:00:00.123Z ", "│ ", "app[web.1]: ", "\t")


def private_key(kind: str, size: int, seed: int) -> str:
    """What looks like a key; a real one would make scanners of this repository nervous."""
    code = base64.b64encode(random.Random(seed).randbytes(size)).decode()
    lines = [code[at : at + 64] for at in range(0, len(code), 64)]
    return "\n".join([f"-----BEGIN {kind} KEY-----", *lines, f"-----END {kind} KEY-----", ""])


KEY = private_key("OPENSSH PRIVATE", 290, seed=1)
KEY_BODY = "".join(KEY.split("\n")[1:-2])
RSA_KEY = private_key("RSA PRIVATE", 300, seed=2)
TOKEN = "xoxp-7Gq0Zt4WmB2kLr9VnY1cDf5HjS3a"
PASSWORD = "p@ss 'w\"0rd/<é&>$x\\y"
SHORT = "hunter2!"
QUOTE = "don't \\o/ panic"
HOOK = "https://chat.example.com/hooks/xk3j4h5k6j7h8g9f0d1s2a3q4w"
SECRETS = {"key": KEY, "token": TOKEN, "password": PASSWORD, "quote": QUOTE, "hook": HOOK}


def b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def lower_codes(text: str) -> str:
    return re.sub("%..", lambda code: code[0].lower(), text)


SPELLINGS: dict[str, Spelling] = {
    "plain": str,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "literal line ends": lambda text: text.replace("\n", "\\n"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON of Go": lambda text: (
        json.dumps(text)[1:-1]
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
    ),
    "percent": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: lower_codes(quote(text, safe="")),
    "percent, with slashes": quote,
    "form": quote_plus,
    "encodeURIComponent": lambda text: quote(text, safe="!'()*~"),
    "single quotes": shlex.quote,
    "single quotes, backslash": lambda text: text.replace("'", "'\\''"),
    "double quotes": lambda text: re.sub(r'([\\"$`])', r"\\\1", text),
    "backslashes": lambda text: re.sub(r"([^\w@%+=:,./\n-])", r"\\\1", text),
    "ANSI-C quotes": lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
    "HTML": html.escape,
    "HTML, decimal": lambda text: html.escape(text).replace("&#x27;", "&#39;"),
    "XML": lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": b64,
    "base64 without padding": lambda text: b64(text).rstrip("="),
    "base64, url-safe": url_safe,
    "base64 of CRLF": lambda text: b64(text.replace("\n", "\r\n")),
    "base64 of base64": lambda text: b64(b64(text)),
}
FOREIGN = {"umlauts": "pä$$ wörd é!", "emoji": "pass😀word $1 'x'", "Japanese": "日本 語=パス!"}
SAID_OF_FOREIGN = {
    "bash %q": ("bash", "-c", 'printf %q "$1"', "x"),
    "bash @Q": ("bash", "-c", 'echo "${1@Q}"', "x"),
    "bash -x": ("bash", "-c", 'set -x; : "$1"', "x"),
    "sh -x": ("sh", "-c", 'set -x; : "$1"', "x"),
    "Python": (sys.executable, "-c", "import sys; print(ascii(sys.argv[1]))"),
    "Ruby shellescape": ("ruby", "-rshellwords", "-e", "puts Shellwords.escape(ARGV[0])", "--"),
    "Ruby dump": ("ruby", "-e", "puts ARGV[0].dump", "--"),
    "Ruby inspect": ("ruby", "-e", "p ARGV[0]", "--"),
}
FORMS = [
    pytest.param(secret, spelling, id=f"{name}, {form}")
    for name, secret in SECRETS.items()
    for form, spelling in SPELLINGS.items()
]


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.add(*SECRETS.values(), SHORT)
    return redactor


def visible(shown: str) -> str:
    """What an attacker reads: line ends, prefixes and colours taken out, marks in."""
    shown = re.sub(r"\x1b\[[0-9;]*[mK]", "", shown)
    lines = shown.split("\n")
    for prefix in PREFIXES[1:]:
        lines = [line.removeprefix(prefix) for line in lines]
    return "".join(lines)


def assert_safe(shown: str, printed: str, window: int = 10) -> None:
    """No stretch of what was printed is left."""
    text, form = visible(shown), printed.replace("\n", "").replace("\r", "")
    window = min(window, len(form))
    leaks = [at for at in range(len(form) - window + 1) if form[at : at + window] in text]
    assert not leaks, f"{form[leaks[0] :][:window]} in {shown}"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("program", SAID_OF_FOREIGN)
@pytest.mark.parametrize("secret", FOREIGN)
def test_real_programs_may_quote_letters_that_are_not_ascii(
    secret: str, program: str, locale: str
) -> None:
    """Each escapes them in a way of its own, and another one in the locale C. (faults J12)"""
    argv = SAID_OF_FOREIGN[program]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not here")
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": locale}
    done = subprocess.run([*argv, FOREIGN[secret]], capture_output=True, check=True, env=environ)
    redactor = Redactor()
    redactor.add(FOREIGN[secret])
    stream = redactor.stream()
    printed = done.stdout + done.stderr
    shown = stream.feed(printed) + stream.flush()
    assert MARK.encode() in shown
    left = shown.replace(MARK.encode(), b"")
    assert len(left) <= len(b"+ : $''\n"), (printed, shown)


def key_in(printed: str) -> str:
    """Without the header and footer, which are no secret, and which some spellings leave as is."""
    generic = r".*?BEGIN\W.*?KEY-----|-----END.*"
    return re.sub(generic, "", printed.replace("\\-", "-"), flags=re.DOTALL)


def in_chunks(redactor: Redactor, chunks: Iterable[bytes]) -> str:
    stream = redactor.stream()
    shown = b"".join([stream.feed(chunk) for chunk in chunks]) + stream.flush()
    return shown.decode()


def cut(data: bytes, rng: random.Random, pieces: int) -> list[bytes]:
    edges = sorted(rng.randint(0, len(data)) for _ in range(pieces - 1))
    return [data[low:high] for low, high in zip([0, *edges], [*edges, len(data)], strict=True)]


def wrapped(text: str, width: int, prefix: str = "") -> str:
    return "\n".join(prefix + text[at : at + width] for at in range(0, len(text), width))


# --- spellings ---


@pytest.mark.parametrize(("secret", "spelling"), FORMS)
def test_every_spelling_is_removed(redactor: Redactor, secret: str, spelling: Spelling) -> None:
    printed = spelling(secret)
    text = f"before {printed} after"
    assert Redactor().text(text) == text  # it is the redactor that removes it
    shown = redactor.text(text)
    assert_safe(shown, printed if secret != KEY else key_in(printed))
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    if "\n" not in printed and secret != KEY:
        assert re.fullmatch(r"before ['\"]?\[REDACTED\]['\"]? after", shown)


@pytest.mark.parametrize(("secret", "spelling"), FORMS)
def test_no_split_lets_it_through(redactor: Redactor, secret: str, spelling: Spelling) -> None:
    data = f"before {spelling(secret)} after\n".encode()
    whole = redactor.text(data.decode())
    splits = range(len(data))
    for at in splits if len(data) < 80 else random.Random(4).sample(splits, 4):
        assert in_chunks(redactor, [data[:at], data[at:]]) == whole


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("name", ["plain", "base64"])
def test_byte_by_byte_is_no_way_out(redactor: Redactor, secret: str, name: str) -> None:
    data = f"before {SPELLINGS[name](secret)} after\n".encode()
    shown = in_chunks(redactor, [data[at : at + 1] for at in range(len(data))])
    assert shown == redactor.text(data.decode())


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("shift", range(3))
def test_base64_of_a_longer_text_is_removed(redactor: Redactor, secret: str, shift: int) -> None:
    """What attackers print is not the secret alone, but an environ or the memory with it."""
    text = f"{'x' * shift}{secret.strip()}yz"
    stable = slice((0, 2, 3)[shift], (shift + len(secret.strip().encode())) * 8 // 6)
    for code in (b64(text), url_safe(text)):
        assert_safe(redactor.text(f"dump: {code}"), code[stable])
        assert MARK in redactor.text(f"dump: {code}")
        twice = b64("ab" + code + "c")
        assert_safe(redactor.text(f"dump: {twice}"), twice[8:-8], window=16)


def test_the_header_of_a_key_is_no_secret(redactor: Redactor) -> None:
    shown = redactor.text(KEY).split("\n")
    assert shown[0] == "-----BEGIN OPENSSH PRIVATE KEY-----"
    assert shown[-2] == "-----END OPENSSH PRIVATE KEY-----"
    assert set(shown[1:-2]) == {MARK}


def test_each_line_of_a_secret_is_one() -> None:
    redactor = Redactor()
    redactor.add("first line\n  second line\nabc\n\nfourth line")
    assert redactor.text("see: second line!") == f"see: {MARK}!"
    assert redactor.text("abc and fourth line") == f"abc and {MARK}"
    assert redactor.text("c2Vjb25kIGxpbmU=") == MARK


def test_a_key_inside_json_is_also_known_as_a_file() -> None:
    """A service account: the program that gets it writes the key with real line ends."""
    redactor = Redactor()
    redactor.add(json.dumps({"type": "service_account", "private_key": RSA_KEY}, indent=2))
    assert_safe(redactor.text(RSA_KEY), "".join(RSA_KEY.split("\n")[1:-2]))
    assert_safe(redactor.text(b64(RSA_KEY)), b64(RSA_KEY)[48:-48])


def test_a_token_inside_json_is_also_known_alone() -> None:
    redactor = Redactor()
    redactor.add(json.dumps({"auths": {"https://registry.example.com/v1/": {"auth": b64(TOKEN)}}}))
    assert redactor.text(f"Authorization: Basic {b64(TOKEN)}") == f"Authorization: Basic {MARK}"


def test_a_part_of_a_key_is_a_leak_too(redactor: Redactor) -> None:
    for start in range(0, 200, 11):
        part = KEY_BODY[start : start + 30]
        assert redactor.text(f"key={part}…") == f"key={MARK}…"


def test_parts_of_a_url_are_secrets_of_their_own() -> None:
    redactor = Redactor()
    redactor.add("https://bot:s3cr3t%21+pw@chat.example.com/hooks/xk3j4h5k6j?token=tok-456789&n=1")
    error = "HTTPSConnectionPool(host='chat.example.com', port=443): url: /hooks/xk3j4h5k6j?token="
    assert redactor.text(error) == error.replace("hooks/xk3j4h5k6j", MARK)
    for part in ("s3cr3t%21+pw", "s3cr3t!+pw", "xk3j4h5k6j", "tok-456789"):
        assert redactor.text(f"it is {part}.") == f"it is {MARK}."
        assert redactor.text(b64(part)) == MARK
    assert (
        redactor.text("bot reads https://chat.example.com/")
        == "bot reads https://chat.example.com/"
    )


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("https://ci.example.com/hooks/deploy", ()),
        ("https://ci.example.com/production/notify-team?channel=dev-ops", ()),
        ("https://ci.example.com/hooks/xk3j4h5k6j/production", ("xk3j4h5k6j",)),
        ("https://ci.example.com/hooks/kqzvwxhjtrplmnbv", ("kqzvwxhjtrplmnbv",)),
        ("https://ci.example.com/hooks/aBcDeFgHiJkL", ("aBcDeFgHiJkL",)),
        ("https://ci.example.com/deploy?token=hunters", ("hunters",)),
        ("https://bot:hunters@ci.example.com/deploy", ("hunters",)),
    ],
)
def test_ordinary_words_in_a_url_are_no_secrets(url: str, hidden: tuple[str, ...]) -> None:
    redactor = Redactor()
    redactor.add(url)
    ordinary = "deploy hooks/deploy production notify-team dev-ops"
    assert redactor.text(ordinary) == ordinary
    whole = {url, urlsplit(url).path.strip("/")}
    assert set(redactor.masks()) - whole == set(hidden)
    assert redactor.text(f"called {url}") == f"called {MARK}"
    for part in hidden:
        assert redactor.text(f"it is {part}.") == f"it is {MARK}."


def test_a_token_in_the_place_of_the_user_is_a_secret() -> None:
    redactor = Redactor()
    redactor.add(f"https://{TOKEN}@github.example.com/shop/web.git")
    error = "fatal: could not read Password for 'https://{}@github.example.com': No such device"
    assert redactor.text(error.format(TOKEN)) == error.format(MARK)
    redactor.add("smtp://postmaster@mail.example.com:587")
    assert redactor.text("mail of postmaster") == "mail of postmaster"


def test_of_a_database_url_only_the_password_is_one() -> None:
    redactor = Redactor()
    url = "postgres://shop:s3cr3tpw@production-database-cluster.example.com/shop_production"
    redactor.add(url)
    assert redactor.text(f"DATABASE_URL={url}") == f"DATABASE_URL={MARK}"
    assert redactor.text("password s3cr3tpw") == f"password {MARK}"
    ordinary = "migrating shop_production on production-database-cluster.example.com"
    assert redactor.text(ordinary) == ordinary


# --- wrapped ---


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("before", ["", "ab" * 40 + "c"], ids=["aligned", "unaligned"])
@pytest.mark.parametrize(
    ("name", "width"),
    [("base64", 76), ("base64", 64), ("base64", 17), ("base64 of base64", 76), ("hex", 60)],
)
def test_a_wrapped_dump_of_a_key_is_removed(
    redactor: Redactor, name: str, width: int, before: str, prefix: str
) -> None:
    code = SPELLINGS[name](before + KEY)
    dump = wrapped(code, width, prefix)
    assert Redactor().text(dump) == dump
    secret = code[2 * len(before) + 4 : -4]
    assert_safe(redactor.text(dump), secret, window=8)
    assert_safe(in_chunks(redactor, dump.encode().splitlines(keepends=True)), secret, window=8)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["plain", "base64", "hex", "percent"])
def test_a_wrapped_token_is_removed_wherever_it_starts(
    redactor: Redactor, name: str, prefix: str
) -> None:
    form = SPELLINGS[name](TOKEN)
    for before in range(8, 78, 2):
        dump = wrapped("Q" * before + form + "Q" * 30, 76, prefix) + "\n"
        assert_safe(redactor.text(dump), form, window=4)
        # Line after line: at most 7 characters are shown before it is known what they begin.
        shown = in_chunks(redactor, dump.encode().splitlines(keepends=True))
        assert_safe(shown, form, window=8)
        assert MARK in shown


@pytest.mark.parametrize("prefix", ["", "remote: ", "2026-11-20T12:00:00.123Z ", "│ "])
@pytest.mark.parametrize("form", [PASSWORD, SHORT, TOKEN, b64(PASSWORD), json.dumps(PASSWORD)])
def test_a_secret_in_a_wrapped_sentence_is_removed(
    redactor: Redactor, form: str, prefix: str
) -> None:
    for width in range(4, 40):
        text = wrapped(f"the password {form} was wrong, it says", width, prefix)
        assert_safe(redactor.text(text), form, window=4)
        assert_safe(redactor.text(text.replace("\n", "\r\n")).replace("\r", ""), form, window=4)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_split_lets_a_wrapped_secret_through(redactor: Redactor, prefix: str) -> None:
    """Also not where the next line's prefix is cut off."""
    for width in (9, 25):
        data = wrapped(f"token={TOKEN}", width, prefix).encode()
        for at in range(len(data)):
            assert_safe(in_chunks(redactor, [data[:at], data[at:]]), TOKEN, window=8)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "secret",
    ["00000000", "2026:11:30", "20261130 hunter", "remote: hunter", "│ hunter", "abcdefgh"],
)
def test_secret_that_looks_like_the_prefix_of_a_line_is_removed(secret: str, prefix: str) -> None:
    """Hypothesis has found the first of them."""
    redactor = Redactor()
    redactor.add(secret)
    for form in (secret, secret.encode().hex()):
        text = f"one\n{prefix}{form} after\n"
        assert redactor.text(text) == f"one\n{prefix}{MARK} after\n"
        data = text.encode()
        for at in range(len(data)):
            assert in_chunks(redactor, [data[:at], data[at:]]) == redactor.text(text)


def test_blank_lines_in_between_change_nothing() -> None:
    redactor = Redactor()
    redactor.add(TOKEN)
    for end in ("\n", "\r\n"):
        text = f"is {TOKEN[:9]}{end * 3}{TOKEN[9:]}{end}"
        assert redactor.text(text) == f"is {MARK}{end * 3}{MARK}{end}"


def test_words_at_the_ends_of_lines_are_no_wrapped_secret() -> None:
    redactor = Redactor()
    redactor.add("firstsecond")
    text = "one first two\nthree second four\n"
    assert redactor.text(text) == text


# --- backslashes ---


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_whatever_a_program_puts_backslashes_before_is_removed(size: int) -> None:
    """zsh leaves other signs alone than bash, and fish others again. (faults J12)"""
    secret = "bgHRxxgBCoDA.@%|,~#(x)3ReO"
    redactor, choose = Redactor(), random.Random(size)
    redactor.add(secret)
    for _ in range(200):
        printed = "".join(choose.choice(["", "\\"]) + sign for sign in secret)
        data = f"is {printed} here\n".encode()
        shown = in_chunks(redactor, [data[at : at + size] for at in range(0, len(data), size)])
        assert shown in {f"is {MARK} here\n", f"is \\{MARK} here\n"}


def test_backslashes_without_end_are_not_held_back(redactor: Redactor) -> None:
    stream, flood = redactor.stream(), b"\\" * 100_000
    shown = sum(len(stream.feed(flood)) for _ in range(5))
    assert 5 * len(flood) - 100 < shown <= 5 * len(flood)


def test_json_document_is_hidden_in_another_layout_too() -> None:
    """GitHub's own masks know only its lines as they are."""
    account = {"id": 123, "uname": "john-doe", "password": 'foo"b/ar', "auth": {"token": "t0k3n77"}}
    account |= {"private_key": KEY, "token_uri": "https://example.com/token"}
    redactor = Redactor()
    redactor.add(json.dumps(account))
    shown = redactor.text(f'{json.dumps(account, indent=2)} password: foo"b/ar, {KEY}')
    assert "john-doe" in shown
    assert "https://example.com/token" in shown
    assert not [each for each in ("foo", "t0k3n77", *KEY.split()[4:-4]) if each in shown]


def test_literal_line_ends_may_be_printed_as_real_ones() -> None:
    """`echo -e` does that."""
    redactor = Redactor()
    redactor.add(r"first-half\nsecond-half")
    assert redactor.text("first-half\nsecond-half\n") == f"{MARK}\n{MARK}\n"


# --- colours ---


@pytest.mark.parametrize("code", ["\x1b[31m", "\x1b[01;31m\x1b[K", "\x1b[m"])
@pytest.mark.parametrize("form", [TOKEN, PASSWORD, SHORT, b64(PASSWORD)])
def test_colours_do_not_hide_a_secret(redactor: Redactor, form: str, code: str) -> None:
    for at in range(1, len(form)):
        text = f"found: {form[:at]}{code}{form[at:]}\x1b[0m in it\n"
        shown = redactor.text(text)
        known = shown.replace(f"\\{code}", code)  # the password's own backslash may stay
        assert known == f"found: {MARK}{code}\x1b[0m in it\n"
        data = text.encode()
        middle = len(f"found: {form[:at]}".encode()) + len(code) // 2
        assert in_chunks(redactor, [data[:middle], data[middle:]]) == redactor.text(text)


# --- streams ---


def test_the_chunks_make_no_difference(redactor: Redactor) -> None:
    rng = random.Random(7)
    ordinary = ["Counting objects: 100% (12/12)", "built 3f2a9c1e", "\x1b[32mok\x1b[0m", "é│ü"]
    for _ in range(30):
        lines = []
        for _ in range(4):
            form = rng.choice(list(SPELLINGS.values()))(rng.choice([KEY, TOKEN, PASSWORD, HOOK]))
            lines += [rng.choice(ordinary), f"{rng.choice(ordinary)} {form} {rng.choice(ordinary)}"]
        data = "\n".join(lines).encode()
        assert in_chunks(redactor, cut(data, rng, rng.choice([2, 10, 50]))) == redactor.text(
            data.decode()
        )


def test_ordinary_lines_come_out_at_once(redactor: Redactor) -> None:
    stream = redactor.stream()
    rng = random.Random(3)
    for _ in range(300):
        words = rng.choices(["deploy", "web.1", "http", "x", "3f2a9c", "p@", "hun", "..."], k=6)
        line = f"{' '.join(words)}\n".encode()
        assert stream.feed(line) == line


def test_removed_lines_come_out_at_once(redactor: Redactor) -> None:
    stream = redactor.stream()
    for line in wrapped(b64(KEY)[60:], 76, "remote: ").splitlines():
        assert stream.feed(f"{line}\n".encode()) == f"remote: {MARK}\n".encode()


def test_only_the_beginning_of_a_secret_is_held_back(redactor: Redactor) -> None:
    stream = redactor.stream()
    assert stream.feed(f"token {TOKEN[:20]}".encode()) == b"token "
    assert stream.feed(b"? no\n") == f"{TOKEN[:20]}? no\n".encode()
    for at in range(len(HOOK)):
        stream = redactor.stream()
        assert len(stream.feed(f"see {HOOK[:at]}".encode())) >= 4 + at - 64


def test_a_line_that_ends_with_a_beginning_waits_for_the_next(redactor: Redactor) -> None:
    for secret in (TOKEN, PASSWORD, SHORT):
        for prefix in ("", "remote: "):
            stream = redactor.stream()
            half = len(secret) // 2
            assert stream.feed(f"{prefix}is {secret[:half]}\n".encode()) == f"{prefix}is ".encode()
            for byte in f"{prefix}{secret[half:]} or not\n":
                shown = stream.feed(byte.encode())
                assert byte == "\n" or secret[half:] not in shown.decode()
            assert stream.flush() == b""


def test_a_beginning_is_not_held_back_forever(redactor: Redactor) -> None:
    stream = redactor.stream()
    stream.feed(TOKEN[:9].encode())
    assert b"".join(stream.feed(b"\n" * 100) for _ in range(100)).startswith(TOKEN[:9].encode())


def test_flush_gives_the_rest(redactor: Redactor) -> None:
    stream = redactor.stream()
    assert stream.feed(b"ends with xox") == b"ends with "
    assert stream.flush() == b"xox"
    assert stream.flush() == b""


def test_a_secret_that_becomes_known_later_is_removed_from_then_on() -> None:
    redactor = Redactor()
    stream = redactor.stream()
    assert stream.feed(b"token abc-123-def\n") == b"token abc-123-def\n"
    redactor.add("abc-123-def")
    assert stream.feed(b"token abc-123-def\n") == b"token [REDACTED]\n"


# --- no false alarms ---


def test_what_is_shorter_than_six_characters_is_no_secret() -> None:
    redactor = Redactor()
    redactor.add("", "a", "12345", " true \n")
    text = "a deploy of 12345 is true; MTIzNDU= 3132333435"
    assert redactor.text(text) == text
    assert redactor.masks() == []
    redactor.add("a\nb\nc\nd", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----")
    assert redactor.text(f"abcd {text}") == f"abcd {text}"


def test_words_that_a_run_says_all_the_time_are_no_secrets() -> None:
    redactor = Redactor()
    redactor.spare("My-Project", "canary", "")
    redactor.add("my-project", "canary", "production", "postgres://shop:canary@db/shop", "canary2")
    text = "deploy my-project to production; canary"
    assert redactor.text(text) == text
    assert redactor.text("canary2") == MARK


def test_ordinary_text_stays_as_it_is(redactor: Redactor) -> None:
    rng = random.Random(5)
    public = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b64(rng.randbytes(30))} root@ci"
    lines = [public, "/usr/lib/python3/dist-packages/pkg_resources/__init__.py", "hunter2 http://"]
    lines += [rng.randbytes(20).hex(), b64(rng.randbytes(100)), b64("-----BEGIN CERTIFICATE-----")]
    lines += ["-----BEGIN OPENSSH PRIVATE KEY-----", "https://chat.example.com/hooks/", "password"]
    lines += ["".join(rng.choices(string.printable, k=90)) for _ in range(2000)]
    text = "\n".join(lines)
    assert redactor.text(text) == text
    assert in_chunks(redactor, cut(text.encode(), rng, 50)) == text


def test_bytes_that_are_no_utf_8_and_lone_surrogates_do_no_harm(redactor: Redactor) -> None:
    assert in_chunks(redactor, [b"before \xe2\x94", b"\x82 after"]) == "before │ after"
    assert redactor.stream().feed(b"\xff\xfe\n") == b"\xff\xfe\n"
    for odd in ("\udc80", "\ud800"):
        assert TOKEN not in redactor.text(f"{odd} {TOKEN}")
        other = Redactor()
        other.add(f"secret{odd}secret")
        assert other.text(f"a secret{odd}secret") == f"a {MARK}"


# --- masks ---


def test_masks_are_single_lines_and_parts_of_urls() -> None:
    redactor = Redactor()
    redactor.add(KEY, TOKEN, HOOK, "abc", "one line\r\nabc\r\nother line")
    masks = redactor.masks()
    assert all("\n" not in mask and "\r" not in mask and len(mask) >= 6 for mask in masks)
    assert {TOKEN, HOOK, HOOK.rpartition("/")[2], "one line", "other line"} <= set(masks)
    assert set(KEY.split("\n")[1:-3]) <= set(masks)
    assert not [mask for mask in masks if mask.startswith("-----")]
    assert len(masks) == len(set(masks))


def test_secret_that_is_an_ordinary_word_is_hidden_only_where_it_stands_alone() -> None:
    """Else every other line of the log would be unreadable (faults J8)."""
    redactor = Redactor()
    redactor.add("server", "Hello-World-7")
    assert redactor.hides_as_word("server")
    assert not redactor.hides_as_word("Hello-World-7")
    assert redactor.text("webserver servers PASS=server; server") == (
        "webserver servers PASS=[REDACTED]; [REDACTED]"
    )
    assert redactor.text("serv\x1b[1mer\nserver") == "[REDACTED]\x1b[1m\n[REDACTED]"
    code = base64.b64encode(b"server").decode()
    assert code not in redactor.text(code)
    stream = redactor.stream()
    shown = b"".join(map(stream.feed, (b"my ser", b"ver, serv", b"ers\n")))
    assert shown + stream.flush() == b"my [REDACTED], servers\n"


@pytest.mark.parametrize("size", [24, 29, 31, 40, 63, 64, 90])
def test_secret_that_stands_in_line_after_line_is_removed_from_each(size: int) -> None:
    """Joined, the lines have it several times within a few bytes."""
    secret = ("UEPqMErph9rh%~:'`<.kzQKA8kxtC&;" * 3)[:size]
    redactor = Redactor()
    redactor.add(secret)
    for shift in range(16):
        shown = redactor.text("." * shift + f"\nremote: {secret}" * 5 + "\nremote: the end")
        assert shown.count("[REDACTED]") == 5
        assert secret not in shown
