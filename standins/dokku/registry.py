"""The commands: each is a function, found by its name; its module is imported only when asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host
    from .versions import Version

Handler = Callable[["Host", Sequence[str]], int | None]

SERVICE_PLUGINS = ("postgres", "mysql", "redis")
EXTRA_PLUGINS = (*SERVICE_PLUGINS, "letsencrypt")

MODULES = {
    "apps": "apps",
    "builder": "properties",
    "builds": "builds",
    "certs": "network",
    "checks": "checks",
    "config": "config",
    "deploy": "ps",
    "domains": "network",
    "enter": "run",
    "git": "git",
    "git:from-archive": "sources",
    "git:from-image": "sources",
    "git:load-image": "sources",
    "git:sync": "sources",
    "git-receive-pack": "transport",
    "git-upload-archive": "transport",
    "git-upload-pack": "transport",
    "help": "plugins",
    "letsencrypt": "network",
    "logs": "logs",
    "plugin": "plugins",
    "ps": "ps",
    "registry": "plugins",
    "run": "run",
    "ssh-keys": "plugins",
    "url": "network",
    "urls": "network",
    "version": "plugins",
}

_commands: dict[str, tuple[Handler, Version, Version | None]] = {}


def command(
    *names: str, since: Version = (0,), until: Version | None = None
) -> Callable[[Handler], Handler]:
    """Declare what runs for these names, from one version on, up to another."""

    def declare(handler: Handler) -> Handler:
        for name in names:
            _commands[name] = (handler, since, until)
        return handler

    return declare


def find(host: Host, name: str) -> Handler | None:
    """Return what runs for a name on this server, or nothing when Dokku would not know it."""
    plugin, _, subcommand = name.partition(":")
    if plugin in EXTRA_PLUGINS and plugin not in host.settings.plugins:
        return None
    if plugin in SERVICE_PLUGINS:
        importlib.import_module(".services", __package__)
        name = f"service:{subcommand}"
    elif subcommand == "set" and plugin not in ("config", "domains", "letsencrypt"):
        importlib.import_module(".properties", __package__)
    elif plugin in MODULES:
        importlib.import_module(f".{MODULES.get(name, MODULES[plugin])}", __package__)
    handler, since, until = _commands.get(name, (None, (), None))
    known = host.since(since) and (until is None or host.version < until)
    return handler if known else None
