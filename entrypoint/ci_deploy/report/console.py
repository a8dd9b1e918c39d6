"""The log of a run: steps, folded sections, children's output, the closing box.

Everything that is printed goes through the redactor; texts from outside also lose their control
characters and log commands.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ci_deploy.output.redaction import Redactor
from ci_deploy.output.relay import Relay, clean

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
CHILD = "  │ "
BOX = 96  # columns within the closing box


class Platform(Protocol):
    """The log commands of a CI platform."""

    def annotate(self, level: str, title: str, message: str) -> str:
        """A line that the platform shows on its overview; empty where it has none."""

    def mask(self, values: Iterable[str]) -> Iterable[str]:
        """Lines that tell the platform what to hide."""

    def section_start(self, name: str, title: str) -> str:
        """The line that opens a section of the log."""

    def section_end(self, name: str) -> str:
        """The line that closes it; empty for none."""

    def shield(self) -> tuple[str, str]:
        """Lines before and after a child's output that switch log commands off and on."""


class Console:
    """Writes the log. `fd` is a descriptor: lines of our own and of children share one stream."""

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
        self._fd = fd
        self._child_fd = child_fd
        self._mark = CHILD if fd == child_fd else ""
        self._colour = colour
        self._debug = debug
        self._lock = threading.Lock()
        self._shields = 0
        self._opening = ""
        self._folded = ""

    # --- lines ---

    def line(self, text: str = "", style: str = "") -> None:
        """A line of our own."""
        safe = self.redactor.text(clean(text))
        if self._colour and style and safe:
            safe = "\n".join(f"\x1b[{style}m{part}\x1b[0m" for part in safe.split("\n"))
        self._write(safe)

    def indent(self, text: str, style: str = "") -> None:
        """A line that belongs to the step above it."""
        self.line("\n".join(f"  {part}" for part in text.split("\n")), style)

    def show_debug(self) -> None:
        """From now on `debug` lines are shown."""
        self._debug = True

    def debug(self, text: str) -> None:
        """A line for DEPLOY_LOG_LEVEL=debug."""
        if self._debug:
            self.indent(text, DIM)

    def warning(self, text: str) -> None:
        """Something is wrong that does not decide the result; repeated in the summary."""
        self.warnings.append(self.redactor.text(clean(text)))
        self.indent(f"! {text}", YELLOW)
        self.annotate("warning", "ci-deploy", text)

    def annotate(self, level: str, title: str, text: str) -> None:
        """Show it on the platform's overview, where there is one."""
        if command := self.ci.annotate(level, title, self.redactor.text(clean(text))):
            self._write(command)

    def box(self, lines: Iterable[str], style: str = "") -> None:
        """The closing box. A line that is longer than it may be goes over its edge: folded, neither
        its commands could be copied nor its words be searched."""
        shown = [self.redactor.text(clean(line)) for line in lines]
        width = min(max(map(len, shown), default=0), BOX)
        self.line()
        self.line(f"┌─{'─' * width}─┐", style)
        for line in shown:
            self.line(f"│ {line.ljust(width)} │" if len(line) <= width else f"│ {line}", style)
        self.line(f"└─{'─' * width}─┘", style)

    def mask(self) -> None:
        """Register the secrets with the platform; comes before everything else."""
        for command in self.ci.mask(self.redactor.masks()):
            self._raw(f"{command}\n")

    # --- sections and children ---

    @contextlib.contextmanager
    def section(self, name: str, title: str) -> Iterator[None]:
        """A section that folds where the platform can fold; sections do not nest.

        It opens with its first line: a section in which nothing happened is only noise.
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
    ) -> Iterator[Relay]:
        """A relay for a child's output: made safe, redacted, and marked as not ours; `watch` sees
        each line before anything is redacted in it."""

        mark = self._mark + prefix

        def write(text: str) -> None:
            if not quiet:
                self._raw(f"{text if self._colour else _plain(text)}\n", self._child_fd)

        with contextlib.nullcontext() if quiet else self._shielded():
            relay = Relay(self.redactor, write, prefix=mark, watch=watch)
            yield relay
            relay.close()

    @contextlib.contextmanager
    def _shielded(self) -> Iterator[None]:
        """Switch the platform's log commands off; once for children that run side by side."""
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
        """A child has been silent for a while."""
        self.indent(f"… still running, {seconds:.0f} s", DIM)

    # --- writing ---

    def _write(self, text: str) -> None:
        self._raw(f"{text if self._colour else _plain(text)}\n")

    def _raw(self, text: str, fd: int | None = None) -> None:
        if self._opening:
            opening, self._opening = self._opening, ""
            self._write(opening)
        data = text.encode(errors="replace")
        # A log that is closed, or on a full disk, must not stop a deploy.
        with self._lock, contextlib.suppress(OSError):
            while data:
                data = data[_write_some(self._fd if fd is None else fd, data) :]


def _write_some(fd: int, data: bytes) -> int:
    """Write, also where somebody has made the log's pipe non-blocking."""
    while True:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            time.sleep(0.01)


def _plain(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[\d;:]*m", "", text) if "\x1b" in text else text
