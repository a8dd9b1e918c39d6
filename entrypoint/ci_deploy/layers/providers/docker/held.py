"""The stdin of a program on a host that must end when we end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_until_we_end(path: Path) -> Iterator[Path]:
    """A FIFO that ends when our process ends, in any way. A program on a host that follows a log,
    and may print nothing for days, learns by its stdin that nobody reads it any more."""
    os.mkfifo(path, 0o600)
    writer = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(writer)
        path.unlink()
