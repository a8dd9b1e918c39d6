"""The cancel button: a flag, a wake-up, and a few seconds to leave."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from ci_deploy.errors import Cancelled
from ci_deploy.process.cancellation import Cancellation

PROGRAM = """
import os, sys, time
from ci_deploy.process.cancellation import Cancellation
cancellation = Cancellation()
# no print: the signal may come while another one is at work
cancellation.install(lambda code: os.write(1, b"last moment %d\\n" % code))
{body}
"""


def python(body: str) -> subprocess.Popen[str]:
    """A process that has installed the handlers; it says `ready` when it waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


WAIT = """
print("ready", flush=True)
try:
    cancellation.sleep(20)
except Exception as error:
    print(type(error).__name__, error.code, error, flush=True)
"""


@pytest.mark.parametrize(
    ("signum", "code", "name"),
    [(signal.SIGINT, 130, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM"), (1, 143, "SIGTERM")],
)
def test_signals_become_a_cancel_with_their_code(signum: int, code: int, name: str) -> None:
    process = python(WAIT)
    process.send_signal(signum)
    out, _ = process.communicate(timeout=5)
    assert out == f"last moment {code}\nCancelled {code} cancelled ({name}).\n"
    assert process.returncode == 0


def test_second_signal_changes_nothing() -> None:
    body = """
print("ready", flush=True)
while not cancellation.signum:
    time.sleep(0.01)
time.sleep(0.3)
print(cancellation.signum)
"""
    process = python(body)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=5)
    assert out == "last moment 130\n2\n"


def test_forked_child_that_is_not_yet_its_program_dies_of_a_signal_without_our_clean_up() -> None:
    body = """
child = os.fork()
if not child:
    time.sleep(20)
    os._exit(0)
print("ready", flush=True)
time.sleep(0.2)
os.kill(child, 15)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cancellation.signum)
"""
    out, _ = python(body).communicate(timeout=5)
    assert out == "-15 0\n"


def test_cancel_sets_the_flag_wakes_select_and_tells_once() -> None:
    cancellation = Cancellation()
    codes: list[int] = []
    told: list[int] = []
    cancellation._last_moment = codes.append
    cancellation.on_cancel = lambda: told.append(1)
    assert not select.select([cancellation], [], [], 0)[0]
    cancellation.check()
    cancellation.cancel(signal.SIGINT)
    cancellation.cancel(signal.SIGTERM)
    assert (cancellation.signum, codes, told) == (signal.SIGINT, [130], [1, 1])
    assert select.select([cancellation], [], [], 0)[0]
    with pytest.raises(Cancelled, match="SIGINT") as caught:
        cancellation.check()
    assert caught.value.code == 130


def test_sleep_works_beyond_a_thousand_descriptors_and_keeps_none() -> None:
    """A runner may hand down as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    many = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        cancellation = Cancellation()
        assert cancellation.fileno() > 1023
        cancellation.sleep(0.01)
        cancellation.cancel(signal.SIGTERM)
        with pytest.raises(Cancelled):
            cancellation.sleep(1.0)
        mine = cancellation.fileno()
        del cancellation
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(mine)
    finally:
        for each in many:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_sleep_sleeps_and_wakes_up_on_cancel(cancellation: Cancellation) -> None:
    started = time.monotonic()
    cancellation.sleep(0.1)
    cancellation.sleep(-1)
    assert 0.1 <= time.monotonic() - started < 5
    threading.Timer(0.1, cancellation.cancel, [15]).start()
    with pytest.raises(Cancelled):
        cancellation.sleep(20)
    with pytest.raises(Cancelled):
        cancellation.sleep(20)
    assert time.monotonic() - started < 5


def test_awaited_tells_whether_a_signal_comes_in_time(cancellation: Cancellation) -> None:
    assert not cancellation.awaited(0.05)
    threading.Timer(0.1, cancellation.cancel, [15]).start()
    assert cancellation.awaited(5)


def test_leaving_gives_a_few_seconds_without_cancelling_again(cancellation: Cancellation) -> None:
    assert cancellation.left() == float("inf")
    cancellation.cancel(15)
    assert cancellation.pending
    cancellation.leave(20)
    assert (cancellation.pending, cancellation.leaving) == (False, True)
    cancellation.check()
    assert 0 < cancellation.left() <= 20
    cancellation.leave(0.2)
    started = time.monotonic()
    cancellation.sleep(20)
    assert time.monotonic() - started < 5
    assert cancellation.left() == 0
