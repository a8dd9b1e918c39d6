"""A tar archive of all files of a revision, with the content of LFS files and submodules.

`export-ignore` and `export-subst` of `.gitattributes` have no effect: the private repository
overrides them, so that every deploy method transfers the same content.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.git.committed import whole
from ci_deploy.git.repository import Repository

if TYPE_CHECKING:
    import tarfile

POINTER = re.compile(rb"version https://git-lfs[^\n]*\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
POINTER_LIMIT = 1024  # bytes; the specification of git-lfs pointers


def write_archive(repository: Repository, directory: Path, sha: str, folder: str = "") -> Path:
    """Write a tar file of the commit `sha`, or of its `folder`, into `directory`; returns the
    file's path. Raises SettingsError when a submodule or an LFS file is not in the checkout, or
    when a partial clone lacks a file that its origin does not give; ToolMissing, Unreachable."""
    repository.complete(sha)
    path = directory / f"{sha[:12]}.tar"
    tree = f"{sha}:{folder}" if folder else sha
    _pack(repository, tree, "", path)
    _add_submodules(repository, path, tree, repository.checkout.path / folder, "")
    if repository.uses_lfs(sha):
        _add_lfs(path, repository.checkout.path / folder, sha)
    return path


def _pack(repository: Repository, tree: str, prefix: str, path: Path) -> None:
    repository.git(
        "archive", "--format=tar", f"--prefix={prefix}", f"--output={path}", tree, timeout=600.0
    )


def _add_submodules(
    repository: Repository, path: Path, tree: str, where: Path, prefix: str
) -> None:
    """Add the submodules, recursively. Raises SettingsError when a checkout of one lacks its
    commit."""
    import tarfile  # takes long to load, and most runs need none

    # `-d` leaves out files, of which there may be a hundred thousand.
    listed = whole(repository, "ls-tree", "-r", "-d", "-z", tree).decode(errors="surrogateescape")
    entries = (entry.partition("\t") for entry in listed.split("\0"))
    for head, _, name in entries:
        if not head.startswith("160000"):
            continue
        commit = head.split()[2]
        if not repository.borrow(where / name) or not repository.has(commit):
            reason = f"the checkout of the submodule {prefix}{name} has no {commit[:7]}."
            remedy = (
                "Run `git submodule update --init --recursive` before ci-deploy (GitLab: set "
                "GIT_SUBMODULE_STRATEGY to recursive; GitHub: `submodules: recursive`). For "
                "another revision than the checkout's, fetch the submodule's whole history."
            )
            raise SettingsError(Problem("the workspace", reason, "", remedy))
        part = path.with_suffix(".part")
        _pack(repository, commit, f"{prefix}{name}/", part)
        with tarfile.open(part) as content, adding(path) as archive:
            for member in members(content):
                archive.addfile(member, content.extractfile(member) if member.isfile() else None)
                _forget(archive)
        part.unlink()
        _add_submodules(repository, path, commit, where / name, f"{prefix}{name}/")


def _add_lfs(path: Path, where: Path, sha: str) -> None:
    """Append the files for which there are LFS pointers: later members of a tar win. Raises
    SettingsError when the checkout has another content, like the pointer, or no such file."""
    import tarfile

    with tarfile.open(path) as archive:
        pointers = {
            member.name: match[1].decode()
            for member in members(archive)
            if member.isfile() and member.size < POINTER_LIMIT
            if (file := archive.extractfile(member)) and (match := POINTER.match(file.read()))
        }
    with adding(path) as archive:
        for name, digest in pointers.items():
            real = where / name
            if _digest(real) != digest:
                reason = f"the checkout lacks the content of the LFS file {name} of {sha[:7]}."
                remedy = (
                    "Let CI fetch the LFS files of that commit (GitHub: `lfs: true`), or set "
                    "DEPLOY_METHOD=push, which sends their pointers."
                )
                raise SettingsError(Problem("the workspace", reason, "", remedy))
            archive.add(real, name, filter=_anonymous)


def _digest(path: Path) -> str:
    """SHA-256 of a regular file as 64 hexadecimal digits; empty when it is none."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an open tar file. `tarfile` does not keep them then: a hundred thousand
    would need much memory."""
    while member := archive.next():
        yield member
        _forget(archive)


def _forget(archive: tarfile.TarFile) -> None:
    archive.members.clear()  # type: ignore[attr-defined]


@contextmanager
def adding(path: Path) -> Iterator[tarfile.TarFile]:
    """Context manager: yields the uncompressed tar file at `path`, open for appending. `tarfile`'s
    own mode "a" would keep all existing members in memory."""
    import tarfile

    with tarfile.open(path) as archive:
        for _ in members(archive):
            pass
        end = archive.offset
    with path.open("r+b") as file:
        file.truncate(end)
        file.seek(end)
        with tarfile.open(fileobj=file, mode="w:") as archive:
            yield archive


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
