"""The private directory of a run, for sockets and secrets: 0700, removed on every exit.

Who is killed removes nothing. The ssh-agent's wrapper does it (agent.sh), where there is one and it
lives; the others are left to the next run on this machine: of a run that lives the kernel holds a
lock.
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
LOCK = "lock"  # in it, locked as long as its owner lives; older versions have none
SOCKET_ROOM = 60  # bytes of its path: control sockets have at most 90
SPARE = 8  # descriptors reserved for removing it, even when all others are in use


def private_dir(cleanup: ExitStack) -> Path:
    """Make it, with a short path; remove those that killed runs have left. Raises ToolMissing."""
    try:
        base = tempfile.gettempdir()
    except FileNotFoundError:
        reason = f"no directory for temporary files can be written to{_why()}."
        hint = "Free some space or set TMPDIR; with `docker run --read-only`, add `--tmpfs /tmp`."
        raise ToolMissing(reason, hint=hint) from None
    if len(os.fsencode(base)) > SOCKET_ROOM - len(f"/{PREFIX}12345678"):
        base = "/tmp"  # noqa: S108 - mkdtemp makes a directory of ours in it
    remove_left(Path(base))
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(SPARE - 1)]
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    cleanup.callback(_remove, path, spare)
    with suppress(OSError):  # then nobody else will remove it
        spare.append(_locked(path))
    return path


def remove_left(base: Path) -> None:
    """Remove the directories of this user whose owners have been killed."""
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
    """The lock is not there before it is held, so that nobody takes a new run for a dead one.
    Raises OSError."""
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
