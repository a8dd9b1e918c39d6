"""Coordinates a deploy to several hosts.

Each host's run waits at barriers ("gates") that are opened from here. Locks are taken one after the
other in the order of the hosts' names, so that two pipelines cannot block each other. Nothing is
switched before all hosts are ready, and no host keeps a release before all have verified it: until
then a host that loses contact rolls back by itself, and from then on no host is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ci_deploy.layers.providers.compose.host_run_log import HostRunLog


class Coordinator:
    """Opens the hosts' gates. `send` sends a message to a host's run; it may be sent twice without
    harm. `batch` hosts are switched at a time; 0: the first alone, then all others. `rolling_back`
    is the reason for which all roll back; empty for none."""

    def __init__(
        self, logs: Sequence[HostRunLog], send: Callable[[HostRunLog, str], None], batch: int = 0
    ) -> None:
        self._logs = logs
        self._send = send
        self._batches = batches(logs, batch)
        self._said: set[tuple[int, str]] = set()
        self.agreed = False  # all hosts have verified the release, so it stays
        self.rolling_back = ""

    def forget(self) -> None:
        """Called after a lost connection: messages may be lost, so send them again."""
        self._said.clear()

    def advance(self) -> None:
        """Send the messages that the state of the hosts now allows."""
        if self.agreed:
            return self._keep()
        if failed := next((w for w in self._logs if w.end and not w.end.good), None):
            reason = (failed.end and failed.end.text) or "the run on the host was killed"
            return self.roll_back(self.rolling_back or f"{failed.host}: {reason}")
        if self.rolling_back:
            return self.roll_back(self.rolling_back)
        self._let_lock()
        going = [log for log in self._logs if not log.end]
        if any(not log.locked for log in going):
            return None
        if all(log.gate in {"migrate", "switch", "keep"} for log in going):
            for log in going:
                if log.gate == "migrate":
                    return self._say(log, "migrate")
            self._switch()
        return None

    def _let_lock(self) -> None:
        """Let the next host take its lock, when all before it have theirs."""
        for log in sorted(self._logs, key=lambda each: str(each.host)):
            if not log.end and not log.locked:
                if log.gate == "lock":
                    self._say(log, "lock")
                return

    def _switch(self) -> None:
        for batch in self._batches:
            waiting = [log for log in batch if not log.end and log.gate == "switch"]
            if waiting:
                for log in waiting:
                    self._say(log, "switch")
                return
            if any(not log.end and log.gate != "keep" for log in batch):
                return
        self.agreed = True
        self._keep()

    def _keep(self) -> None:
        for log in self._logs:
            if not log.end:
                self._say(log, "keep")

    def roll_back(self, reason: str) -> None:
        """Tell all hosts whose runs have not ended to roll back to, or to keep, the release that
        they ran before."""
        self.rolling_back = reason
        for log in self._logs:
            if not log.end:
                self._say(log, f"back {reason}")

    def _say(self, log: HostRunLog, word: str) -> None:
        if (id(log), word) not in self._said:
            self._said.add((id(log), word))
            self._send(log, word)


def batches(logs: Sequence[HostRunLog], size: int) -> list[list[HostRunLog]]:
    """Groups of `size` hosts, to be switched one group after the other; for 0 the first host alone,
    then all others."""
    if not size:
        return [list(logs[:1]), list(logs[1:])] if len(logs) > 1 else [list(logs)]
    return [list(logs[start : start + size]) for start in range(0, len(logs), size)]
