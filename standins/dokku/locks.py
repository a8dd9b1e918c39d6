"""The deploy lock, with the semantics of Dokku's `acquire_advisory_lock` (plugins/common).

What excludes another deploy is an flock on the file, not the file: `apps:lock` only creates the
file, so a deploy takes it and deletes it at its end; `apps:unlock` deletes the file under a
running deploy, so the next one locks a new file; a killed deploy frees the flock and leaves the
file behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from . import recording, versions
from .builds import recorded
from .faults import strike
from .output import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .host import Host


@contextmanager
def exclusive_deploy(host: Host, app: str, source: str) -> Iterator[None]:
    """Record the build and hold the lock; the lock file names the build, for `builds:cancel`.

    A deploy that is refused is a failed build, and has emptied the file of the running one.
    """
    with recorded(host, app, source) as build, deploy_lock(host, app) as name_build:
        name_build(build)
        strike(host, "received", app=app)
        started = time.monotonic()
        yield
        recording.deployed(host.store.root, app, time.monotonic() - started)


@contextmanager
def deploy_lock(host: Host, app: str) -> Iterator[Callable[[str], None]]:
    """Hold the app's deploy lock, or fail at once when another deploy holds it."""
    path = host.store.deploy_lock(app)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)  # `exec 200>`, before flock
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse(host, app)
        try:
            yield lambda build: os.truncate(file, os.write(file, build.encode()))
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(file)


def refuse(host: Host, app: str) -> NoReturn:
    """Fail as Dokku does while another deploy holds the lock."""
    lines = [f"{app} currently has a deploy lock in place. Exiting..."]
    if host.since(versions.UNLOCK_HINT):
        lines.append("Run 'apps:unlock' to release the existing deploy lock")
    fail("\n".join(lines))
