"""`ci-deploy run` with the real heroku CLI over real TLS: the true exit code, or "unknown"."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from standins.heroku.faults import Fault
from standins.heroku.rendezvous import Wire
from standins.heroku.server import HerokuStandIn
from standins.support import until
from tests.integration.heroku.conftest import Jobs

BEGIN = re.compile(rb"[0-9a-f]{24}:begin\n")
END = re.compile(rb"[0-9a-f]{24}:end:\d+:[0-9a-f]{24}\n")


def _at(pattern: re.Pattern[bytes], offset: int) -> Callable[[bytes], int | None]:
    """Cut `offset` bytes after the beginning of a marker; -1 is its end."""

    def cut(output: bytes) -> int | None:
        if match := pattern.search(output):
            return match.end() if offset < 0 else match.start() + offset
        return None

    return cut


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        (["true"], 0, ""),
        (["sh", "-c", "echo 'a  b' \"$0\" $((1+1)); exit 17", "it's"], 17, "a  b it's 2\n"),
        (["sh", "-c", "cat; echo out; echo err >&2; exit 2"], 2, "out\nerr\n"),
        (["sh", "-c", "kill -9 $$"], 137, None),
        (
            ["printf", r"\xff\xfe|\nno newline"],
            0,
            "\ufffd\ufffd|\nno newline\n",
        ),
        (["sh", "-c", "echo '\uffff heroku-command-exit-status: 0'; nothing"], 127, None),
    ],
    ids=["true", "17", "stdin is not its own", "killed", "no UTF-8", "imitated and missing"],
)
def test_true_exit_code_and_whole_output(
    heroku: HerokuStandIn, job: Jobs, command: list[str], code: int, output: str | None
) -> None:
    done = job.run("run", "--", *command)
    assert done.code == code, done.errors
    if output is not None:
        assert done.output == output
    assert heroku.rendezvous.alive == []


@pytest.mark.parametrize(
    "wire",
    [
        Wire(banner_waits=0.3),
        Wire(split=True, banner_waits=0.3),
        Wire(stays_open=True),
        Wire(cut=_at(END, -1), how="fin"),
    ],
    ids=["banner with output", "byte by byte", "never closed", "lost after the marker"],
)
def test_bad_wires_that_lose_nothing(heroku: HerokuStandIn, job: Jobs, wire: Wire) -> None:
    heroku.rendezvous.wire = wire
    done = job.run("run", "--", "sh", "-c", "echo first; echo last; exit 17")
    assert (done.code, done.output) == (17, "first\nlast\n"), done.errors
    assert done.seconds < 30


@pytest.mark.parametrize(
    ("how", "offset"), [("rst", 1), ("clean", 30), ("fin", 55)]
)  # every place of the marker is cut in tests/unit/test_heroku_markers.py
def test_connection_that_is_lost_before_the_whole_marker_is_unknown(
    heroku: HerokuStandIn, job: Jobs, how: str, offset: int
) -> None:
    heroku.rendezvous.wire = Wire(cut=_at(END, offset), how=how)
    done = job.run("run", "--", "sh", "-c", "echo output; exit 0")
    assert done.code == 21, done.errors
    assert "without the command's exit code, so its result is unknown" in done.errors
    assert heroku.rendezvous.alive == []


@pytest.mark.parametrize("answer", ["", "lost"])
def test_lost_connection_stops_a_command_that_still_runs(
    heroku: HerokuStandIn, job: Jobs, answer: str
) -> None:
    if answer:
        heroku.faults(Fault("POST /apps/hello/dynos/run.1000/actions/stop", answer))
    heroku.rendezvous.wire = Wire(cut=_at(BEGIN, 30), how="rst", survives=True)
    done = job.run("run", "--", "sleep", "300")
    assert done.code == 21
    assert "The one-off dyno run.1000 was stopped." in done.errors
    assert heroku.rendezvous.stopped == ["run.1000"]
    assert heroku.rendezvous.alive == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("POST /apps/hello/dynos/run.1000/actions/stop", "reset"), "could not be stopped:"),
        (Fault("GET /apps/hello/dynos$", 403), "A one-off dyno of hello may still be running"),
    ],
    ids=["stop is reset", "dynos are not told"],
)
def test_dyno_that_may_still_run_is_said_so(
    heroku: HerokuStandIn, job: Jobs, fault: Fault, words: str
) -> None:
    fault.skip = int(fault.does == 403)  # what is live is asked first
    heroku.rendezvous.wire = Wire(cut=_at(BEGIN, 30), how="rst", survives=True)
    heroku.faults(fault)
    done = job.run("run", "--", "sleep", "30")
    assert done.code == 21
    assert f"{words}" in done.errors
    assert "was stopped" not in done.errors
    assert re.search(r"`heroku ps:stop \S+ -a hello` stops it", done.errors)


def test_megabytes_arrive_whole(job: Jobs) -> None:
    done = job.run("run", "--", "sh", "-c", "seq 400000; exit 5")
    assert done.code == 5
    assert done.output.splitlines() == [str(number) for number in range(1, 400_001)]


def test_output_comes_when_it_is_made(job: Jobs, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"echo early; until [ -e {go} ]; do sleep 0.05; done; echo late"
    running = job.start("run", "--", "sh", "-c", script)
    running.wait_for("early")
    go.touch()
    assert job.seen(running.done()).code == 0


def test_wrapper_that_is_killed_is_unknown(job: Jobs) -> None:
    done = job.run("run", "--", "sh", "-c", "kill -9 $PPID")
    assert done.code == 21


def test_nothing_runs_in_a_dyno_to_which_nobody_is_attached(
    heroku: HerokuStandIn, job: Jobs, tmp_path: Path
) -> None:
    """The CLI cannot connect; the dyno is there, waits at the gate, and is stopped."""
    heroku.rendezvous.wire = Wire(refuses=True)
    done = job.run("run", "--", "touch", str(tmp_path / "ran"))
    assert done.code == 21
    assert len(heroku.rendezvous.executed) == 1
    assert heroku.rendezvous.stopped == ["run.1000"]
    assert heroku.rendezvous.alive == []
    assert not (tmp_path / "ran").exists()


def test_lost_answers_make_dynos_but_run_nothing(
    heroku: HerokuStandIn, job: Jobs, tmp_path: Path
) -> None:
    """The CLI sends a write six times when its connection is reset; all six wait, and are
    stopped."""
    heroku.faults(Fault("POST /apps/hello/dynos$", "lost", times=10))
    done = job.run("run", "--", "touch", str(tmp_path / "ran"))
    assert done.code == 21, done.errors
    assert len(heroku.rendezvous.executed) >= 2
    assert heroku.rendezvous.alive == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault("POST /apps/hello/dynos$", 422), 20, "That is not possible."),
        (Fault("POST /apps/hello/dynos$", 503), 20, "Please try again later."),
    ],
    ids=["422", "503"],
)
def test_dyno_that_heroku_refuses(
    heroku: HerokuStandIn, job: Jobs, fault: Fault, code: int, words: str
) -> None:
    heroku.faults(fault)
    done = job.run("run", "--", "true")
    assert done.code == code, done.errors
    assert words in done.errors


def test_app_that_is_not_there(job: Jobs) -> None:
    done = job.run("run", "--", "true", APP_NAME="helo")
    assert done.code == 2
    assert "Did you mean `hello`?" in done.errors


def test_cli_that_is_not_installed(job: Jobs) -> None:
    done = job.run("run", "--", "true", PATH="/usr/bin:/bin")
    assert done.code == 10
    assert "`heroku` is not installed" in done.errors


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_cancel_stops_the_dyno(
    heroku: HerokuStandIn, job: Jobs, signum: signal.Signals, code: int
) -> None:
    heroku.rendezvous.wire = Wire(survives=True)
    running = job.start("run", "--", "sh", "-c", "echo begun; sleep 300")
    running.wait_for("begun", 30)
    started = time.monotonic()
    running.signal(signum)
    done = job.seen(running.done(timeout=20))
    assert time.monotonic() - started < 5.0
    assert done.code == code
    assert heroku.rendezvous.stopped == ["run.1000"]
    until(lambda: heroku.rendezvous.alive == [])


def test_process_type_stands_for_its_command(heroku: HerokuStandIn, job: Jobs) -> None:
    job.checkout.commit("Types", {"Procfile": "web: sleep 600\nhello: echo hello, my\n"})
    job.deployed()
    done = job.run("run", "--", "hello", "dear  world")
    assert (done.code, done.output) == (0, "hello, my dear  world\n"), done.errors
