"""Who may do what when, in a deploy to several hosts.

Each host works by itself and waits at gates; this decides which gate opens. Locks are taken one
after the other in the order of the names, so that two pipelines cannot block each other. Nothing is
switched before all hosts are ready, and no host keeps a release before all have verified it: until
then a host that hears no more of us goes back by itself, and from then on nobody is called back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ci_deploy.layers.providers.compose.watch import Watch


class Coordinator:
    """Opens gates. `send` says a word to a host; it may be said twice without harm."""

    def __init__(
        self, watches: Sequence[Watch], send: Callable[[Watch, str], None], batch: int = 0
    ) -> None:
        self._watches = watches
        self._send = send
        self._batches = batches(watches, batch)
        self._said: set[tuple[int, str]] = set()
        self.agreed = False  # all have verified the release, so it stays
        self.calling_back = ""

    def forget(self) -> None:
        """After a lost connection: words may be lost, so they are said again."""
        self._said.clear()

    def advance(self) -> None:
        """Look at all hosts, and say what can be said now."""
        if self.agreed:
            return self._keep()
        if failed := next((w for w in self._watches if w.end and not w.end.good), None):
            reason = (failed.end and failed.end.text) or "the run there was killed"
            return self.call_back(self.calling_back or f"{failed.host}: {reason}")
        if self.calling_back:
            return self.call_back(self.calling_back)
        self._let_lock()
        going = [watch for watch in self._watches if not watch.end]
        if any(not watch.locked for watch in going):
            return None
        if all(watch.gate in {"migrate", "switch", "keep"} for watch in going):
            for watch in going:
                if watch.gate == "migrate":
                    return self._say(watch, "migrate")
            self._switch()
        return None

    def _let_lock(self) -> None:
        """The next one in the order of the names, when all before it have theirs."""
        for watch in sorted(self._watches, key=lambda each: str(each.host)):
            if not watch.end and not watch.locked:
                if watch.gate == "lock":
                    self._say(watch, "lock")
                return

    def _switch(self) -> None:
        for batch in self._batches:
            waiting = [watch for watch in batch if not watch.end and watch.gate == "switch"]
            if waiting:
                for watch in waiting:
                    self._say(watch, "switch")
                return
            if any(not watch.end and watch.gate != "keep" for watch in batch):
                return
        self.agreed = True
        self._keep()

    def _keep(self) -> None:
        for watch in self._watches:
            if not watch.end:
                self._say(watch, "keep")

    def call_back(self, reason: str) -> None:
        """All that have not ended go back to what they ran, or stay there."""
        self.calling_back = reason
        for watch in self._watches:
            if not watch.end:
                self._say(watch, f"back {reason}")

    def _say(self, watch: Watch, word: str) -> None:
        if (id(watch), word) not in self._said:
            self._said.add((id(watch), word))
            self._send(watch, word)


def batches(watches: Sequence[Watch], size: int) -> list[list[Watch]]:
    """`size` at a time; by default the first alone, then all others."""
    if not size:
        return [list(watches[:1]), list(watches[1:])] if len(watches) > 1 else [list(watches)]
    return [list(watches[start : start + size]) for start in range(0, len(watches), size)]
