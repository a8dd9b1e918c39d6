"""Coordinates a deploy to several hosts.

Each host's run waits at barriers ("gates") that are opened from here. Locks are taken one after the
other in the order of the hosts' names, so that two pipelines cannot block each other. Nothing is
switched before all hosts are ready, and no host keeps a release before all have verified it: until
then a host that loses contact rolls back by itself, and from then on no host is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ci_deploy.layers.providers.compose.watch import Watch


class Coordinator:
    """Opens the hosts' gates. `send` sends a message to a host; it may be sent twice without
    harm."""

    def __init__(
        self, watches: Sequence[Watch], send: Callable[[Watch, str], None], batch: int = 0
    ) -> None:
        self._watches = watches
        self._send = send
        self._batches = batches(watches, batch)
        self._said: set[tuple[int, str]] = set()
        self.agreed = False  # all hosts have verified the release, so it stays
        self.calling_back = ""

    def forget(self) -> None:
        """Called after a lost connection: messages may be lost, so send them again."""
        self._said.clear()

    def advance(self) -> None:
        """Send the messages that the state of the hosts now allows."""
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
        """Let the next host take its lock, when all before it have theirs."""
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
        """Tell all hosts whose runs have not ended to go back to, or stay at, what they ran
        before."""
        self.calling_back = reason
        for watch in self._watches:
            if not watch.end:
                self._say(watch, f"back {reason}")

    def _say(self, watch: Watch, word: str) -> None:
        if (id(watch), word) not in self._said:
            self._said.add((id(watch), word))
            self._send(watch, word)


def batches(watches: Sequence[Watch], size: int) -> list[list[Watch]]:
    """Groups of `size` hosts; by default the first alone, then all others."""
    if not size:
        return [list(watches[:1]), list(watches[1:])] if len(watches) > 1 else [list(watches)]
    return [list(watches[start : start + size]) for start in range(0, len(watches), size)]
