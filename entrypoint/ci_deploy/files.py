"""Reads and writes files whose paths come from settings or the platform: only regular files, of a
limited size, and no symbolic links for writing. A FIFO would block, a device would fill the memory,
and a link in the workspace, which a pull request can add, would redirect what is written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SETTING_LIMIT = 1024 * 1024  # bytes; the limit for a setting or a file of variables
EVENT_LIMIT = 64 * 1024 * 1024  # bytes; GitHub's event payload has at most 25 MB


def read(path: str | Path, limit: int = SETTING_LIMIT) -> bytes:
    """Read a whole regular file; links are followed, since secrets are mounted that way.

    Raises OSError, whose `strerror` is for the user; also when it is not a regular file or has more
    than `limit` bytes.
    """
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit // 1024} KiB", str(path))
    return data


def first_line(path: str | Path, limit: int) -> bytes:
    """Read the first line of a regular file with its line end, at most `limit` bytes. Raises
    OSError."""
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        return file.readline(limit)


def write(path: str | Path, data: bytes) -> None:
    """Replace the content of a regular file, or create it. Raises OSError, also for a symbolic
    link; if the disk is full, the old content stays."""
    with os.fdopen(_open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW), "wb", 0) as file:
        before = os.fstat(file.fileno()).st_size
        try:  # reserve the space first: on a full disk the old content stays
            os.posix_fallocate(file.fileno(), 0, max(1, len(data)))
        except OSError:
            file.truncate(before)
            raise
        _write_all(file.fileno(), data)
        file.truncate(len(data))


def append(path: str | Path, data: bytes) -> None:
    """Append to a regular file, or create it. Raises OSError, also for a symbolic link; then
    nothing is appended."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with os.fdopen(_open(path, flags), "ab", 0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            _write_all(file.fileno(), data)
        except OSError:
            file.truncate(before)  # a partial entry would make the whole file invalid
            raise


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Context manager: opens a new file for writing, with mode 0600, in place of any file or link
    at `path`. After an exception the incomplete file is removed. Raises OSError."""
    path.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _open(path: str | Path, flags: int) -> int:
    """Open a regular file with `flags`; returns the descriptor. Raises OSError. Without O_NONBLOCK,
    opening a FIFO would wait for its other end."""
    try:
        found = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and flags & os.O_NOFOLLOW:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        if error.errno == errno.ENXIO:  # a FIFO that nobody reads, a socket
            raise OSError(errno.ENXIO, "it is not a regular file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return found
