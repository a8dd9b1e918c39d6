"""The private directory of a run, for sockets and secrets: mode 0700, removed on every exit.

A run that is killed by SIGKILL cannot remove it. The ssh-agent's wrapper then does so (agent.sh),
if there is one and it still runs; else the next run on this machine does. A lock, which the kernel
releases when a run ends in any way, shows that its owner still runs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from ci_deploy.errors import ToolMissing
from ci_deploy.process.child import close

PREFIX = "ci-deploy-"
LOCK = "lock"  # a file in it, locked while its owner runs; older versions have none
SOCKET_ROOM = 60  # bytes of its path: control sockets have at most 90
SPARE = 8  # descriptors reserved for removing it, even when all others are in use


def private_dir(cleanup: ExitStack) -> Path:
    """Make the run's private directory, and remove those that killed runs have left. Returns its
    path, which is short enough for sockets; `cleanup` removes it. Raises ToolMissing when no
    directory for temporary files is writable, OSError."""
    try:
        base = tempfile.gettempdir()
    except FileNotFoundError:
        reason = f"no directory for temporary files is writable{_why()}."
        hint = "Free some space or set TMPDIR; with `docker run --read-only`, add `--tmpfs /tmp`."
        raise ToolMissing(reason, hint=hint) from None
    if len(os.fsencode(base)) > SOCKET_ROOM - len(f"/{PREFIX}12345678"):
        base = "/tmp"  # noqa: S108 - mkdtemp makes a directory of ours in it
    remove_left(Path(base))
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(SPARE - 1)]
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    cleanup.callback(_remove, path, spare)
    with suppress(OSError):  # without a lock, later runs leave it alone
        spare.append(_locked(path))
    return path


def remove_left(base: Path) -> None:
    """Remove the private directories in `base` that belong to this user and whose run has ended.
    Ignores errors."""
    ours = list[Path]()
    with suppress(OSError), os.scandir(base) as entries:
        ours = [Path(entry) for entry in entries if entry.name.startswith(PREFIX)]
    for path in ours:
        with suppress(OSError):
            if path.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(path / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while the owner lives
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(path: Path) -> int:
    """Create the lock and hold it; returns its descriptor. It gets its name only when it is held,
    so that no other run takes this one for dead. Raises OSError."""
    new = path / f"new-{LOCK}"
    lock = os.open(new, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(path / LOCK)
    except OSError:
        os.close(lock)
        raise
    return lock


def _why() -> str:
    try:
        with tempfile.TemporaryFile(dir="/tmp") as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return f" (/tmp: {error.strerror})"
    return ""


def _remove(path: Path, spare: list[int]) -> None:
    close(*spare)
    shutil.rmtree(path, ignore_errors=True)
