"""What Dokku prints: prefixes, streams, failures and reports.

The forms of `plugins/common/functions` and `plugins/common/log.go`: information goes to stdout,
warnings and failures to stderr with ` !     ` in front.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The hook puts the cursor to the line's start, so that a terminal does not show git's `remote: `.
LINE_START = "\x1b[1G"
LINE_CLEAR = "\x1b[1G\x1b[K"


class DokkuError(Exception):
    """A command fails: the lines to print and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command the way `dokku_log_fail` does."""
    raise DokkuError(message, code)


class Console:
    """Dokku's output, and a copy of it in the log of the running build."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.line_start = ""
        self.merge_stderr = False
        self.muted = False
        self._log: TextIO | None = None

    def copy_to(self, path: Path) -> None:
        """Keep what follows in the build's log as well (docs advanced-usage/builds.md)."""
        self._log = path.open("a", encoding="utf-8")

    def plain(self, text: str = "") -> None:
        """Print a line as it is."""
        self._write(sys.stdout, text)

    def info1(self, text: str) -> None:
        """Print a step of something bigger."""
        self.plain(f"-----> {text}")

    def info2(self, text: str) -> None:
        """Print a headline."""
        self.plain(f"=====> {text}")

    def header(self, text: str) -> None:
        """Print a headline that `--quiet` leaves out."""
        if not self.quiet:
            self.info2(text)

    def verbose(self, text: str) -> None:
        """Print a detail of the step above."""
        self.plain(f"       {text}")

    def warn(self, text: str) -> None:
        """Print a warning to stderr."""
        self._write(sys.stdout if self.merge_stderr else sys.stderr, f" !     {text}", plain=True)

    def block(self, title: str, output: str) -> None:
        """Print a container's output between its two headlines."""
        self.header(f"Start of {title} output")
        for line in output.splitlines():
            self.verbose(line)
        self.header(f"End of {title} output")

    def _write(self, stream: TextIO, text: str, *, plain: bool = False) -> None:
        if self._log:
            self._log.write(f"{text}\n")
            self._log.flush()
        if not self.muted:
            stream.write(f"{'' if plain else self.line_start}{text}\n")
            stream.flush()


def report(
    console: Console,
    kind: str,
    app: str,
    values: Mapping[str, str],
    *,
    flag: str = "",
    as_json: bool = False,
    trim: bool = False,
) -> None:
    """Print a `:report`: all values, one of them, or JSON (`plugins/common/common.go`).

    `trim` leaves the plugin's name out of the keys of JSON, as Dokku does since 0.38.
    """
    if flag and as_json:
        fail("--format flag cannot be specified when specifying an info flag")
    if flag and flag not in values:
        fail(f"Invalid flag passed, valid flags: {', '.join(sorted(values))}")
    if flag:
        console.plain(values[flag])
        return
    prefix = f"--{kind}-" if trim else "--"
    names = {key: key.removeprefix(prefix).removeprefix("--") for key in sorted(values)}
    if as_json:
        found = {names[key]: values[key] for key in names}
        console.plain(json.dumps(found, separators=(",", ":")))
        return
    console.header(f"{app} {kind} information")
    for key in names:
        label = key.removeprefix("--").replace("-", " ").replace(".", " ")
        console.verbose(f"{label[:1].upper() + label[1:] + ':':31}{values[key]}")
