"""A program that talks to us in its output: what is shown, and when it has to end."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from ci_deploy.errors import Cancelled
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.process.program import Change, Command
from ci_deploy.process.runner import Runner
from tests.unit.conftest import Log


class Until:
    """Shows everything until it hears `over`, and gives the program `after` seconds then."""

    def __init__(self, after: float = 20.0) -> None:
        self.end = time.monotonic() + 20.0
        self.after = after
        self.heard = b""

    def feed(self, data: bytes) -> bytes:
        self.heard += data
        if b"over" in self.heard:
            self.end = time.monotonic() + self.after
        return data.partition(b"over")[0]

    def rest(self) -> bytes:
        return b"held back\n"

    def deadline(self) -> float:
        return self.end


def _change(script: str, stdin: bytes | int = b"") -> Change:
    return Change(Command(["sh", "-c", script], stdin=stdin), "talk to it")


def test_only_what_the_filter_returns_is_shown_and_stderr_is_kept_apart(
    runner: Runner, log: Log
) -> None:
    change = _change("echo one; echo apart >&2; sleep 0.2; echo over")
    result = runner.change_filtered(change, Until())
    assert log.lines == ["  │ one", "  │ held back"]
    assert (result.exit_code, result.errors, result.timed_out) == (0, "apart", False)
    assert result.lines == ("one", "held back")


def test_filter_decides_when_the_program_has_to_end(runner: Runner) -> None:
    started = time.monotonic()
    result = runner.change_filtered(_change("echo over; exec sleep 30"), Until(0.5))
    assert result.timed_out
    assert time.monotonic() - started < 10


def test_stdin_stays_open_as_long_as_its_writer(runner: Runner) -> None:
    read, write = os.pipe()
    os.write(write, b"hello\n")
    output_filter = Until()
    script = "read -r word; echo $word; read -r more; echo end of file; echo over"
    closed: list[float] = []

    def close() -> None:
        closed.append(time.monotonic())
        os.close(write)

    threading.Timer(0.3, close).start()
    result = runner.change_filtered(_change(script, read), output_filter)
    assert time.monotonic() > closed[0]
    assert result.exit_code == 0
    assert output_filter.heard == b"hello\nend of file\nover\n"


def test_when_planning_nothing_runs(runner: Runner, change_log: ChangeLog) -> None:
    change_log.planning = True
    result = runner.change_filtered(_change("exit 3"), Until())
    assert result.planned
    assert change_log.changes == ["talk to it"]


def test_cancel_stops_it(runner: Runner) -> None:
    threading.Timer(0.2, runner.cancellation.cancel, [signal.SIGTERM]).start()
    with pytest.raises(Cancelled):
        runner.change_filtered(_change("exec sleep 30"), Until())
