"""Files as a commit has them: those of the checkout where they are unchanged, else a copy."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ci_deploy.git.repository import Repository

EXECUTABLE, LINK = "100755", "120000"


class Entry(NamedTuple):
    """A file of a commit; `path` is relative to the folder that was asked for."""

    mode: str
    blob: str
    path: str

    def unchanged_in(self, folder: Path) -> bool:
        """Whether a checkout has the same there."""
        path = folder / self.path
        try:
            data = os.fsencode(path.readlink()) if self.mode == LINK else path.read_bytes()
        except OSError:
            return False
        algorithm = "sha1" if len(self.blob) == 40 else "sha256"
        found = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
        found.update(data)
        executable = self.mode != EXECUTABLE or os.access(path, os.X_OK)
        return found.hexdigest() == self.blob and executable


def entries(
    repository: Repository, revision: str, folder: str, paths: Sequence[str]
) -> list[Entry]:
    """The files of a commit at or under `paths` of a folder; none where there is no such commit."""
    wanted = [posixpath.normpath(posixpath.join(folder, path)) for path in paths]
    listed = repository.git("ls-tree", "-r", "-z", revision, "--", *wanted, ok=None)
    if listed.exit_code:
        return []
    found = []
    for line in filter(None, listed.out.decode(errors="surrogateescape").split("\0")):
        facts, _, path = line.partition("\t")
        mode, _, blob = facts.split()
        found.append(Entry(mode, blob, posixpath.relpath(path, posixpath.normpath(folder or "."))))
    return found


def is_checked_out(repository: Repository, revision: str) -> bool:
    """Whether HEAD is the commit, or the platform's merge of it."""
    head = repository.head
    if not head or head == revision:
        return head == revision
    parents = repository.git("rev-parse", f"{head}^@", ok=None)
    return parents.exit_code == 0 and revision in parents.text.split()


def export(repository: Repository, directory: Path, revision: str) -> Path:
    """All files of a commit below a private directory."""
    folder = directory / f"files-{revision[:12]}"
    if not folder.is_dir():
        folder.mkdir()
        environ = {"GIT_INDEX_FILE": f"{folder}.index", "GIT_WORK_TREE": str(folder)}
        repository.git("read-tree", revision, env=environ)
        repository.git("checkout-index", "--all", "--force", env=environ, timeout=600.0)
    return folder
