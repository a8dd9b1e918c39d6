"""Lists the files of a commit, compares them with the checkout, and exports them."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.git.repository import Repository

EXECUTABLE, LINK, SUBMODULE = "100755", "120000", "160000"
LIMIT = 64 * 2**20  # bytes that git may print about a commit: a list of half a million files


class Entry(NamedTuple):
    """A file of a commit."""

    mode: str  # as git prints it: `100644`, EXECUTABLE, LINK or SUBMODULE
    blob: str  # the object ID of its content; of a submodule, the commit
    path: str  # relative to the folder that was listed

    def unchanged_in(self, folder: Path) -> bool:
        """Whether the file in `folder`, a directory of the checkout, has the same content and
        mode."""
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


def whole(repository: Repository, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git with `arguments` in the private repository and return its complete stdout, empty when
    it fails. Raises SettingsError for more than LIMIT bytes, since a truncated list would be taken
    for a complete one; Unreachable after a minute."""
    command = replace(repository.command(*arguments), stdin=stdin, limit=LIMIT)
    [found] = repository.runner.read_all([command], ok=None)
    if len(found.out) >= LIMIT:
        shown = " ".join(arguments)
        what = "the commit has too many files, or one that is too large"
        reason = f"{what}: `git {shown}` prints more than {LIMIT // 2**20} MiB."
        raise SettingsError(Problem("the workspace", reason))
    return b"" if found.exit_code else found.out


class Listing:
    """The files in a folder of a commit (empty: in its root), with paths relative to that folder;
    none if there is no such folder. They are kept as git's output: objects for a hundred thousand
    files would need too much memory."""

    def __init__(self, repository: Repository, revision: str, folder: str) -> None:
        self._printed = whole(repository, "ls-tree", "-r", "-z", f"{revision}:{folder}")

    def get(self, path: str) -> Entry | None:
        """The file at `path`; None when there is none."""
        return next((each for each in self._found(f"{path}\0") if each.path == path), None)

    def under(self, folder: str) -> Iterator[Entry]:
        """Yield all files below a directory; all files of the listing if `folder` is empty."""
        start = f"{folder}/" if folder else ""
        return (each for each in self._found(start) if each.path.startswith(start))

    def _found(self, text: str) -> Iterator[Entry]:
        """Entries with `text` after a tab. (A name can contain a tab too, so callers check the
        path.)"""
        wanted, at = b"\t%b" % text.encode(errors="surrogateescape"), -1
        while (at := self._printed.find(wanted, at + 1)) >= 0:
            begin, end = self._printed.rfind(b"\0", 0, at) + 1, self._printed.index(b"\0", at)
            yield _entry(self._printed[begin:end].decode(errors="surrogateescape"))


def _entry(line: str) -> Entry:
    facts, _, path = line.partition("\t")
    mode, _, blob = facts.split()
    return Entry(mode, blob, path)


def entries(
    repository: Repository, revision: str, folder: str, paths: Sequence[str]
) -> list[Entry]:
    """The files of the commit `revision` at or below `paths`. These, and the paths of the entries,
    are relative to `folder` (empty: the root). An empty list for an unknown commit."""
    wanted = [posixpath.normpath(posixpath.join(folder, path)) for path in paths]
    listed = whole(repository, "ls-tree", "-r", "-z", revision, "--", *wanted)
    lines = filter(None, listed.decode(errors="surrogateescape").split("\0"))
    start = posixpath.normpath(folder or ".")
    return [e._replace(path=posixpath.relpath(e.path, start)) for e in map(_entry, lines)]


def is_checked_out(repository: Repository, revision: str) -> bool:
    """Whether the checkout's HEAD is the commit `revision`, or a merge of it (as in a pull
    request's job)."""
    head = repository.head
    if not head or head == revision:
        return head == revision
    parents = repository.git("rev-parse", f"{head}^@", ok=None)
    return parents.exit_code == 0 and revision in parents.text.split()


def export(repository: Repository, directory: Path, revision: str) -> Path:
    """Write all files of the commit `revision` into a new folder of `directory`, unless an earlier
    call has; returns the folder. Of an LFS file it has the pointer, and no submodules. Raises
    CommandFailed, Unreachable after ten minutes."""
    folder = directory / f"files-{revision[:12]}"
    if not folder.is_dir():
        folder.mkdir()
        environ = {"GIT_INDEX_FILE": f"{folder}.index", "GIT_WORK_TREE": str(folder)}
        repository.git("read-tree", revision, env=environ)
        repository.git("checkout-index", "--all", "--force", env=environ, timeout=600.0)
    return folder
