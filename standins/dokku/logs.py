"""`logs` and `logs:failed` (docs deployment/logs.md)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .faults import connected
from .output import fail
from .parsing import parse
from .registry import command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .host import Host
    from .model import App


@command("logs")
def logs(host: Host, words: Sequence[str]) -> None:
    """Print the last lines of an app's processes; `-t` never ends."""
    names, options = parse(
        words, flags=["-t", "--tail", "-q", "--quiet"], values=["-n", "--num", "-p", "--ps"]
    )
    app = host.first_app(names)
    if not app.processes:
        fail(f"App {app.name} has not been deployed")
    wanted = options.get("-p") or options.get("--ps") or ""
    count = int(options.get("-n") or options.get("--num") or 100)
    plain = options.flag("-q") or options.flag("--quiet") or host.console.quiet
    shown = dict.fromkeys(_files(host, app, wanted), 0)
    while connected():
        for path in shown:
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            start = max(shown[path], 0 if shown[path] else len(lines) - count)
            shown[path] = len(lines)
            for line in lines[start:]:
                host.console.plain(line if plain else f"{_stamp(path)} {line}")
        if not (options.flag("-t") or options.flag("--tail")):
            return
        time.sleep(0.1)


def _files(host: Host, app: App, wanted: str) -> list[Path]:
    directory = host.store.app_dir(app.name) / "logs"
    return [
        directory / f"{process.name}.{process.release}.log"
        for process in app.processes
        if wanted in ("", process.type, process.name)
    ]


def _stamp(path: Path) -> str:
    name = path.name.rsplit(".", 2)[0]
    return f"{datetime.now(UTC).isoformat()} app[{name}]:"


@command("logs:failed")
def failed(host: Host, words: Sequence[str]) -> None:
    """Print what the process wrote that failed the last deploy."""
    app = host.first_app(words)
    path = host.store.app_dir(app.name) / "logs" / "failed"
    if not path.exists():
        host.console.warn(f"No failed containers found for {app.name}")
        return
    host.console.header(f"{app.name} failed container logs")
    for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        host.console.plain(line)
