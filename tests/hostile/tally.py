"""How often each kind of attack was tried, and how often something was lost: docs/reliability.md.
Beside it, how the same went for scripts that people write by hand.

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
Record = Callable[[str, object], None]
Row = tuple[int, ...]


class Kind(enum.Enum):
    """What is tried; the value is the row of the page."""

    SSH = "Faults of an ssh connection (Dokku)"
    HTTP = "Faults of HTTP (Heroku)"
    PROMOTIONS = "Faults of HTTP during a promotion (Heroku)"
    HOST = "Faults of an ssh connection (Docker host)"
    SWARM = "Faults of an ssh connection (swarm)"
    RUNS = "Faults of an ssh connection during a one-off command (Dokku)"
    MACHINES = "Full disks, missing directories, limits of the machine, logs that nobody reads"
    CLOCKS = "Clocks of runners that are set while a run goes on"
    KILLS_DOKKU = "Signals at random moments (Dokku)"
    KILLS_HEROKU = "Signals at random moments (Heroku)"
    KILLS_HOST = "Signals at random moments (Docker host)"
    KILLS_SWARM = "Signals at random moments (swarm)"
    LACKING = "Full disks, limits of the machine and of its memory (Docker host, swarm)"
    MEMORY = "Jobs whose memory ends: SIGKILL to git, to ssh, or to what is largest"
    MANY = "Deploys at once, each of an app of its own: fifty on Dokku, ten on a Docker host"
    TOGETHER = "Deploys at once of one app"
    LOAD = "Endless lines and floods of them, with at most 64 MiB of memory"
    LOGS = "Build logs of 2 GB, with at most 64 MiB of memory"
    HUGE = "Repositories of 100,000 commits or 50,000 files, with at most 64 MiB of memory"
    FORMS = "Secrets: forms and splits, into the log"
    FOUND = "Secrets: values, forms and splits that Hypothesis makes, into the log"
    SINKS = "Secrets: forms that a server prints, into all that a run writes and sends"
    CHILDREN = "Programs that a run starts: their arguments and variables"
    PARSERS = "Damaged texts for parsers"
    OUTPUTS = "Foreign texts in outputs, dotenv, summary and reports"
    INJECTION = "Foreign names, messages, files and configurations in the workspace of a job"
    TLS = "Bad, old and broken TLS"
    HOST_KEYS = "Host keys and certificates, pinned rightly and wrongly"
    KEYS = "Private keys: types, formats and forms"
    IMPOSTORS = "Another server in between, at a connection of a run"
    CONTENTS = "Files of images, in all layers"
    LOCKED = "Hashes and commits that lock what is built in"
    STRANGERS = "Connections of deploys, to targets only"
    PACKETS = "Packets in a network namespace with a deploy, to targets only"


class Way(enum.Enum):
    """Who deploys, when we are compared with others; the value is the row of the page."""

    OURS_DOKKU = "Dokku: `ci-deploy deploy`"
    OFFICIAL = "Dokku: the steps of its official image"
    OURS_COMPOSE = "Docker host: `ci-deploy deploy`"
    COMPOSE = "Docker host: `docker compose up --wait`"
    OURS_SWARM = "swarm: `ci-deploy deploy`"
    STACK = "swarm: `docker stack deploy`"


WRONG = {  # what may go wrong with each → the column of the page
    "green": "success, not live",
    "red": "failure, though live",
    "unknown": "outcome unknown",
    "hung": "had to be ended",
    "between": "no whole release",
    "unhealed": "next run fails",
}


class Table(enum.Enum):
    """A table of the page: its mark, its rows and its columns of figures."""

    FIGURES = ("figures", Kind, ("what", "tried", "lost"))
    PEERS = ("peers", Way, ("who", "tried", *WRONG.values()))

    @property
    def place(self) -> re.Pattern[str]:
        """Where it stands."""
        return re.compile(rf"(?<=<!-- {self.value[0]} -->\n).*?(?=<!-- end -->)", re.S)

    @property
    def rows(self) -> list[str]:
        """The words that its rows begin with."""
        return [str(each.value) for each in self.value[1]]

    def shown(self, figures: dict[str, Row]) -> str:
        """These rows, in their order."""
        first, *rest = self.value[2]
        lines = [f"| {' | '.join([first, *rest])} |", f"|---{'|---:' * len(rest)}|"]
        lines += [
            f"| {row} | {' | '.join(f'{each:,}' for each in figures[row])} |"
            for row in self.rows
            if row in figures
        ]
        return "\n".join(lines) + "\n"


def tried(record: Record, kind: Kind, count: int = 1) -> None:
    """So many attacks of a kind begin; they are lost unless the test passes."""
    record("hostile", [kind.name, count])


def read(table: Table = Table.FIGURES) -> dict[str, Row]:
    """What the page has: row → tried, lost."""
    text = table.place.search(PAGE.read_text(encoding="utf-8"))
    found = re.findall(r"(?m)^\| (.+?) \|((?: [\d,]+ \|)+)$", text[0] if text else "")
    return {
        row: tuple(int(each) for each in figures.replace(",", "").split("|") if each.strip())
        for row, figures in found
    }


def write(table: Table, figures: dict[str, Row]) -> str:
    """Put these rows into the page, those that are not there as they were; the table."""
    shown, page = table.shown({**read(table), **figures}), PAGE.read_text(encoding="utf-8")
    PAGE.write_text(table.place.sub(lambda _: shown, page), encoding="utf-8")
    return shown


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make hostile` and `make soak` give it."""
    parser.addoption("--reliability", action="store_true", help="write docs/reliability.md")


_tried, _lost = Counter[Kind](), Counter[Kind]()
_compared: dict[Way, Counter[str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Of the whole run, whichever worker it was."""
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == "hostile" and isinstance(value, list):
            kind = Kind[value[0]]
            _tried[kind] += value[1]
            _lost[kind] += value[2] if len(value) > 2 else value[1] * report.failed
        if name == "peers" and isinstance(value, list):
            _compared.setdefault(Way[value[0]], Counter()).update(value[1])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures; write them, too."""
    if not config.getoption("--reliability", default=False):
        return
    figures: dict[str, Row] = {kind.value: (_tried[kind], _lost[kind]) for kind in _tried}
    if figures:
        terminalreporter.write_line(write(Table.FIGURES, figures))
    keys = ("tried", *WRONG)
    compared = {way.value: tuple(each[key] for key in keys) for way, each in _compared.items()}
    if compared:
        terminalreporter.write_line(write(Table.PEERS, compared))
