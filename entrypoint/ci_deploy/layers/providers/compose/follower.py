"""Follows the runs on the hosts, over lost connections, until all have ended."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ci_deploy.errors import OutcomeUnknown, Unreachable
from ci_deploy.layers.providers.compose.coordinator import Coordinator
from ci_deploy.layers.providers.compose.host_run_log import HostRunLog
from ci_deploy.layers.providers.compose.hosts import Host, Hosts
from ci_deploy.process.program import Change
from ci_deploy.run.context import Context

PATIENCE = 300.0  # seconds without contact with a host until the outcome is called unknown
SILENCE = 15.0  # seconds until a session counts as lost; a host prints something every 5


class Follower:
    """Follows one run (`run`: its name) on its hosts: shows their logs, sends them messages, and
    lets the coordinator open the barriers between several. `logs` has the state of each."""

    def __init__(
        self,
        ctx: Context,
        hosts: Hosts,
        app: str,
        run: str,
        token: str,
        judge: Callable[[HostRunLog, int, int], str],
    ) -> None:
        """`judge(log, number, code)` returns the answer for a command before the traffic that has
        ended."""
        self.run = run
        self.logs: list[HostRunLog] = []
        self.coordinator = Coordinator([], self._send)
        self._ctx = ctx
        self._hosts = hosts
        self._app = app
        self._token = token
        self._judge = judge
        self._answers: dict[str, str] = {}  # host → the last answer, sent again when it may be lost
        self._pipes: dict[str, int] = {}

    def follow(self, hosts: Sequence[Host], batch: int = 0) -> list[HostRunLog]:
        """Show the runs' logs until all have ended; returns their states. `batch`: how many hosts
        are switched at once (COMPOSE_BATCH). Raises OutcomeUnknown after PATIENCE seconds without a
        line from one of them, or at DEPLOY_TIMEOUT."""
        with contextlib.ExitStack() as stack:
            self.logs = [self._log(host, stack) for host in hosts]
            self.coordinator = Coordinator(self.logs, self._send, batch)
            while going := [log for log in self.logs if log.end is None]:
                now = time.monotonic()
                if lost := [str(log.host) for log in going if now - log.spoke > PATIENCE]:
                    message = f"lost contact with {', '.join(lost)} for {PATIENCE:.0f} s; the "
                    message += "result is unknown."
                    raise OutcomeUnknown(message, hint=self.how_to_follow)
                self.coordinator.forget()
                self._listen(going)
                self._reconnect([log for log in going if log.end is None])
        return self.logs

    def _log(self, host: Host, stack: contextlib.ExitStack) -> HostRunLog:
        sanitizer = stack.enter_context(self._ctx.console.child(prefix=self._hosts.prefix(host)))
        return HostRunLog(
            host,
            self._token,
            show=lambda line: sanitizer.feed(f"{line}\n".encode()),
            say=self._ctx.console.indent,
            changed=self._changed,
            judge=self._answer,
        )

    def _answer(self, log: HostRunLog, number: int, code: int) -> None:
        self._answers[str(log.host)] = self._judge(log, number, code)
        self._send(log, self._answers[str(log.host)])

    def _listen(self, going: Sequence[HostRunLog]) -> None:
        """Follow each run in one session; returns when all have ended or one is lost."""
        with contextlib.ExitStack() as stack:
            changes = []
            for log in going:
                log.heard = time.monotonic()
                words = ["follow", self._app, self.run, str(log.seen), "yes"]
                command = self._hosts.command(log.host, words)
                command = replace(command, stdin=stack.enter_context(self._pipe(log)))
                if answer := self._answers.get(str(log.host)):
                    self._send(log, answer)
                changes.append(Change(command, "", quiet=True, watch=log.line))
            try:
                self._ctx.runner.change_all(changes, ok=None)
            except OutcomeUnknown as error:
                then = "but the deployment continues on the host."
                if len(self.logs) > 1 and not self.coordinator.agreed:
                    then = (
                        "and not all hosts have verified the release: they roll back on their own."
                    )
                message = f"timed out (DEPLOY_TIMEOUT), {then}"
                raise OutcomeUnknown(message, hint=self.how_to_follow) from error

    @contextlib.contextmanager
    def _pipe(self, log: HostRunLog) -> Iterator[int]:
        """A pipe to the stdin of a host's session. (The runner closes our copy of the reading
        end.)"""
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._pipes[str(log.host)] = write
        try:
            yield read
        finally:
            del self._pipes[str(log.host)]
            os.close(write)

    def _send(self, log: HostRunLog, word: str) -> None:
        if (pipe := self._pipes.get(str(log.host))) is not None:
            with contextlib.suppress(OSError):  # the session has just ended: it is sent again
                os.write(pipe, f"{' '.join(word.split())}\n".encode())

    def _changed(self) -> None:
        """Called for each mark of a host: send what is due, and advance the coordinator."""
        for log in self.logs:
            if log.end:
                self._send(log, "seen")
        going = [log for log in self.logs if log.end is None]
        now = time.monotonic()
        if any(now - log.heard > SILENCE for log in going):
            for log in going:
                self._send(log, "leave")  # one is lost: end all sessions and connect again
            return
        for log in going:
            self._send(log, "beat")
        if len(self.logs) > 1:
            self.coordinator.advance()

    def _reconnect(self, going: Sequence[HostRunLog]) -> None:
        """Reconnect where the connection is lost; the hosts continue meanwhile."""
        for log in going:
            if self._hosts.connected(log.host):
                continue
            say = self._ctx.console.indent
            say(f"the connection to {log.host} was lost; the deployment continues on the host.")
            try:
                self._hosts.reconnect(log.host)
            except Unreachable as error:
                say(error.message)
        if going:
            self._ctx.cancellation.sleep(0.5)  # no busy loop, whatever has ended the sessions

    @property
    def how_to_follow(self) -> str:
        """For hints: a sentence for each host with the command by which a person follows its run,
        one a line."""
        commands = [self._hosts.watch_command(log.host, self._app) for log in self.logs]
        return "\n".join(f"Follow it with `{command}`." for command in commands)
