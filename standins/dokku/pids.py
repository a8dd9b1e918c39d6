"""Process ids that can be trusted: each is kept together with its start time.

Every process that the stand-in starts is noted in `processes.jsonl` that way, so that an id that
was given to somebody else meanwhile is never signalled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def start_time(pid: int) -> str:
    """Return when a process started, as the kernel counts; empty when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _start_time_without_proc(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _start_time_without_proc(pid: int) -> str:
    if Path("/proc/self").exists():
        return ""
    import subprocess  # takes long to import, and Linux has no need of it

    found = subprocess.run(
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = found.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def remember(root: Path, pid: int) -> str:
    """Note a process so that `DokkuStandIn.stop` ends it; return its start time."""
    started = start_time(pid)
    line = json.dumps({"pid": pid, "started": started, "group": os.getpgid(pid)})
    with (root / "processes.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return started
