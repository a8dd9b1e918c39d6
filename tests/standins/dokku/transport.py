"""What git itself asks for over ssh; `receive` is the hook that deploys what was pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import apps
from .registry import Handler, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host


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
        code = apps.run_git(*options, service, str(host.store.repo(name)))
        return 128 - code if code < 0 else code

    return serve


for _service in ("receive-pack", "upload-pack", "upload-archive"):
    command(f"git-{_service}")(transport(_service))
