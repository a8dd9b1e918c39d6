"""Whole logs as a person reads them, a page each: here stands the wording, and tests elsewhere
check what is meant.

A plugin of pytest: `golden("dokku/deploy", done.output)` compares with `dokku/deploy.txt` beside
this file, and `make golden` writes the pages anew, for a look at the difference.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from standins.support import ROOT

FOLDER = Path(__file__).parent


class Golden(Protocol):
    """Compare a text with a page, in which `places` (found → shown) stand for what varies."""

    def __call__(self, name: str, text: str, places: Mapping[str, str] = {}) -> None:
        """It is compared, or written."""


SECTION = re.compile(r"\x1b\[0Ksection_\w+:[^\r]*\r\x1b\[0K")
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
HASH = re.compile(r"\b(?!ed25519)[0-9a-f]{7}(?:[0-9a-f]{2}|[0-9a-f]{5}|[0-9a-f]{33})?\b")
VARYING = {
    re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d| UTC)?"): "DATE",
    re.compile(r"\b20\d{6}T\d{6}Z\b"): "DATE",
    re.compile(r" *\b\d+\.\d s\b"): " 0.0 s",
    re.compile(r"(?<=\bDeploy )[0-9a-f]{8}\b"): "a-push",  # as Heroku names it
    re.compile(r"SHA256:[\w+/]{43}"): "SHA256:FINGERPRINT",
    re.compile(r"(AAAA[\w+/]{20,}={0,2})"): "PUBLIC-KEY",
    re.compile(r"(?<=[a-z\d\]]):\d{5}\b"): ":PORT",
    re.compile(r"(?<=\bport )\d{5}\b|(?<=ssh -p )\d+\b"): "PORT",
    re.compile(r"\b(?=\w*\d)[0-9a-z]{25}\b"): "ID",  # of services and tasks
    re.compile(
        r"(?<=nothere)-\w{6}\b|(?<=good\d)-\w{6}\b|(?<=bad\d)-\w{6}\b|(?<=crash\d)-\w{6}\b"
    ): "-RELEASE",
    re.compile(r"^(.+)\n(?:\1\n)+", re.M): r"\1\n",  # how often is a matter of time
    re.compile(r"─+[┐┘]$| *│$", re.M): "",  # how wide a box is depends on what has been replaced
    re.compile(r"[ \t]+$", re.M): "",
}


def page(text: str, places: Mapping[str, str]) -> str:
    """The text without what differs from run to run. Each hash becomes a letter, the same one
    wherever it stands, so that it can be seen what is whose."""
    for found, name in places.items():
        text = text.replace(found, name)
    text = COLOUR.sub("", SECTION.sub("", text)).replace("\r", "")
    letters: dict[str, str] = {}

    def letter(found: re.Match[str]) -> str:
        short = found[0][:7]
        mine = letters.setdefault(short, string.ascii_lowercase[len(letters) % 26])
        return mine * len(found[0])

    text = HASH.sub(letter, text)
    for pattern, name in VARYING.items():
        text = pattern.sub(name, text)
    return text.strip("\n") + "\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--golden` writes the pages instead of comparing them."""
    parser.addoption("--golden", action="store_true", help="write tests/golden/ anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """To write them, no other test has to run."""
    if config.getoption("golden"):
        items[:] = [item for item in items if "golden" in getattr(item, "fixturenames", ())]


@pytest.fixture
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Golden]:
    """Compare a text with a page; all pages of a test are compared before it fails."""
    wrong: list[str] = []

    def compare(name: str, text: str, places: Mapping[str, str] = {}) -> None:
        path = FOLDER / f"{name}.txt"
        new = page(text, {str(tmp_path): "/tmp/test", str(ROOT): "/ci-deploy", **places})
        if request.config.getoption("golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(new, encoding="utf-8")
            return
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        between = difflib.unified_diff(
            old.splitlines(), new.splitlines(), f"{name}.txt", "now", lineterm=""
        )
        wrong.extend(between)

    yield compare
    if wrong:
        pytest.fail("\n".join([*wrong, "", "`make golden` writes it, if this is what is wanted."]))
