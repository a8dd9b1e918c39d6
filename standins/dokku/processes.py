"""Processes of apps: started in sessions of their own, remembered, ended by their own ids.

A real Dokku leaves this to Docker.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .model import Process
from .pids import remember, start_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Below the range from which kernels give ports to clients.
PORTS = range(20000, 30000)


def shell() -> str:
    """Return the shell that runs an app's commands (`DOKKU_APP_SHELL`)."""
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"


def alive(process: Process) -> bool:
    """Tell whether this very process still runs."""
    started = start_time(process.pid)
    return bool(started) and started == process.started


def start(
    root: Path,
    command: Sequence[str],
    *,
    name: tuple[str, int],
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    port: int = 0,
) -> Process:
    """Start a process in the background, in a session of its own, with its output in a file."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # It is meant to outlive this one: its end is read from the kernel.
    child.returncode = 0
    started = remember(root, child.pid)
    return Process(name[0], name[1], child.pid, started, port, os.urandom(6).hex())


def stop(processes: Sequence[Process], timeout: float) -> None:
    """Ask the processes to end; after the timeout make them."""
    running = [process for process in processes if alive(process)]
    for process in running:
        _signal(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while any(alive(process) for process in running) and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in running:
        _signal(process.pid, signal.SIGKILL)
    reap(running)


def drain(ports: Sequence[int], timeout: float) -> None:
    """Wait until the requests under way on these ports are answered, at most for a while."""
    deadline = time.monotonic() + timeout
    while ports and time.monotonic() < deadline:
        time.sleep(0.01)
        if not set(ports) & _busy_ports():
            return


def _busy_ports() -> set[int]:
    """Return the local ports of all established connections."""
    try:
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return set()
    fields = [line.split() for line in lines]
    return {int(each[1].rpartition(":")[2], 16) for each in fields if each[3] == "01"}


def stop_all(root: Path) -> None:
    """End everything that was ever noted and still runs."""
    try:
        lines = (root / "processes.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    notes = [note for note in map(json.loads, lines) if note["started"]]
    running = [note for note in notes if start_time(note["pid"]) == note["started"]]
    for note in running:
        _signal(note["group"], signal.SIGKILL)
    while any(start_time(note["pid"]) == note["started"] for note in running):
        time.sleep(0.005)


def children(pid: int) -> list[int]:
    """Return all living descendants of a process."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stat = path.read_text(encoding="utf-8", errors="replace")
            parent = int(stat.rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found: list[int] = []
    pending = [pid]
    while pending:
        pending = [child for one in pending for child in parents.get(one, ())]
        found += pending
    return found


def free_port(address: str) -> int:
    """Return a port on which nobody listens."""
    while True:
        port = PORTS[int.from_bytes(os.urandom(4), "big") % len(PORTS)]
        with socket.socket() as probe:
            # As a server would set it: connections that just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((address, port))
                return port


def answers(port: int) -> bool:
    """Tell whether somebody listens on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package in a fast, isolated interpreter.

    Compiled modules are kept beside the others of this user, since the sources may be read-only.
    """
    cache = f"/tmp/ci-deploy-standin-pycache-{os.getuid()}"
    package = __package__ or ""
    top = Path(__file__).parents[package.count(".") + 1]
    code = (
        f"import sys; sys.path.insert(0, {str(top)!r}); "
        f"from {package}.{module} import main; sys.exit(main())"
    )
    options = ["-I", "-S", "-X", "utf8", "-X", f"pycache_prefix={cache}"]
    return [sys.executable, *options, "-c", code, *arguments]


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def reap(processes: Sequence[Process]) -> None:
    """Take the statuses of those that are our own children, so that no zombie stays."""
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, 0)
