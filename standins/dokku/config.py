"""`config:*` (docs configuration/environment-variables.md)."""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
from typing import TYPE_CHECKING

from .model import App
from .output import fail
from .parsing import Options, parse
from .registry import command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .host import Host

KEY = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
FLAGS = ("--encoded", "--global", "--merged", "--no-restart", "--quoted")


def read_arguments(host: Host, words: Sequence[str]) -> tuple[str, list[str], Options]:
    """Return the app (empty for `--global`), the other arguments and the options."""
    arguments, options = parse(words, flags=FLAGS, values=["--format"])
    if options.flag("--global"):
        return "", arguments, options
    if not arguments:
        fail("Please specify an app or --global")
    app = host.app(arguments[0])
    if app.env_broken:  # the message quotes the file, whatever was asked
        broken = next((value for value in app.config.values() if value.endswith("\\")), "")
        quoted_once = broken.replace('"', '\\"')
        fail(f'unterminated quoted value "{quoted_once}\\"')
    return app.name, arguments[1:], options


def variables(host: Host, name: str, options: Options) -> dict[str, str]:
    """Return the config of an app or of the server, sorted by key."""
    server = host.store.globals().config
    found = host.app(name).config if name else server
    merged = {**server, **found} if options.flag("--merged") else found
    return dict(sorted(merged.items()))


def pretty(values: Mapping[str, str]) -> list[str]:
    """Align keys and values as columns."""
    width = max(map(len, values), default=0) + 1
    return [f"{key + ':':{width}}  {value}" for key, value in values.items()]


def store(host: Host, name: str, *, put: Mapping[str, str], drop: Sequence[str]) -> None:
    """Write the config of an app or of the server."""
    scope = host.store.edit_app(name) if name else host.store.edit_globals()
    with scope as target:
        written = {**target.config, **put}
        written = {key: value for key, value in written.items() if key not in drop}
        if isinstance(target, App) and any(value.endswith("\\") for value in written.values()):
            target.env_broken = True
        target.config = {key: read_back(value) for key, value in written.items()}


def read_back(value: str) -> str:
    """Return what godotenv reads after it has written a value: as it was, but for two kinds."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return str(int(value))
    return value[:-1] + "\\" if value.endswith('"') else value


def restart(host: Host, name: str) -> None:
    """Restart an app after its config changed."""
    from . import ps  # takes long to import, and most commands only read

    ps.restart_after_change(host, host.app(name))


def check_key(key: str) -> str:
    """Fail for what cannot be a variable's name."""
    return key if KEY.fullmatch(key) else fail(f"Invalid key name: '{key}'")


def decoded(key: str, value: str) -> str:
    """Decode a value of `config:set --encoded`."""
    try:
        return base64.b64decode(value, validate=True).decode(errors="surrogateescape")
    except binascii.Error:
        fail(f"illegal base64 data at input byte 0 for key '{key}'")


@command("config:set")
def config_set(host: Host, words: Sequence[str]) -> None:
    """Set variables; without `--no-restart` a deployed app is released again."""
    name, pairs, options = read_arguments(host, words)
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            fail(f"Invalid env pair: {pair}")
        values[check_key(key)] = decoded(key, value) if options.flag("--encoded") else value
    if values:
        host.console.info1("Setting config vars")
        for line in pretty(dict(sorted(values.items()))):
            host.console.verbose(line)
        store(host, name, put=values, drop=())
    if name and not options.flag("--no-restart"):
        restart(host, name)


@command("config:unset")
def config_unset(host: Host, words: Sequence[str]) -> None:
    """Remove variables."""
    name, keys, options = read_arguments(host, words)
    current = variables(host, name, options)
    for key in map(check_key, keys):
        known = key in current
        skipped = f"Skipping {key}, it is not set in the environment"
        host.console.info1(f"Unsetting {key}" if known else skipped)
    store(host, name, put={}, drop=keys)
    if name and not options.flag("--no-restart"):
        restart(host, name)


@command("config:clear")
def config_clear(host: Host, words: Sequence[str]) -> None:
    """Remove all variables."""
    name, _, options = read_arguments(host, words)
    store(host, name, put={}, drop=list(variables(host, name, options)))
    if name and not options.flag("--no-restart"):
        restart(host, name)


@command("config:get")
def config_get(host: Host, words: Sequence[str]) -> int:
    """Print one value; a missing one is a silent failure."""
    name, keys, options = read_arguments(host, words)
    if len(keys) != 1:
        fail(f"Unexpected argument(s): {keys[1:]}" if keys else "Expected: key")
    found = variables(host, name, options)
    if keys[0] not in found:
        return 1
    value = found[keys[0]]
    host.console.plain(quoted(value) if options.flag("--quoted") else value)
    return 0


@command("config:keys")
def config_keys(host: Host, words: Sequence[str]) -> None:
    """Print the names of all variables."""
    name, _, options = read_arguments(host, words)
    for key in variables(host, name, options):
        host.console.plain(key)


@command("config", "config:show")
def config_show(host: Host, words: Sequence[str]) -> None:
    """Print all variables for people."""
    name, _, options = read_arguments(host, words)
    host.console.header(f"{name or 'global'} env vars")
    for line in pretty(variables(host, name, options)):
        host.console.plain(line)


@command("config:export")
def config_export(host: Host, words: Sequence[str]) -> None:
    """Print all variables for programs."""
    name, _, options = read_arguments(host, words)
    values = variables(host, name, options)
    form = options.get("--format", "exports")
    if form not in FORMATS:
        fail(f"Unknown export format: {form}")
    sys.stdout.write(FORMATS[form](values))


def quoted(value: str) -> str:
    """Quote for a shell."""
    return "'" + value.replace("'", "'\\''") + "'"


def _assignments(values: Mapping[str, str], prefix: str, separator: str) -> str:
    return separator.join(f"{prefix}{key}={quoted(value)}" for key, value in values.items())


def _json(value: object) -> str:
    """Write JSON as Go does."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def _env_file(values: Mapping[str, str]) -> str:
    """Write a dotenv file as the library does that Dokku uses (godotenv)."""
    escapes = str.maketrans({**{each: f"\\{each}" for each in '\\"!$`'}, "\n": "\\n", "\r": "\\r"})
    lines = []
    for key, value in values.items():
        number = re.fullmatch(r"-?[0-9]+", value)
        lines.append(f"{key}={value}" if number else f'{key}="{value.translate(escapes)}"')
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Mapping[str, str]], str]] = {
    "docker-args": lambda values: _assignments(values, "--env=", " ") + "\n",
    "envfile": _env_file,
    "exports": lambda values: _assignments(values, "export ", "\n") + "\n",
    "json": _json,
    "json-list": lambda values: _json(
        [{"name": key, "value": value} for key, value in values.items()]
    ),
    "pretty": lambda values: "\n".join(pretty(values)) + "\n",
    "shell": lambda values: _assignments(values, "", " ") + " ",
}
