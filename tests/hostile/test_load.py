"""What a build may say: no line is lost, all come in their order, and our memory stays small."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Run, settings_for
from tests.hostile.memory import LIMIT, LOGGED, most
from tests.hostile.tally import Kind, Record, tried

MIB = 1024 * 1024
RATE = 10_000  # lines a second
SLOWLY = """
import os, time
with open(os.environ["LOG"], "wb") as log:
    while data := os.read(0, 16384):
        log.write(data)
        time.sleep(0.02)
"""


def _deploy(dokku: DokkuStandIn, checkout: Checkout, log: Path, method: str = "push") -> int:
    """Deploy, with all that is shown in `log`; the most memory that we had, in KiB."""
    env = settings_for(dokku, DEPLOY_TIMEOUT="1500", DEPLOY_METHOD=method, LOG=str(log))
    run = Run("deploy", cwd=checkout.path, env=env, through=LOGGED)
    memory = most(run)
    assert run.done().code == 0, log.read_bytes()[-2000:]
    assert f"verified: hello runs {checkout.head[:7]}".encode() in log.read_bytes()[-2000:]
    return memory


def _joined(log: bytes) -> bytes:
    """The lines of the build without what stands before them."""
    return re.sub(rb"\n +\xe2\x94\x82 ", b"", log)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("size", "method"),
    [(4, "push"), pytest.param(100, "archive", marks=pytest.mark.hostile)],
)
def test_one_endless_line(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, size: int,
    method: str,
) -> None:  # fmt: skip
    """git itself shows no more than 8 MiB of a line: it writes each with one call (faults J3)."""
    line = f"head -c {size}M /dev/zero | tr '\\0' x; echo"
    checkout.commit("Talk", {"Procfile": f"release: {line}\n"})
    tried(record_property, Kind.LOAD)
    memory = _deploy(dokku, checkout, tmp_path / "log", method)
    assert b"x" * size * MIB in _joined((tmp_path / "log").read_bytes())
    assert memory < LIMIT


def test_log_that_is_read_slowly_loses_nothing(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """git drops what it cannot write at once, where ssh has made its stderr non-blocking."""
    checkout.commit("Talk", {"Procfile": "release: head -c 1M /dev/zero | tr '\\0' x; echo\n"})
    log = tmp_path / "log"
    env = settings_for(dokku, LOG=str(log), PYTHON=sys.executable, SLOWLY=SLOWLY)
    through = ["sh", "-c", '"$@" | "$PYTHON" -c "$SLOWLY"', "sh"]
    Run("deploy", cwd=checkout.path, env=env, through=through).done(timeout=300)
    assert b"x" * MIB in _joined(log.read_bytes())
    assert dokku.app("hello").running_revision == checkout.head


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.hostile)])
def test_ten_thousand_lines_a_second(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, seconds: int
) -> None:
    """All of them, in their order (faults J3)."""
    lines = seconds * RATE
    step = RATE // 10
    part = f"seq -f 'this is line %.0f' $((i * {step} + 1)) $((i * {step} + {step}))"
    loop = f"i=0; while [ $i -lt {seconds * 10} ]; do {part}; i=$((i + 1)); sleep 0.1; done"
    checkout.commit("Talk", {"Procfile": f"release: {loop}\n"})
    tried(record_property, Kind.LOAD)
    memory = _deploy(dokku, checkout, tmp_path / "log")
    shown = re.findall(rb"this is line (\d+)\s", (tmp_path / "log").read_bytes())
    assert [int(each) for each in shown] == list(range(1, lines + 1))
    assert memory < LIMIT


# Reads a log from a pipe, as a runner does: which lines came, in which order, and how many bytes.
COUNTING = """
import re, sys
line, wrong, seen, size = re.compile(rb"line (\\d{12}) of a build"), 0, 0, 0
for each in sys.stdin.buffer:
    size += len(each)
    if found := line.search(each):
        seen += 1
        wrong += int(found[1]) != seen or not each.rstrip().endswith(b"speaking")
print(seen, wrong, size)
"""
WORDS = (
    "line %012.0f of a build that never tires of speaking, and that has to tell us one thing more: "
)
WIDTH = 128  # bytes of a line, with its end


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("size", "method"),
    [
        pytest.param(8 * MIB, "push", marks=pytest.mark.hostile),
        *(pytest.param(2048 * MIB, way, marks=pytest.mark.soak) for way in ("push", "archive")),
    ],
)
def test_log_of_a_build_that_never_ends(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record, size: int,
    method: str,
) -> None:  # fmt: skip
    """Every line, once and in its order, while our own memory stays as small (faults J3)."""
    lines, log = size // WIDTH, tmp_path / "log"
    words = WORDS + "x" * (WIDTH - len(WORDS % 0) - len("speaking") - 2) + " speaking"
    checkout.commit("Talk", {"Procfile": f"release: seq -f '{words}' {lines}\n"})
    if size > 1024 * MIB:
        tried(record_property, Kind.LOGS)
    os.mkfifo(log)
    counting = f"exec {shlex.join([sys.executable, '-c', COUNTING])} <{shlex.quote(str(log))}"
    with subprocess.Popen(["sh", "-c", counting], stdout=subprocess.PIPE) as counter:
        env = settings_for(dokku, DEPLOY_TIMEOUT="3500", DEPLOY_METHOD=method, LOG=str(log))
        run = Run("deploy", cwd=checkout.path, env=env, through=LOGGED)
        memory, done = most(run), run.done()
        assert counter.stdout
        seen, wrong, shown = map(int, counter.stdout.read().split())
    print(
        f"{method}: {size // MIB} MB of {lines:,} lines in {done.seconds:.0f} s, {shown // MIB} MB "
        f"of log, {memory // 1024} MiB of memory",
        file=sys.stderr,
    )
    assert done.code == 0, done.errors
    assert done.report["live_revision"] == checkout.head
    assert (seen, wrong) == (lines, 0)
    assert memory < LIMIT
