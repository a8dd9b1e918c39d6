"""Repositories of a size that nobody has at hand, made by `git fast-import` in seconds."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from standins.support import Checkout

FILE = "packages/module-{0:04}/src/a/deeper/folder/component-number-{1:06}.js"
PER_FOLDER = 100


def repository(path: Path, commits: int, files: int) -> Checkout:
    """A checkout with so many commits, and with so many files, all of them since the first."""
    made = Checkout(path)
    importing = ["git", "-C", str(path), "fast-import", "--quiet"]
    with subprocess.Popen(importing, stdin=subprocess.PIPE) as importer:
        assert importer.stdin is not None
        for part in _stream(commits, files):
            importer.stdin.write(part.encode())
    assert importer.returncode == 0
    made.git("reset", "--quiet", "--hard")
    made.head = made.git("rev-parse", "HEAD")
    return made


def lfs(checkout: Checkout) -> None:
    """Let it have a file of git-lfs, which is checked out."""
    data = b"x" * 100_000
    digest = hashlib.sha256(data).hexdigest()
    lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{digest}", "size 100000")
    pointer = "".join(f"{line}\n" for line in lines)
    checkout.commit("Add a film", {".gitattributes": "*.film filter=lfs\n", "a.film": pointer})
    (checkout.path / "a.film").write_bytes(data)


def _stream(commits: int, files: int) -> Iterator[str]:
    for number in range(1, commits + 1):
        at = 1_700_000_000 + number
        yield f"commit refs/heads/main\ncommitter Jane <jane@example.com> {at} +0000\n"
        yield _data(f"Commit {number}") + ("from refs/heads/main^0\n" if number == 1 else "")
        yield f"M 100644 inline counter\n{_data(number)}"
        for each in range(files if number == 1 else 0):
            name = FILE.format(each // PER_FOLDER, each)
            yield f"M 100644 inline {name}\n{_data(f'export default {each}')}"


def _data(text: object) -> str:
    return f"data <<E\n{text}\nE\n"
