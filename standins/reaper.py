"""Removes what a test run has left, however it ended: Ctrl-C, SIGKILL, a failing fixture, a killed
worker.

A plugin of pytest, and a program: the first process of a run starts the program in a session of its
own. When the pipe between them closes, the run is over, and everything that carries its name is
removed: processes, containers, networks, volumes, and (unless it came to its end) directories.
A run that died together with its reaper is swept by the next one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

VARIABLE = "CI_DEPLOY_TEST_RUN"
LABEL = "ci-deploy-test"
ENDED = b"ended "


def _started(pid: int) -> str:
    """When a process was started (clock ticks since boot), which tells it from a later one with
    its number; empty when it is gone or nobody can tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


RUN = os.environ.setdefault(VARIABLE, f"{os.getpid()}-{_started(os.getpid())}")
"""The name of this run, which its workers and the programs that they start inherit."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the reaper, once for all workers."""
    if hasattr(config, "workerinput") or not RUN.startswith(f"{os.getpid()}-"):
        return
    environ = {name: value for name, value in os.environ.items() if name != VARIABLE}
    reaper = subprocess.Popen(
        [sys.executable, __file__, RUN],
        stdin=subprocess.PIPE,
        env=environ,
        start_new_session=True,
        cwd="/",
    )
    config.stash[_REAPER] = reaper


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run came to its end, and its directories stay to be looked at; those of one that was
    interrupted do not."""
    reaper = config.stash.get(_REAPER, None)
    if reaper is None or reaper.stdin is None:
        return
    factory: pytest.TempPathFactory = getattr(config, "_tmp_path_factory")  # noqa: B009
    folder = os.fsencode(factory.getbasetemp())
    said = folder if _interrupted else ENDED + folder
    with suppress(OSError):
        reaper.stdin.write(said)
        reaper.stdin.flush()


def pytest_keyboard_interrupt(excinfo: object) -> None:
    """Ctrl-C."""
    _interrupted.append(True)


_REAPER = pytest.StashKey["subprocess.Popen[bytes]"]()
_interrupted: list[bool] = []


def _docker(*words: str) -> list[str]:
    """What a docker command prints, in words; nothing without an engine."""
    try:
        argv = ["docker", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split()


def _runs() -> set[str]:
    """The runs of which a container or a network is left."""
    form = ["--format", f'{{{{.Label "{LABEL}"}}}}', f"--filter=label={LABEL}"]
    return {*_docker("ps", "-a", *form), *_docker("network", "ls", *form)}


def _over(run: str) -> bool:
    pid, _, started = run.partition("-")
    return pid.isdecimal() and _started(int(pid)) != started


def _processes(run: str, folders: list[Path]) -> list[int]:
    """Those that have its name in their environment. sshd writes its title over that, and is known
    by its configuration, which is in one of the run's directories."""
    mark = f"{VARIABLE}={run}\0".encode()
    places = [os.fsencode(f" {folder}/") for folder in folders]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            title = (process / "cmdline").read_bytes()
            listens = title.startswith(b"sshd: ") and any(place in title for place in places)
            if listens or mark in (process / "environ").read_bytes() + b"\0":
                found.append(int(process.name))
    return found


def _end_processes(run: str, folders: list[Path]) -> None:
    """TERM, two seconds, KILL."""
    for number, seconds in (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0):
        for pid in _processes(run, folders):
            with suppress(OSError):
                os.kill(pid, number)
        until = time.monotonic() + seconds
        while _processes(run, folders) and time.monotonic() < until:
            time.sleep(0.05)


def sweep(run: str, folders: list[Path]) -> None:
    """Remove what carries the name of a run that is over, and what was attached to its networks
    (jobs that a runner under test has started)."""
    _end_processes(run, folders)
    mark = f"--filter=label={LABEL}={run}"
    networks = _docker("network", "ls", "-q", mark)
    containers = set(_docker("ps", "-aq", mark))
    for network in networks:
        containers.update(_docker("ps", "-aq", f"--filter=network={network}"))
    if containers:
        form = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        volumes = _docker("inspect", "-f", form, *containers)
        _docker("rm", "-fv", *containers)
        if volumes:
            _docker("volume", "rm", *set(volumes))
    for network in networks:
        _docker("network", "rm", network)


def _directories(run: str) -> list[Path]:
    """The temporary directories of a run: pytest puts a lock with the process's number there."""
    owner = run.partition("-")[0]
    found = []
    for lock in Path("/tmp").glob("pytest-of-*/pytest-*/.lock"):
        with suppress(OSError):
            if lock.read_text() == owner:
                found.append(lock.parent)
    return found


def main(run: str) -> None:
    """Wait for the end of the run, then remove what it has left."""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    for other in _runs():
        if other != run and _over(other):
            sweep(other, _directories(other))
    said = sys.stdin.buffer.read()
    told = os.fsdecode(said.removeprefix(ENDED))
    folders = [Path(told)] if told else _directories(run)
    sweep(run, folders)
    for folder in folders if not said.startswith(ENDED) else []:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
