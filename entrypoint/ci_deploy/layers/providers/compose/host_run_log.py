"""Parses the log of one host's run, which contains marks for us."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ci_deploy.layers.providers.compose.hosts import Host

NUMBERED = re.compile(r"(\d+)\|(.*)", re.S)
KEPT = 1000  # lines of one command's output
MENTION = 30.0  # seconds after which a phase is mentioned again


class End(NamedTuple):
    """How a run ended on a host: the outcome that host/*.sh gives to `finish` (`live`, `failed`,
    `rolled-back` …; `died`: the run was killed), and its message."""

    word: str
    text: str = ""

    @property
    def good(self) -> bool:
        """Whether the host runs the wanted release."""
        return self.word in {"live", "noop"}


@dataclass
class HostRunLog:
    """The state of one host's run, parsed from its log line by line. `show` gets the lines for
    people, `say` a remark when a phase takes longer than MENTION seconds; `changed` is called after
    each mark. `token` begins marks, so that nothing that a container prints counts as one."""

    host: Host
    token: str
    show: Callable[[str], None]
    say: Callable[[str], None]
    changed: Callable[[], None]
    judge: Callable[[HostRunLog, int, int], None]  # a command before the traffic: number, exit code
    seen: int = 0  # number of log lines read
    phase: str = "queued"
    since: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)  # last line, or new session
    spoke: float = field(default_factory=time.monotonic)  # last line, ticks included
    gate: str = ""  # the barrier at which it waits
    locked: bool = False
    bad_files: bool = False  # Compose rejects the files: its error is not about an image
    end: End | None = None
    spoken: dict[int, list[str]] = field(default_factory=dict)  # output of earlier commands
    trouble: list[str] = field(default_factory=list)  # the last words of what failed
    client: str = ""  # what a client saw of the switch
    _into: list[str] | None = None

    def line(self, text: str) -> None:
        """Take a line of the `follow` session: `NUMBER|TEXT` from the log, of which those that were
        seen before are ignored, or a mark."""
        self.heard = self.spoke = time.monotonic()
        mark = f"@{self.token} "
        if text.startswith(mark):
            return self._live_mark(text.removeprefix(mark))
        if not (found := NUMBERED.match(text)):
            return self.show(text)  # a line so long that it came in pieces
        if int(found[1]) <= self.seen:
            return None
        self.seen = int(found[1])
        if found[2].startswith(mark):
            return self._mark(*found[2].removeprefix(mark).split())
        if self._into is not None:
            self._into.append(found[2])
            del self._into[:-KEPT]
        return self.show(found[2])

    def _mark(self, kind: str, *words: str) -> None:
        """Process a mark of the host's log."""
        if kind == "phase":
            self.phase, self.since = words[0], time.monotonic()
        elif kind == "gate":
            self.gate = words[0]
        elif kind == "client":
            self.client = " ".join(words)
        elif kind == "locked":
            self.locked = True
        elif kind == "bad_files":
            self.bad_files = True
        elif kind == "begin":
            self._into = self.spoken.setdefault(int(words[0]), [])
        elif kind == "step":
            self._into = None
            self.judge(self, int(words[0]), int(words[1]))
        elif kind == "trouble":
            self._into = self.trouble
        elif kind == "trouble_end":
            self._into = None
        self.changed()

    def _live_mark(self, text: str) -> None:
        """Process a mark that is not in the log, but sent while we follow it."""
        kind, _, rest = text.partition(" ")
        if kind == "ended":
            word, _, reason = rest.partition(" ")
            self.end = End(word, reason)
        elif kind == "tick" and time.monotonic() - self.since > MENTION:
            self.since = time.monotonic()
            self.say(f"… {self.host}: still {self.phase.replace('-', ' ')}")
        self.changed()
