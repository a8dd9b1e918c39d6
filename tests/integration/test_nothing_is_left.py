"""A test run that is interrupted or killed leaves no container, network, process or directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from standins import reaper
from standins.engine import docker, need_docker
from standins.support import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

HANGS = """
import subprocess, time
from pathlib import Path
from standins.engine import LABEL, docker
from standins.reaper import RUN

def test_hangs(tmp_path):
    name = "ci-deploy-test-swept-" + RUN
    docker("network", "create", "--label=" + LABEL, name)
    docker("run", "-d", "--label=" + LABEL, "ci-deploy-test/helper", "sleep", "600")
    # As a runner under test does it: without our label, on our network, with a volume of its own.
    docker("run", "-d", "--network=" + name, "-v=" + name + ":/data", "ci-deploy-test/helper",
           "sleep", "600")
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    # As sshd, whose title lies where its environment was.
    argv = [f"sshd: sshd -D -f {tmp_path}/sshd_config [listener]", "600"]
    server = subprocess.Popen(argv, executable="/bin/sleep", env={}, start_new_session=True)
    Path(READY + ".new").write_text(f"{RUN} {child.pid} {server.pid} {tmp_path}")
    Path(READY + ".new").rename(READY)
    time.sleep(600)
"""


def _left(run: str, pids: list[int], folder: Path) -> list[str]:
    """What still carries the name of a run."""
    form = ["--format", "{{.Names}}"]
    mine = f"--filter=name=ci-deploy-test-swept-{run}"
    left = docker("ps", "-a", *form, f"--filter=label={reaper.LABEL}={run}").stdout.split()
    left += docker("ps", "-a", *form, f"--filter=volume=ci-deploy-test-swept-{run}").stdout.split()
    left += docker("network", "ls", "--format", "{{.Name}}", mine).stdout.split()
    left += docker("volume", "ls", "--format", "{{.Name}}", mine).stdout.split()
    left += [f"process {pid}" for pid in pids if Path(f"/proc/{pid}").exists()]
    return left + ([str(folder)] if folder.exists() else [])


def _until(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def _interrupt(run: subprocess.Popen[str]) -> None:
    os.killpg(run.pid, signal.SIGINT)


def _kill_a_worker(run: subprocess.Popen[str]) -> None:
    """The run goes on with another one, which meets the same: then it is interrupted."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    for child in children:
        if b"execnet" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
    time.sleep(1)
    _interrupt(run)


@pytest.mark.long
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(_interrupt, id="ctrl-c"),
        pytest.param(lambda run: run.terminate(), id="SIGTERM"),
        pytest.param(lambda run: run.kill(), id="SIGKILL"),
        pytest.param(_kill_a_worker, id="a worker is killed"),
    ],
)
def test_run_that_is_ended_leaves_nothing(
    end: Callable[[subprocess.Popen[str]], None], tmp_path: Path
) -> None:
    """Containers, with them those of runners under test, networks, volumes, processes, temporary
    directories (faults G6).

    Takes half a minute on a busy machine: a run of pytest with workers and containers is started,
    and its reaper gives what is left two seconds before it kills."""
    need_docker()
    ready = tmp_path / "ready"
    (tmp_path / "test_inner.py").write_text(f"READY = {str(ready)!r}\n{HANGS}")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environ.pop(reaper.VARIABLE)
    argv = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "standins.reaper"]
    argv += [f"--rootdir={tmp_path}", f"-c={tmp_path / 'pytest.ini'}", str(tmp_path)]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(
            argv, cwd=ROOT, env=environ, stdout=log, stderr=log, text=True, start_new_session=True
        )
        try:
            _until(ready.exists, 120)
            name, *numbers, folder = ready.read_text().split()
            pids = [int(each) for each in numbers]
            assert len(_left(name, pids, Path(folder))) == 7
            end(run)
            run.wait(timeout=120)
        finally:
            run.kill()
    _until(lambda: not _left(name, pids, Path(folder)), 60)


def test_run_that_died_with_its_reaper_is_swept_by_the_next() -> None:
    """Nobody was left to clean up (faults G6)."""
    need_docker()
    dead = subprocess.Popen(["true"])
    dead.wait()
    run = f"{dead.pid}-1"
    started = docker("run", "-d", f"--label={reaper.LABEL}={run}", "ci-deploy-test/helper", "true")
    program = subprocess.run(
        [sys.executable, reaper.__file__, f"{dead.pid}-2"],
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    assert program.returncode == 0
    assert docker("ps", "-aq", f"--filter=label={reaper.LABEL}={run}").stdout == ""
    assert started.stdout
