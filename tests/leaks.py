"""Where a secret must never be: argv of any process, files, git's configuration, netrc."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

INTERVAL = 0.04  # seconds between two looks at /proc
OLD = 12  # looks after which a process will not become another program any more


def spellings(secret: str) -> list[bytes]:
    """The secret as it is, and in base64 as Basic authentication has it."""
    plain = secret.encode()
    return [plain, *(base64.b64encode(b"x" * n + plain)[4:-4] for n in range(3))]


class Watch:
    """Looks at the argv of every process that is started while it runs."""

    def __init__(self, secret: str) -> None:
        self._needles = spellings(secret)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.found: list[str] = []
        self.looks = 0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        known = dict.fromkeys(_processes(), OLD)  # of others: nobody has told them the secret
        while not self._ended.wait(INTERVAL):
            self.looks += 1
            known = {name: known.get(name, 0) + 1 for name in _processes()}
            for name, looks in known.items():
                if looks <= OLD:
                    self._process(name)

    def _process(self, pid: str) -> None:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                argv = file.read()
        except OSError:
            return
        if any(needle in argv for needle in self._needles):
            self.found.append(argv.replace(b"\0", b" ").decode(errors="replace")[:200])


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal()]


def files_with(secret: str, folders: Iterable[Path]) -> list[str]:
    """Files that hold the secret."""
    needles = spellings(secret)
    found = []
    for path in (each for folder in folders for each in folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [str(path)] if any(needle in data for needle in needles) else []
    return found


@contextmanager
def unchanged(*paths: Path) -> Iterator[None]:
    """These files are afterwards what they were, or as absent as they were."""
    before = [_digest(path) for path in paths]
    yield
    assert [_digest(path) for path in paths] == before, f"one of {paths} was changed"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"
