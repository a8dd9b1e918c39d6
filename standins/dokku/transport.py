"""What git itself asks for over ssh; `receive` is the hook that deploys what was pushed."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from . import apps, forking
from .registry import Handler, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

HOOK = 'if [ "$STANDIN_HOOK" ]; then eval "exec $STANDIN_HOOK \\"\\$PWD\\""; fi\n'
"""What the hook begins with: the session that has everything loaded does what it has to do."""


def transport(service: str) -> Handler:
    """Return what `git-receive-pack` and its like do: real git on the app's repository."""

    def serve(host: Host, words: Sequence[str]) -> int:
        name = words[0].replace("'", "").removeprefix("/") if words else ""
        apps.maybe_create(host, name)
        config = {
            "core.hooksPath": str(host.root / "hooks"),
            "gc.auto": "0",
            "receive.autogc": "false",
            "safe.directory": "*",
        }
        options = [part for item in config.items() for part in ("-c", "=".join(item))]
        command = (*options, service, str(host.store.repo(name)))
        code = _push(host, command) if service == "receive-pack" else apps.run_git(*command)
        return 128 - code if code < 0 else code

    return serve


def _push(host: Host, command: Sequence[str]) -> int:
    """Take a push; the hook is a fork of ours where we are one ourselves, else a new process."""
    if forking.folder is None:
        return apps.run_git(*command)
    name = f"hook.{os.getpid()}"
    with forking.listening(forking.folder, name) as server:
        client = shlex.join(forking.client(forking.folder, name))
        pid = apps.start_git(*command, STANDIN_HOOK=client)
        end = os.pidfd_open(pid)
        forking.serve(server, lambda words: _receive(host, words[0]), end)
        os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _receive(host: Host, repository: str) -> int:
    from . import receive  # which needs what takes long to import

    os.chdir(repository)
    sys.argv = ["pre-receive", str(host.root)]
    return receive.main()


for _service in ("receive-pack", "upload-pack", "upload-archive"):
    command(f"git-{_service}")(transport(_service))
