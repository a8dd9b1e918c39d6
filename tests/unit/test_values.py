"""From text to values: what git takes as the name of a branch, and files that can be read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ci_deploy.settings import parsers as values

BRANCHES = (
    "main", "release/1.0+build", "feature/#1", "a..b", "a b", "-x", "x-", ".x", "a/.x", "x.lock",
    "a/x.lock/b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a/", "/a", "a//b", "a.", "@",
    "a@{b", "a@b", "HEAD", "ä/ö", "a\x7fb", "JIRA-1_x", "a$b", "a'b", "{a}", "head", "a.b.c", "@x",
)  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES)
def test_branch_is_what_git_itself_takes(name: str) -> None:
    """(faults F2)"""
    argv = ["git", "check-ref-format", "--branch", name]
    taken = subprocess.run(argv, capture_output=True, check=False).returncode == 0
    if taken:
        assert values.branch(name) == name
    else:
        with pytest.raises(ValueError, match="is not a valid branch name"):
            values.branch(name)


def test_ref_is_no_branch() -> None:
    """It would be pushed to refs/heads/refs/heads/main (faults F2)."""
    with pytest.raises(ValueError, match="give the branch, `main`"):
        values.branch("refs/heads/main")


def test_file_that_has_to_be_there_is_a_regular_one(tmp_path: Path) -> None:
    """A FIFO would hang whoever reads it (faults J7)."""
    (tmp_path / "good").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    assert values.existing_file(str(tmp_path / "good")) == str(tmp_path / "good")
    with pytest.raises(ValueError, match="it is not a regular file"):
        values.existing_file(str(tmp_path / "fifo"))
    with pytest.raises(ValueError, match="there is no file"):
        values.existing_file(str(tmp_path / "none"))
