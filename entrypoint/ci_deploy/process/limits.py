"""Recognises errors that come from a limit of the machine or container (memory, disk space, open
files), to name the limit instead of reporting a bug."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from ci_deploy.errors import Ending, ToolMissing

KILLED = -signal.SIGKILL  # exit code: by the kernel for lack of memory, by a runner, or by a person
HELPER_QUIT = 128  # also when git dies with a message
GIT_DIES = ("fatal: ", "error: ")
DIED = re.compile(rf"(?:error: )?(\S+) died of signal {signal.SIGKILL}")  # git's message
MORE_MEMORY = "Perhaps the job ran out of memory: raise the runner's limit, or `--memory`."
ROOM = 64 * 1024  # bytes that our repository takes at least
FULL = "Free some space; for temporary files, TMPDIR can be set to a directory on another disk."
# Error texts that are about this machine; a server's lines begin with `remote:`.
SAID = {
    code: os.strerror(code)
    for code in (
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG,
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
    )
}  # fmt: skip


def named(error: Exception) -> Exception:
    """If `error` is no Ending and comes from a limit of this machine, a ToolMissing that names the
    limit and how to raise it; else `error` itself."""
    return error if isinstance(error, Ending) else _met(error) or error


def said(lines: Iterable[str]) -> ToolMissing | None:
    """If a program that ran here reports a limit of this machine in its output `lines`, a
    ToolMissing that names the limit; else None. A server's lines (`remote: …`) do not count."""
    for line in lines:
        for code, text in SAID.items():
            ours = not line.startswith("remote:")
            if ours and re.search(rf"\b{re.escape(text)}\b", line):
                return _met(OSError(code, text), line) or ToolMissing(f"{text}.", lines=(line,))
    return None


def killed(name: str, exit_code: int, lines: Sequence[str]) -> str:
    """The sentence that a program was killed on this machine: `name`, by its exit code, or one that
    it had started, as git shows it in `lines`, its output. Empty if none was.

    git does not mention all: it ends by SIGPIPE when one that it writes to is gone, and with exit
    code 128 and no message when its remote helper is (transport-helper.c, `recvline`).
    """
    died = (match[1] for line in lines if (match := DIED.fullmatch(line)))
    if program := name if exit_code == KILLED else next(died, ""):
        return f"{program} was killed on this machine (SIGKILL)."
    silent = exit_code == HELPER_QUIT and not any(line.startswith(GIT_DIES) for line in lines)
    if name == "git" and (exit_code == -signal.SIGPIPE or silent):
        return "git failed on this machine: a program that it had started ended unexpectedly."
    return ""


def full(folder: Path) -> ToolMissing | None:
    """The error for a full disk if less than 64 KiB, or no more file, can be written to `folder`;
    else None. git's own error does not always say that the disk is full."""
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize >= ROOM and (found.f_favail or not found.f_files):
        return None
    return _met(OSError(errno.ENOSPC, "", str(folder)))


def _met(error: Exception, *lines: str) -> ToolMissing | None:
    """The error that names the limit; None for another error. `lines` are a program's, not logged
    yet."""
    if not (found := _limit(error)):
        return None
    what, how = found
    return ToolMissing(f"{what}.", hint=how, lines=lines, shown=False)


def _limit(error: Exception) -> tuple[str, str] | None:
    """What the limit is, and what to do; None for another error."""
    code = error.errno if isinstance(error, OSError) else None
    path = error.filename if isinstance(error, OSError) else None
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    size = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    no_thread = "can't start new thread" in str(error)  # it needs memory, too
    if code == errno.ENFILE:
        return _allowed("more open files, of all processes together", "`sysctl fs.file-max`")
    if code == errno.EMFILE:
        return _allowed(f"more than {files} open files", f"`ulimit -n {max(1024, 2 * files)}`")
    if no_thread and memory != resource.RLIM_INFINITY:
        return _allowed(f"more memory than {memory // 1024} KiB", "`ulimit -v unlimited`")
    if code == errno.EAGAIN or no_thread:
        return _allowed("more processes or threads", "`docker run --pids-limit 100`, `ulimit -u`")
    # Without memory the interpreter may lose the MemoryError itself.
    lost = isinstance(error, SystemError) and memory != resource.RLIM_INFINITY
    if code == errno.ENOMEM or isinstance(error, MemoryError) or lost:
        return _allowed("more memory", "`docker run --memory 256m`, `ulimit -v unlimited`")
    if code == errno.EFBIG and size != resource.RLIM_INFINITY:
        return _allowed(f"files of more than {size // 1024} KiB", "`ulimit -f unlimited`")
    if code in {errno.ENOSPC, errno.EDQUOT}:
        left = "no space is left" if code == errno.ENOSPC else "this user's disk quota is used up"
        return f"{left}{f' for {path}' if path else ' on this machine or container'}", FULL
    if code == errno.EROFS:
        what = f"{path or 'a file system of this machine or container'} is read-only"
        return what, "For temporary files, set TMPDIR to a directory that can be written to."
    return None


def _allowed(what: str, how: str) -> tuple[str, str]:
    return f"this machine or container does not allow {what}", f"Raise the limit: {how}."
