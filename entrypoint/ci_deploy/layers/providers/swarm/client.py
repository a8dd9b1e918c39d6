"""Requests HEALTHCHECK_URL from the manager during an update: what a client would see."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ci_deploy.errors import DeployError
from ci_deploy.layers.providers.docker.client import ASKING, client_url
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.process.child import Child, drain
from ci_deploy.run.context import Context

FIRST = 15.0  # seconds for the first response
LAST = 5.0  # seconds for the result


@contextmanager
def asking(ctx: Context, manager: Manager) -> Iterator[None]:
    """Context manager: while the block runs, a manager requests HEALTHCHECK_URL, if it is set; the
    result goes into the log and the report, even if the block fails (but not after a cancel, which
    leaves no time)."""
    url = client_url(ctx.health_url)
    if ctx.planning or not url:
        yield
        return
    with manager.beside([ASKING.stem, "client"]) as (child, stdin):
        with contextlib.suppress(OSError):  # it has ended
            stdin.write(f"{url}\n".encode())
        said = _until(ctx, child, FIRST, "asking")
        if "asking" not in said:
            why = drain(child.err).strip() or f"no answer within {FIRST:.0f} s"
            ctx.console.indent(said[-1] if said else f"{url}: {manager} cannot request it: {why}")
            yield
            return
        try:
            yield
        except DeployError:
            stdin.close()
            _tell(ctx, url, child)
            raise
        stdin.close()
        _tell(ctx, url, child)


def _tell(ctx: Context, url: str, child: Child) -> None:
    said = _until(ctx, child, LAST)
    if said:
        ctx.report.client = said[-1]
        ctx.console.indent(f"{url}: {said[-1]}")


def _until(ctx: Context, child: Child, seconds: float, word: str = "") -> list[str]:
    """The lines that the program prints, until one is `word` or it ends, for at most `seconds`."""
    said, until = "", time.monotonic() + seconds
    while time.monotonic() < until:
        alive = child.alive
        said += drain(child.out)
        if not alive or (word and word in said.splitlines()):
            break
        ctx.cancellation.sleep(0.05)
    return said.splitlines()
