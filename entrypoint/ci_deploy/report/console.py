"""The log of a run: steps, folded sections, children's output, the summary box.

Our lines and children's output are redacted and lose control characters and log commands. Only
`Console.mask` prints secrets, in commands that the platform does not show.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ci_deploy.errors import as_inputs
from ci_deploy.output.redaction import Redactor
from ci_deploy.output.sanitizer import Sanitizer, clean

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
CHILD = "  │ "
BOX = 96  # columns within the summary box
SILENCE = 30.0  # seconds without a line after which a wait is mentioned


class Platform(Protocol):
    """The log commands of a CI platform: lines in the log that the platform obeys."""

    def annotate(self, level: str, title: str, message: str) -> str:
        """The log command that shows a message on the platform's overview; empty if there is
        none. `level`: `error`, `warning` or `notice`."""

    def mask(self, values: Iterable[str]) -> Iterable[str]:
        """The log commands, one per value, that tell the platform to hide `values`; none if it has
        no such command."""

    def section_start(self, name: str, title: str) -> str:
        """The text that opens a section of the log: a log command, or only the title."""

    def section_end(self, name: str) -> str:
        """The log command that closes a section; empty if there is none."""

    def shield(self) -> tuple[str, str]:
        """(before, after): the log commands that switch log commands off before a child's output,
        and on again after it; both empty if there are none."""


class Console:
    """Writes the log: our own lines to the descriptor `fd`, children's output to `child_fd`; both
    without colours unless `colour`. There is one per process, made in `cli`.

    `warnings` are all warnings so far, as they were shown. An error in writing is ignored.
    """

    def __init__(
        self,
        ci: Platform,
        redactor: Redactor,
        *,
        fd: int = 1,
        child_fd: int = 1,
        colour: bool = False,
        debug: bool = False,
    ) -> None:
        self.ci = ci
        self.redactor = redactor
        self.warnings: list[str] = []
        self.inputs: frozenset[str] = frozenset()  # settings that users write as inputs here
        self._fd = fd
        self._child_fd = child_fd
        self._mark = CHILD if fd == child_fd else ""
        self._colour = colour
        self._debug = debug
        self._lock = threading.Lock()
        self._shields = 0
        self._opening = ""
        self._folded = ""
        self._wrote = 0.0  # time of the last output, time.monotonic()

    # --- lines ---

    def line(self, text: str = "", style: str = "") -> None:
        """Write one or more lines of our own, safe and redacted. `style`: BOLD, DIM or a colour;
        empty for none."""
        safe = self.redactor.text(clean(text))
        if self._colour and style and safe:
            safe = "\n".join(f"\x1b[{style}m{part}\x1b[0m" for part in safe.split("\n"))
        self._write(safe)

    def indent(self, text: str, style: str = "") -> None:
        """Write lines, indented by two spaces, that belong to the step above them."""
        self.line("\n".join(f"  {part}" for part in text.split("\n")), style)

    def show_debug(self) -> None:
        """Show the lines that `debug` writes from now on."""
        self._debug = True

    def debug(self, text: str) -> None:
        """Write a line, indented, that is shown only with DEPLOY_LOG_LEVEL=debug or when the
        platform's own debug logging is on."""
        if self._debug:
            self.indent(text, DIM)

    def warning(self, text: str) -> None:
        """Warn about something that does not decide the result: in the log, on the platform's
        overview, and in `warnings`, which the job summary and deploy-report.json show."""
        shown = self.message(clean(text))
        self.warnings.append(shown)
        self.indent(f"! {shown}", YELLOW)
        self.annotate("warning", "ci-deploy", shown)

    def message(self, text: str) -> str:
        """Return a message or hint as it is to be shown: redacted, and with the names of settings
        in `self.inputs` as inputs (`errors.as_inputs`). Prints nothing."""
        return as_inputs(self.redactor.text(text), self.inputs)

    def annotate(self, level: str, title: str, text: str) -> None:
        """Show a message on the platform's overview, if it has one. `level`: `error`, `warning` or
        `notice`, as on GitHub."""
        if command := self.ci.annotate(level, title, self.redactor.text(clean(text))):
            self._write(command)

    def box(self, lines: Iterable[str], style: str = "") -> None:
        """Write an empty line and the summary box, at most BOX columns wide. A longer line is not
        folded, so that commands in it can be copied and its words can be searched for."""
        shown = [self.redactor.text(clean(line)) for line in lines]
        width = min(max(map(len, shown), default=0), BOX)
        self.line()
        self.line(f"┌─{'─' * width}─┐", style)
        for line in shown:
            self.line(f"│ {line.ljust(width)} │" if len(line) <= width else f"│ {line}", style)
        self.line(f"└─{'─' * width}─┘", style)

    def mask(self) -> None:
        """Register the secrets with the platform, if it has a command for that: it then hides them
        in the log. To be called before anything else is written."""
        for command in self.ci.mask(self.redactor.masks()):
            self._raw(f"{command}\n")

    # --- sections and children ---

    @contextlib.contextmanager
    def section(self, name: str, title: str) -> Iterator[None]:
        """Context manager: a section of the log with a title, foldable where the platform can do
        so. `name` identifies it to the platform. Sections do not nest. A section without any line
        is not shown.
        """
        self._opening = self.ci.section_start(name, self.redactor.text(clean(title)))
        try:
            yield
        finally:
            opened, self._opening = not self._opening, ""
            if opened and (end := self.ci.section_end(name)):
                self._raw(f"{end}\n")

    @contextlib.contextmanager
    def child(
        self,
        *,
        prefix: str = "",
        watch: Callable[[str], None] | None = None,
        quiet: bool = False,
    ) -> Iterator[Sanitizer]:
        """Context manager: a sanitizer that writes a child's output to the log: made safe,
        redacted, each line with `prefix`, after the mark CHILD if our lines go to the same
        descriptor. `watch` gets each line before redaction; `quiet` shows nothing. Closes the
        sanitizer at the end, unless the block raises."""

        mark = self._mark + prefix

        def write(text: str) -> None:
            if not quiet:
                self._raw(f"{text if self._colour else _plain(text)}\n", self._child_fd)

        with contextlib.nullcontext() if quiet else self._shielded():
            sanitizer = Sanitizer(self.redactor, write, prefix=mark, watch=watch)
            yield sanitizer
            sanitizer.close()

    @contextlib.contextmanager
    def _shielded(self) -> Iterator[None]:
        """Switch the platform's log commands off; only once for children that run side by side."""
        before, after = ("", "") if self._shields else self.ci.shield()
        self._shields += 1
        if before:
            self._raw(f"{before}\n")
        try:
            yield
        finally:
            self._shields -= 1
            if after:
                self._raw(f"{after}\n")

    def silent(self, seconds: float) -> None:
        """Log that a child which prints nothing still runs, after `seconds` seconds."""
        self.indent(f"… still running, {seconds:.0f} s", DIM)

    def still(self, since: float) -> None:
        """For a loop that waits since `since` (time.monotonic()): log like `silent`, but only if
        nothing was logged for SILENCE seconds. Some platforms stop a job that prints nothing."""
        now = time.monotonic()
        if now - max(since, self._wrote) >= SILENCE:
            self.silent(now - since)

    # --- writing ---

    def _write(self, text: str) -> None:
        self._raw(f"{text if self._colour else _plain(text)}\n")

    def _raw(self, text: str, fd: int | None = None) -> None:
        if self._opening:
            opening, self._opening = self._opening, ""
            self._write(opening)
        self._wrote = time.monotonic()
        data = text.encode(errors="replace")
        # A log that is closed, or on a full disk, must not stop a deploy.
        with self._lock, contextlib.suppress(OSError):
            while data:
                data = data[_write_some(self._fd if fd is None else fd, data) :]


def _write_some(fd: int, data: bytes) -> int:
    """Write; wait while the log's pipe is full, which another process may have made
    non-blocking."""
    while True:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            time.sleep(0.01)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;:]*m", "", text) if "\x1b" in text else text
