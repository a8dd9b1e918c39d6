"""Limits of the machine, and signals that come before we are ready for them."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from ci_deploy.errors import Refused, ToolMissing
from ci_deploy.process import limits
from ci_deploy.process.limits import named
from ci_deploy.process.program import CommandFailed, Result

EARLY = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "ci_deploy.cli":
            os.kill(os.getpid(), int(sys.argv[1]))

sys.meta_path.insert(0, Finder())
from ci_deploy import __main__ as edge
edge.main()
"""


ENDED_UNEXPECTEDLY = "git failed on this machine: a program that it had started ended unexpectedly."


@pytest.mark.parametrize(("signum", "code"), [(15, 143), (2, 130), (1, 143)])
def test_cancel_while_we_import_ends_the_run_in_words(signum: int, code: int) -> None:
    """As PID 1 it was ignored, else there was a traceback (faults J10)."""
    argv = [sys.executable, "-c", EARLY, str(signum)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("cancelled (SIG")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "TMPDIR"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Free some space"),
        (OSError(errno.EROFS, "Read-only file system"), "that can be written to"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "--pids-limit"),
        (RuntimeError("can't start new thread"), "--pids-limit"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "--memory"),
        (MemoryError(), "--memory"),
    ],
)
def test_limit_of_the_machine_is_named_and_is_no_bug_of_ours(error: Exception, words: str) -> None:
    """Exit code 10 and not 1 (faults J13)."""
    known = named(error)
    assert isinstance(known, ToolMissing)
    assert words in known.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fatal: write error: No space left on device", "no space is left"),
        ("error: cannot create async thread: Resource temporarily unavailable", "processes"),
        ("remote: error: No space left on device", ""),
        ("fatal: no such path", ""),
    ],
)
def test_limit_that_git_has_met_is_named_and_not_that_of_a_server(line: str, words: str) -> None:
    """It was 20, "git failed with exit code 128" (faults J13)."""
    result = Result(("git", "cat-file"), 128, err=f"{line}\nfatal: it failed".encode())
    with pytest.raises(ToolMissing if words else CommandFailed, match=words or "exit code 128"):
        result.answered((0,))


def test_file_that_has_met_the_limit_is_named_if_it_is_known() -> None:
    """It was always called the directory for temporary files, also for a file of the workspace."""
    error = named(OSError(errno.EROFS, "Read-only file system", "/builds/shop/.gitlab-ci.yml"))
    assert str(error) == "/builds/shop/.gitlab-ci.yml is read-only."
    assert str(named(OSError(errno.EDQUOT, ""))).startswith("this user's disk quota is used up")


def test_other_errors_stay_what_they_are() -> None:
    """A bug is a bug, and what is known already is known (faults J13)."""
    for error in (ValueError("x"), OSError(errno.ENOENT, "no"), Refused("no")):
        assert named(error) is error


@pytest.mark.parametrize(
    ("name", "exit_code", "lines", "said"),
    [
        ("git", -9, [], "git was killed on this machine (SIGKILL)."),
        (
            "git",
            128,
            ["error: pack-objects died of signal 9", "fatal: the remote end hung up"],
            "pack-objects was killed on this machine (SIGKILL).",
        ),
        ("git", -13, ["remote: -----> Building"], ENDED_UNEXPECTEDLY),
        ("git", 128, ["remote: fatal: of the build"], ENDED_UNEXPECTEDLY),
        ("git", 128, ["fatal: unable to access 'https://x/': Could not resolve host"], ""),
        ("git", 1, ["error: failed to push some refs"], ""),
        ("ssh", 128, [], ""),
        ("ssh", -13, [], ""),
    ],
)
def test_program_of_git_that_was_killed_is_noticed(
    name: str, exit_code: int, lines: list[str], said: str
) -> None:
    """Also where git ends without a word: "Dokku failed with exit code -13" blamed the server."""
    assert limits.killed(name, exit_code, lines) == said
