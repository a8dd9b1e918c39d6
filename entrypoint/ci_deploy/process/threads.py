"""Starts threads only while there is memory for their first step: `Thread.start` waits for that
step, and for ever if it fails (python/cpython#140746)."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from threading import Thread as Thread
from threading import stack_size

STACK = 2**20  # bytes of a thread's stack; the default, 8 MiB, counts in full for `ulimit -v`
FIRST = 2**20  # bytes besides it: what Python allocates for the first step of a thread


def limit_stacks() -> None:
    """Let all threads that this process starts from now on have stacks of STACK bytes."""
    stack_size(STACK)


def room(threads: int = 1) -> None:
    """Check that there is address space for so many new threads. Raises OSError (ENOMEM), which
    `limits.named` explains."""
    size = threads * (STACK + FIRST)
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def start(work: Callable[..., object], *arguments: object) -> Thread:
    """Call `work` with these arguments in a new daemon thread, and return the thread. Raises
    OSError (ENOMEM) when there is no memory for it, RuntimeError when the limit of threads is
    reached."""
    room()
    thread = Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
