"""Waits for the lock, which a separate program on the manager holds."""

from __future__ import annotations

from collections.abc import Callable

from ci_deploy.process.child import Child
from ci_deploy.run.context import Context
from ci_deploy.run.lock_wait import LockWait

PATIENCE = 30.0  # seconds to wait beyond the time that the host itself waits
WAITING = "waiting\t"  # before the name of the job that has the lock


def has(said: str, word: str) -> bool:
    """Whether `word` is a whole line of lock.sh's output `said`; other lines contain job names."""
    return word in said.split("\n")


def holder(said: str) -> str:
    """The job that has the lock, from the first complete line of `said` about it; empty if there is
    none."""
    names = (line.removeprefix(WAITING) for line in said.split("\n")[:-1] if line[:8] == WAITING)
    return next((name or "another job" for name in names), "")


def wait_for(child: Child, drain: Callable[[int], str], ctx: Context) -> str:
    """Wait until the program `child` (lock.sh) has the lock or ends, LOCK_TIMEOUT and PATIENCE are
    over, or the run's time is; logs who has the lock. Returns what the program printed to stdout,
    read by `drain`. Raises Cancelled."""
    said, wait = "", LockWait(ctx, PATIENCE)
    while not has(said, "locked") and wait.left > 0:
        alive = child.alive
        said += drain(child.out)
        if by := holder(said):
            wait.tell(f"waiting for {by}")
        if not alive:
            break
        if not has(said, "locked"):
            ctx.cancellation.sleep(0.05)
    return said
