"""What goes wrong on purpose: faults are read anew for each command, from `faults.json`.

A fault strikes where it matches: a command's beginning (`apps:exists`, `run hello`), `push` (a
git push arrives), `connect` (any command arrives), or a point of a deploy: `received` (it has the
lock and has said nothing), `build` (while it builds), `checks` (while a new process is checked),
`live` (right after the new processes took over).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .output import fail
from .pids import start_time
from .state import locked, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

Action = Literal["hang", "drop", "refuse", "late", "print", "die"]
POINTS = ("connect", "push", "received", "build", "checks", "live")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    - `hang`: print `text`, then sleep for `seconds` (0: for ever).
    - `drop`: end the connection's sshd, as a lost network does. A push goes on all the same (so
      git does it); another command until it prints, or with `finish` to its end.
    - `refuse`: print `text` as an error and end with `code`.
    - `late`: take `seconds` more.
    - `print`: print `text`.
    - `die`: the command's processes are killed and clean up nothing.
    """

    match: str
    action: Action
    app: str = ""
    seconds: float = 0.0
    text: str = ""
    code: int = 1
    times: int | None = None
    finish: bool = False
    id: str = field(default_factory=lambda: os.urandom(8).hex())


def write(root: Path, faults: Sequence[Fault]) -> None:
    """Replace all faults."""
    write_json(root / "faults.json", {"faults": [asdict(fault) for fault in faults]})


def strike(host: Host, *points: str, command: str = "", app: str = "") -> None:
    """Let the faults happen that match one of these points, or this command's beginning."""
    for raw in read_json(host.root / "faults.json").get("faults", ()):
        fault = Fault(**raw)
        begins = fault.match not in POINTS and command.startswith(fault.match)
        matches = fault.match in points or (command != "" and begins)
        if matches and fault.app in ("", app) and _take(host.root, fault):
            _happen(host, fault)


def struck(root: Path, fault: Fault) -> bool:
    """Return whether a fault that is limited by `times` has happened."""
    return fault.id in read_json(root / "faults.taken.json")


def _take(root: Path, fault: Fault) -> bool:
    """Count how often a fault happened; False when that was often enough."""
    if fault.times is None:
        return True
    path = root / "faults.taken.json"
    with locked(path):
        taken = read_json(path)
        if taken.get(fault.id, 0) >= fault.times:
            return False
        taken[fault.id] = taken.get(fault.id, 0) + 1
        write_json(path, taken)
    return True


def _happen(host: Host, fault: Fault) -> None:
    if fault.action == "refuse":
        fail(fault.text, fault.code)
    for line in fault.text.splitlines():
        host.console.plain(line)
    if fault.action in ("hang", "late"):
        time.sleep(fault.seconds or (86400 if fault.action == "hang" else 0))
    elif fault.action == "drop":
        host.console.muted = fault.finish
        os.kill(sshd(), signal.SIGKILL)
    elif fault.action == "die":
        os.killpg(os.getpgrp(), signal.SIGKILL)


def sshd() -> int:
    """Return the sshd process that serves this connection: the nearest one above us."""
    known = os.environ.get("STANDIN_SSHD")
    if known:
        return int(known)
    pid = int(os.environ.get("STANDIN_CLIENT") or os.getppid())
    while not _name(pid).startswith("sshd") and pid > 1:
        pid = _parent(pid)
    return pid


def connected() -> bool:
    """Tell whether the connection of this command is still there."""
    return bool(start_time(sshd()))


def _name(pid: int) -> str:
    path = Path(f"/proc/{pid}/comm")
    # Without /proc: the shell that sshd starts replaces itself by the command.
    return path.read_text(encoding="utf-8") if sys.platform == "linux" else "sshd"


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])
