"""How much memory a run has: of ours alone, git and ssh have their own."""

from __future__ import annotations

import re
import time
from pathlib import Path

from standins.support import Run

LIMIT = 64 * 1024  # KiB of our own process
LOGGED = ("sh", "-c", 'exec "$@" >"$LOG"', "sh")  # what starts a command whose log is in $LOG


def most(run: Run) -> int:
    """The most that it had at any time until its end, in KiB; it is started through LOGGED."""
    found = 0
    while run.process.poll() is None:
        match = re.search(r"VmHWM:\s+(\d+)", _status(run.process.pid))
        found = int(match[1]) if match else found
        time.sleep(0.05)
    return found


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has just ended
        return ""
