"""An archive of all that a revision holds, LFS files and submodules among it.

What `.gitattributes` leaves out or replaces in archives (export-ignore, export-subst) is in it all
the same: the private repository overrides these, so that each way brings the same content.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.run.context import Context

if TYPE_CHECKING:
    import tarfile

POINTER = re.compile(rb"version https://git-lfs[^\n]*\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
SHA256 = 64  # characters of an id
POINTER_LIMIT = 1024  # bytes; the specification of git-lfs pointers


def by_archive(ctx: Context, method: str) -> bool:
    """Whether the revision goes by archive, given DEPLOY_METHOD; `auto` says why it does not push.

    Raises SettingsError where it can only go by archive, and a push is asked for.
    """
    if method == "archive":
        return True
    repository = ctx.repository
    lfs, sha256 = repository.uses_lfs(ctx.revision), len(ctx.revision) == SHA256
    if method == "push":
        if sha256:
            reason = "the repository has SHA-256 ids, which the server's does not take by a push."
            raise SettingsError(Problem("DEPLOY_METHOD", reason, "", "Set `archive`, or unset it."))
        if lfs:
            warning = "a push brings the pointers of LFS files, not the files"
            ctx.console.warning(f"{warning}: DEPLOY_METHOD=archive brings them.")
        return False
    why = "the repository has SHA-256 ids" if sha256 else "it has LFS files" if lfs else ""
    if not why and not repository.can_deepen():
        why = "the checkout lacks history or files that cannot be fetched from here"
    if why:
        ctx.console.indent(f"it goes as an archive, not by a push: {why}.")
    return bool(why)


def write_archive(ctx: Context, sha: str, folder: str = "") -> Path:
    """Write a tar file of a revision (of a folder of it) into the private directory.

    Raises SettingsError when a submodule, an LFS file or, in a partial clone, any file is not in
    the checkout.
    """
    ctx.repository.complete(sha)
    path = ctx.private_dir / f"{sha[:12]}.tar"
    tree = f"{sha}:{folder}" if folder else sha
    _pack(ctx, tree, "", path)
    _add_submodules(ctx, path, tree, ctx.workspace / folder, "")
    if ctx.repository.uses_lfs(sha):
        _add_lfs(path, ctx.workspace / folder)
    return path


def _pack(ctx: Context, tree: str, prefix: str, path: Path) -> None:
    ctx.repository.git(
        "archive", "--format=tar", f"--prefix={prefix}", f"--output={path}", tree, timeout=600.0
    )


def _add_submodules(ctx: Context, path: Path, tree: str, where: Path, prefix: str) -> None:
    """Submodules of submodules too; each has to be checked out at the commit that is wanted."""
    import tarfile  # takes long to load, and most runs need none

    listed = ctx.repository.git("ls-tree", "-r", "-z", tree).out.decode(errors="surrogateescape")
    entries = (entry.partition("\t") for entry in listed.split("\0"))
    for head, _, name in entries:
        if not head.startswith("160000"):
            continue
        commit = head.split()[2]
        if not ctx.repository.borrow(where / name) or not ctx.repository.has(commit):
            reason = f"the submodule {prefix}{name} is not checked out at {commit[:7]}."
            remedy = "GitLab: GIT_SUBMODULE_STRATEGY: recursive. GitHub: `submodules: recursive`."
            raise SettingsError(Problem("the workspace", reason, "", remedy))
        part = path.with_suffix(".part")
        _pack(ctx, commit, f"{prefix}{name}/", part)
        with tarfile.open(part) as content, tarfile.open(path, "a:") as archive:
            for member in content:
                archive.addfile(member, content.extractfile(member) if member.isfile() else None)
        part.unlink()
        _add_submodules(ctx, path, commit, where / name, f"{prefix}{name}/")


def _add_lfs(path: Path, where: Path) -> None:
    """Later members win: the files that the pointers stand for are added behind them."""
    import tarfile

    with tarfile.open(path) as archive:
        small = [member for member in archive if member.isfile() and member.size < POINTER_LIMIT]
        pointers = {
            member.name: match[1].decode()
            for member in small
            if (file := archive.extractfile(member)) and (match := POINTER.match(file.read()))
        }
    with tarfile.open(path, "a:") as archive:
        for name, digest in pointers.items():
            real = where / name
            data = real.read_bytes() if real.is_file() and not real.is_symlink() else b""
            if hashlib.sha256(data).hexdigest() != digest:
                reason = f"the LFS file {name} is not in the checkout, only its pointer is."
                remedy = "Let CI fetch LFS files (GitHub: `lfs: true`), or set DEPLOY_METHOD=push."
                raise SettingsError(Problem("the workspace", reason, "", remedy))
            archive.add(real, name, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
