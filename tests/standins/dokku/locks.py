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
from .output import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .host import Host


@contextmanager
def exclusive_deploy(host: Host, app: str, source: str) -> Iterator[None]:
    """Hold the lock and record the build; the lock file names it, for `builds:cancel`."""
    with deploy_lock(host, app) as name_build, recorded(host, app, source) as build:
        name_build(build)
        started = time.monotonic()
        yield
        recording.deployed(host.store.root, app, time.monotonic() - started)


@contextmanager
def deploy_lock(host: Host, app: str) -> Iterator[Callable[[str], None]]:
    """Hold the app's deploy lock, or fail at once when another deploy holds it."""
    path = host.store.deploy_lock(app)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse(host, app)
        os.ftruncate(file, 0)
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
