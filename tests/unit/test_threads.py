"""Threads when there is no memory for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMITED = """
import resource
from ci_deploy.process import limits, threads
threads.limit_stacks()
threads.start(int).join()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {more}, -1))
try:
    threads.start(int).join()
    print("started")
except OSError as error:
    print(limits.named(error))
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (2**20 + 2**16, "this machine or container does not allow more memory."),
        (2**23, "started"),
    ],
    ids=["room for a stack only", "enough"],
)
def test_thread_for_which_there_is_no_memory_is_an_error_and_nobody_waits(
    more: int, said: str
) -> None:
    """`Thread.start` of Python waits for ever for a thread that fails in its first step."""
    argv = [sys.executable, "-c", LIMITED.format(more=more)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert (done.stdout.strip(), done.stderr) == (said, "")
