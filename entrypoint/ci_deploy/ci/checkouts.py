"""Finds the git checkout that is deployed (`find`), since a job may have several, and reads its
branch (`branch`)."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from ci_deploy.errors import Problem, SettingsError

MARK = ".git"  # a directory, or the file of a worktree or submodule
NAMED = 5  # nested checkouts that an error names at most


class Checkout(NamedTuple):
    """The checkout whose commits are deployed, as `find` has chosen it. There may be no repository
    at `path`: then `check` or `Repository.open` fails."""

    path: Path
    named: str = ""  # the value of CHECKOUT_DIR, if that has chosen it

    def check(self) -> None:
        """Check that it is clear what to deploy. Raises SettingsError when CHECKOUT_DIR is not the
        root of a checkout, or when it is not set and the workspace and the current directory are
        two checkouts."""
        name, ours = "CHECKOUT_DIR", top(self.path)
        if self.named and (not ours or ours != self.path.resolve()):
            reason = f"`{self.named}` is not the root of a git checkout."
            remedy = _nested(self.path) or "Set it to a directory that contains `.git`."
            if not self.path.is_dir():
                reason = f"there is no directory {self.path}."
            elif ours:
                remedy = f"The root is {ours}. To deploy a directory of it, set APP_DIR."
            raise SettingsError(Problem(name, reason, "", remedy))
        here = top(_cwd())
        if not self.named and ours and here and here != ours:
            reason = (
                f"the job's workspace {ours} and the current directory {here} are two "
                "checkouts: it is not clear which one to deploy."
            )
            other = _relative(here, self.path)
            remedy = f"Set it to `.` for the workspace, or to `{other}` for the other one."
            raise SettingsError(Problem(name, reason, "", remedy))

    def none_there(self, said: str) -> SettingsError:
        """Make the error to raise when git finds no repository in the checkout's directory. `said`:
        git's stderr, whose last line becomes the reason."""
        why = said.rpartition("\n")[2].removeprefix("fatal: ")
        reason = f"there is no git checkout in {self.path}{f' ({why})' if why else ''}."
        remedy = (
            "Check out the code before the deploy (GitLab: GIT_STRATEGY must not be `none` "
            'or `empty`; `docker run`: -v "$PWD:/w" -w /w).'
        )
        if (self.path / MARK).is_file():
            remedy = (
                "The directory is a worktree or submodule: the repository that its `.git` file "
                "names must be available too."
            )
        if found := _nested(self.path):
            remedy = f"{found} Set CHECKOUT_DIR to it."
        return SettingsError(Problem("the workspace", reason, "", remedy))


def find(workspace: Path, named: str) -> Checkout:
    """Choose the checkout: the directory that CHECKOUT_DIR (`named`, relative to `workspace`, or
    empty) names; else the checkout that contains the workspace; else the one that contains the
    current directory, if this is inside the workspace or the workspace does not exist; else the
    workspace, although it is none. Only `check` verifies the choice."""
    if named:
        return Checkout(workspace / named, named)
    here, there = top(_cwd()), top(workspace)
    inside = here and (workspace.resolve() in here.parents or not workspace.exists())
    if here and inside and not there:
        return Checkout(here)
    return Checkout(there or workspace)


def top(path: Path) -> Path | None:
    """The root of the checkout that contains the directory `path` (which may be the root), with
    symbolic links resolved; None when there is none. Looks only for `.git`, without git."""
    path = path.resolve()
    return next((each for each in (path, *path.parents) if (each / MARK).exists()), None)


def branch(path: Path) -> str:
    """The branch that is checked out in the checkout that contains `path`, read from its `.git`;
    empty without a checkout, for a detached HEAD, and when it cannot be read."""
    folder = top(path)
    try:
        mark = folder / MARK if folder else path / MARK
        if mark.is_file():  # gitdir: PATH
            mark = mark.parent / mark.read_text().partition(":")[2].strip()
        head = (mark / "HEAD").read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    prefix = "ref: refs/heads/"
    return head.removeprefix(prefix).strip() if head.startswith(prefix) else ""


def _nested(path: Path) -> str:
    """A sentence that names the checkouts in a directory; empty for none."""
    marks = chain(path.glob(f"*/{MARK}"), path.glob(f"*/*/{MARK}"))
    found = sorted(str(mark.parent.relative_to(path)) for mark in islice(marks, NAMED))
    return f"There is one in `{'`, `'.join(found)}`." if found else ""


def _relative(path: Path, base: Path) -> str:
    base = base.resolve()
    return str(path.relative_to(base) if path.is_relative_to(base) else path)


def _cwd() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed
        return Path("/")
