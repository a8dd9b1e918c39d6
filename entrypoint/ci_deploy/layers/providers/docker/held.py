"""Ends a program on a host when ci-deploy ends: by its stdin."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_until_we_end(path: Path) -> Iterator[Path]:
    """Context manager: a FIFO at `path` that reaches its end when our process ends, in any way. As
    the stdin of a program on a host that follows a log, and may print nothing for days, it tells
    that program when nobody reads its output any more."""
    os.mkfifo(path, 0o600)
    writer = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(writer)
        path.unlink()
