"""Answers commands from a process that has everything loaded, by forking.

To start Python and load the modules takes longer than most answers do, which a real Dokku has not
to pay in this form; its own cost of a command is `Settings.delay`. One process serves all stand-ins
of the process that has started the first, and ends with it. What it answers is a session of its
own, as a child of sshd is, with git and its hook in it.
"""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from . import forking, processes

NAME = "fork_server"
# What `main` loads: all that a command may need.
MODULES = (
    "apps", "builds", "checks", "config", "deploy", "git", "logs", "network", "plugins",
    "properties", "ps", "receive", "run", "services", "shell", "sources", "transport",
)  # fmt: skip


@cache
def client() -> list[str]:
    """The command that hands `ROOT KEY` to the fork server, which is started for it, once for all
    stand-ins of this process; none where that cannot be done."""
    folder = Path(mkdtemp(prefix="standin-forks-"))
    command = forking.client(folder, NAME)
    if not command:
        folder.rmdir()
        return []
    process = subprocess.Popen(
        processes.python("fork_server", str(folder)), stdin=subprocess.PIPE, start_new_session=True
    )
    atexit.register(_stop, process)
    while not (folder / NAME).exists():
        assert process.poll() is None, "the stand-in's fork server did not start"
        time.sleep(0.005)
    return command


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def main() -> int:
    """Serve until stdin is closed: `main FOLDER`."""
    forking.folder = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the folder goes, too
    for name in MODULES:
        __import__(f"{__package__}.{name}")
    gc.collect()
    gc.freeze()  # what is forked writes into no page of what is loaded
    gc.disable()
    try:
        with forking.listening(forking.folder, NAME) as server:
            forking.serve(server, _session, 0)
    finally:
        shutil.rmtree(forking.folder, ignore_errors=True)
    return 0


def _session(words: list[str]) -> int:
    """One remote command: `ROOT KEY`."""
    from . import shell

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    os.chdir(words[0])
    sys.argv = [NAME, *words]
    return shell.main()
