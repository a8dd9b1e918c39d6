"""Input of a program on a host that ends when we do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_until_we_end(path: Path) -> Iterator[Path]:
    """A file to read from that ends when we do, however we end: what follows a log on a host, and
    may have nothing to say for days, learns so that nobody listens."""
    os.mkfifo(path, 0o600)
    writer = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(writer)
        path.unlink()
