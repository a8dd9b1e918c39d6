"""The server itself: `version`, `help`, `plugin:list`, `registry:login`, `ssh-keys:list`."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from .output import fail
from .parsing import parse
from .registry import MODULES, command
from .state import locked, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

FORCED = re.compile(r'command="((?:[^"\\]|\\.)*)"')


@command("version")
def version(host: Host, words: Sequence[str]) -> None:
    """Print the version."""
    host.console.plain(f"dokku version {host.settings.version}")


@command("help")
def show_help(host: Host, words: Sequence[str]) -> None:
    """Print how to call Dokku."""
    host.console.plain("Usage: dokku [--quiet|--trace|--force] COMMAND <app> [options]")


@command("plugin:list")
def plugin_list(host: Host, words: Sequence[str]) -> None:
    """Print the plugins; those that are not Dokku's own have versions of their own."""
    core = {name.partition(":")[0] for name in MODULES if "-" not in name} - {"letsencrypt"}
    if host.version < (0, 38):
        core -= {"builds"}
    host.console.plain("plugn: 0.15.0")
    for name in sorted(core):
        host.console.plain(
            f"  {name:20} {host.settings.version} enabled    dokku core {name} plugin"
        )
    for name in sorted(host.settings.plugins):
        host.console.plain(f"  {name:20} 1.48.0 enabled    dokku {name} plugin")


@command("registry:login", since=(0, 25))
def registry_login(host: Host, words: Sequence[str]) -> None:
    """Keep a registry's credentials, for an app or for the server."""
    names, options = parse(words, flags=["--password-stdin", "--global"])
    password = sys.stdin.readline().rstrip("\n") if options.flag("--password-stdin") else ""
    if not password:
        *names, password = names or [""]
    if len(names) == 3:
        host.app(names[0])
    if len(names) < 2 or not password:
        fail("Missing username or password")
    path = host.root / "registry.json"
    scope = names[0] if len(names) == 3 else "--global"
    with locked(path):
        write_json(path, {**read_json(path), f"{scope} {names[-2]}": [names[-1], password]})
    host.console.plain("Login Succeeded")


@command("ssh-keys:list")
def ssh_keys(host: Host, words: Sequence[str]) -> None:
    """Print the keys that were added with `ssh-keys:add`, and their names."""
    path = host.root / "ssh" / "authorized_keys"
    for line in path.read_text(encoding="utf-8").splitlines():
        found = FORCED.match(line)
        if found:
            name = shlex.split(found[1].replace('\\"', '"').replace("\\\\", "\\"))[-1]
            shown = subprocess.run(
                ["ssh-keygen", "-l", "-f", "-"],
                input=line,
                capture_output=True,
                text=True,
                check=True,
            )
            host.console.plain(f'{shown.stdout.split()[1]} NAME="{name}"')
