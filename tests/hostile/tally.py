"""How often each kind of attack was tried, and how often something was lost: docs/reliability.md.

A plugin of pytest; with `--reliability` the run writes its figures into the page.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
TABLE = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end -->)", re.S)
HEAD = "| what | tried | lost |\n|---|---:|---:|\n"
Record = Callable[[str, object], None]


class Kind(enum.Enum):
    """What is tried; the value is the row of the page."""

    SSH = "Faults of an ssh connection (Dokku)"
    HTTP = "Faults of HTTP (Heroku)"
    HOST = "Faults of an ssh connection (Docker host)"
    MACHINES = "Full disks, missing directories, limits of the machine, logs that nobody reads"
    CLOCKS = "Clocks of runners that are set while a run goes on"
    KILLS_DOKKU = "Signals at random moments (Dokku)"
    KILLS_HEROKU = "Signals at random moments (Heroku)"
    MEMORY = "Jobs whose memory ends: SIGKILL to git, to ssh, or to what is largest"
    LOAD = "Endless lines and floods of them, with at most 64 MiB of memory"
    HUGE = "Repositories of 100,000 commits or 50,000 files, with at most 64 MiB of memory"
    FORMS = "Secrets: forms and splits, into the log"
    SINKS = "Secrets: forms that a server prints, into all that a run writes"
    PARSERS = "Damaged texts for parsers"
    OUTPUTS = "Foreign texts in outputs, dotenv, summary and reports"
    TLS = "Bad, old and broken TLS"
    HOST_KEYS = "Host keys and certificates, pinned rightly and wrongly"
    KEYS = "Private keys: types, formats and forms"
    IMPOSTORS = "Another server in between, at a connection of a run"
    CONTENTS = "Files of images, in all layers"
    LOCKED = "Hashes and commits that lock what is built in"
    STRANGERS = "Connections of deploys, to targets only"


def tried(record: Record, kind: Kind, count: int = 1) -> None:
    """So many attacks of a kind begin; they are lost unless the test passes."""
    record("hostile", [kind.name, count])


def read() -> dict[str, tuple[int, int]]:
    """What the page has: row → tried, lost."""
    table = TABLE.search(PAGE.read_text(encoding="utf-8"))
    found = re.findall(r"(?m)^\| (.+) \| ([\d,]+) \| ([\d,]+) \|$", table[0] if table else "")
    number = [
        (row, int(tried.replace(",", "")), int(lost.replace(",", ""))) for row, tried, lost in found
    ]
    return {row: (tried, lost) for row, tried, lost in number}


def write(figures: dict[str, tuple[int, int]]) -> str:
    """Put these rows into the page, those that are not there as they were; the table."""
    every = {**read(), **figures}
    table = HEAD + "".join(
        f"| {kind.value} | {every[kind.value][0]:,} | {every[kind.value][1]:,} |\n"
        for kind in Kind
        if kind.value in every
    )
    PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return table


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make hostile` gives it."""
    parser.addoption("--reliability", action="store_true", help="write docs/reliability.md")


_tried, _lost = Counter[Kind](), Counter[Kind]()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of the whole run, whichever worker it was."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == "hostile" and isinstance(value, list):
            kind = Kind[value[0]]
            _tried[kind] += value[1]
            _lost[kind] += value[2] if len(value) > 2 else value[1] * report.failed


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures; write them, too."""
    if not _tried or not config.getoption("--reliability", default=False):
        return
    terminalreporter.write_line(write({kind.value: (_tried[kind], _lost[kind]) for kind in _tried}))
