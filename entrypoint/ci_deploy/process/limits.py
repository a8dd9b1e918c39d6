"""Limits of the machine or container that we run into: named, not told as a bug."""

from __future__ import annotations

import errno
import resource

from ci_deploy.errors import Ending, ToolMissing


def named(error: Exception) -> Exception:
    """The error itself, or ToolMissing that names the limit."""
    if isinstance(error, Ending) or not (found := _limit(error)):
        return error
    what, how = found
    return ToolMissing(f"this machine does not allow us {what}.", hint=f"Raise the limit: {how}.")


def _limit(error: Exception) -> tuple[str, str] | None:
    code = error.errno if isinstance(error, OSError) else None
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    no_thread = "can't start new thread" in str(error)  # it needs memory, too
    if code in {errno.EMFILE, errno.ENFILE}:
        return f"more than {files} open files", "`ulimit -n 1024`"
    if no_thread and memory != resource.RLIM_INFINITY:
        return f"more memory than {memory // 1024} KiB", "`ulimit -v unlimited`"
    if code == errno.EAGAIN or no_thread:
        return "more processes or threads", "`docker run --pids-limit 100`, `ulimit -u`"
    # Without memory the interpreter may lose the very error that tells it.
    lost = isinstance(error, SystemError) and memory != resource.RLIM_INFINITY
    if code == errno.ENOMEM or isinstance(error, MemoryError) or lost:
        return "more memory", "`docker run --memory 256m`, `ulimit -v unlimited`"
    if code == errno.ENOSPC:
        return "more space in the directory for temporary files", "more disk, or TMPDIR elsewhere"
    return None
