"""A Dokku server over ssh: queries and changes.

Sources: Dokku 0.38 documentation (deployment/remote-commands, deployment/application-management,
deployment/methods/git, processes/process-management), and measurements in docs/dokku.md.
"""

from __future__ import annotations

import base64
import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ci_deploy.errors import DOCS, DeployError, OutcomeUnknown, Unauthorized, Unreachable
from ci_deploy.git.repository import ENVIRON, reason
from ci_deploy.layers.providers.dokku import answers
from ci_deploy.net.ssh.client import SESSIONS, Ssh
from ci_deploy.net.ssh.server import Server
from ci_deploy.process import limits
from ci_deploy.process.program import Change, CommandFailed, Result
from ci_deploy.process.runner import Runner

QUERY_TIMEOUT = 60.0  # seconds; a loaded server is slow, a hanging one must not block us
NO_APP = 20  # exit code since 0.24.0
SWALLOWED = {"-e", "-n", "-E", "--version", "--help"}  # by the server's `xargs -n 1`


class DokkuServer:
    """A Dokku server, on which every command is a session on one ssh connection. `version`: like
    (0, 38, 27); empty until the layer has asked for it, and if it cannot be parsed."""

    def __init__(self, ssh: Ssh, server: Server, runner: Runner) -> None:
        self.server = server
        self.version: tuple[int, ...] = ()
        self._ssh = ssh
        self._runner = runner
        self._serial = False

    def ask(
        self,
        *questions: Sequence[str],
        timeout: float = QUERY_TIMEOUT,
        beside: Change | None = None,
    ) -> list[Result]:
        """Send several queries at once, each with `timeout` seconds, and make the change `beside`
        in parallel. Returns their results in order, whatever their exit codes; that of `beside` is
        last, and missing when planning. If the connection is lost, asks once more, unless there is
        a change: GitLab's cancel kills it before it signals us. Raises Unreachable,
        Unauthorized."""
        found = self._ask(questions, timeout, beside)
        if not beside and any(map(self.lost, found)):
            found = self._ask(questions, timeout, beside)
        for answer in found:
            if trouble := self._trouble(answer):
                raise trouble
        return found

    def _ask(
        self, questions: Sequence[Sequence[str]], timeout: float, beside: Change | None
    ) -> list[Result]:
        self.reconnect()
        commands = [self._ssh.command(self.server, question) for question in questions]
        size = 1 if self._serial else SESSIONS
        found: list[Result] = []
        for start in range(0, len(commands), size):
            batch = commands[start : start + size]
            last = beside if start + size >= len(commands) else None
            found += self._runner.read_all(batch, timeout=timeout, ok=None, beside=last)
        if any("Session open refused" in answer.errors for answer in found):
            self._serial = True  # MaxSessions is 1: each query would need its own connection
        return found

    def change(self, words: Sequence[str], *, what: str, **options: Any) -> Result:
        """Run a command that changes something; its output goes into the log. `options` are those
        of `Runner.change`; with `ok=None` any exit code is returned, even ssh's 255.

        Raises CommandFailed, OutcomeUnknown when the connection is lost meanwhile or the time is
        over, Unreachable when there is none.
        """
        self.reconnect()
        command = self._ssh.command(self.server, words)
        with self._losing_it():
            return self._runner.change(command.argv, what=what, **options)

    @contextlib.contextmanager
    def _losing_it(self) -> Iterator[None]:
        """Turn the exit code of an ssh whose connection was lost into OutcomeUnknown."""
        try:
            yield
        except CommandFailed as error:
            if error.result.exit_code != limits.KILLED and not self.lost(error.result):
                raise
            lost = error.result.killed or f"the connection to {self.server.host} was lost."
            message = f"{error.what}: {lost}"
            raise OutcomeUnknown(message, lines=error.lines, shown=error.shown) from None

    def save(self, words: Sequence[str], path: Path, *, what: str) -> int | None:
        """Write a command's output to a new file; returns its size in bytes, None when only
        planning. Raises CommandFailed, OutcomeUnknown for a lost connection, OSError."""
        with self._losing_it():
            result = self._runner.save(self._ssh.command(self.server, words), path, what=what)
        return None if result.planned else path.stat().st_size

    def prepared(self, words: Sequence[str], *, what: str, quiet: bool = False) -> Change:
        """A command as a change, for `change_together` or `ask`; nothing is run yet. `quiet` keeps
        its output out of the log."""
        return Change(self._ssh.command(self.server, words), what, quiet=quiet)

    def change_together(self, changes: Sequence[Change]) -> None:
        """Make several changes at once. Raises what `change` raises, for the first that fails."""
        if changes:
            with self._losing_it():
                self._runner.change_all(changes)

    def change_hidden(self, words: Sequence[str], *, what: str, **options: Any) -> Result:
        """Like `change` for a command with secret values: they are not in the argv of our ssh."""
        with self._ssh.hidden(self.server, words) as command, self._losing_it():
            return self._runner.change(command.argv, what=what, **options)

    def git_environ(self) -> dict[str, str]:
        """Variables for git to use the same connection."""
        return self._ssh.git_environ(self.server)

    def ref(self, app: str, branch: str) -> str:
        """The commit (full SHA) of a branch of the app's repository on the server; empty if there
        is no such branch. Only for an app that exists: git would create another. Raises
        Unreachable."""
        argv = ["git", "ls-remote", self.server.url(app), f"refs/heads/{branch}"]
        found = self._runner.read(argv, env={**ENVIRON, **self.git_environ()}, ok=None)
        if found.exit_code:
            where = f"the repository of {app} on {self.server}"
            raise Unreachable(f"git cannot read {where}: {reason(found)}")
        return found.text.split()[0] if found.text else ""

    def running_builds(self, app: str) -> list[dict[str, str]]:
        """The builds and deploys of an app that run now, with the fields of `builds:list`; empty
        before Dokku 0.38."""
        if not self.at_least(0, 38):
            return []
        words = ["builds:list", app, "--format", "json", "--status", "running"]
        return answers.builds(self.ask(words)[0])

    def builds(self, app: str) -> frozenset[str]:
        """The ids of the builds and deploys that run or succeeded; empty before Dokku 0.38."""
        if not self.at_least(0, 38):
            return frozenset()
        listed = answers.builds(self.ask(["builds:list", app, "--format", "json"])[0])
        good = {"running", "succeeded"}
        return frozenset(
            each.get("id", "") for each in listed if each.get("display_status") in good
        )

    def works(self, app: str) -> bool:
        """Whether a build, a deploy or a one-off command of the app runs now."""
        if self.running_builds(app):
            return True
        found = answers.builds(self.ask(["run:list", app, "--format", "json"])[0])
        return any(each.get("state") == "running" for each in found)

    def has_begun(self, app: str, seconds: float) -> bool:
        """Whether a build of the app is running that began at most `seconds` ago, by the server's
        clock; False before Dokku 0.38, which lists none."""
        return any(
            answers.seconds(each.get("duration", "")) <= seconds + 1.0
            for each in self.running_builds(app)
        )

    def connected(self) -> bool:
        """Whether the connection is up; then an exit code 255 is the command's own."""
        return self._ssh.alive(self.server)

    def lost(self, result: Result) -> bool:
        """Whether a command ended because the connection is lost, so it may still run."""
        return result.exit_code == 255 and not self.connected()

    def reconnect(self) -> None:
        """Connect again if the connection was lost, or killed by a cancel. Raises Unreachable."""
        if not self._ssh.alive(self.server):
            self._ssh.ready(self.server)

    def at_least(self, *version: int) -> bool:
        """Whether the server has this version or a newer one; False if its version is unknown."""
        return self.version >= version

    def _trouble(self, answer: Result) -> DeployError | None:
        """The error when the answer is about the connection or access, else None. The answer's
        output is never quoted: it may be the app's config."""
        if answer.exit_code == 0:
            return None
        words = answer.errors
        last = words.splitlines()[-1] if words else "no reason given"
        if self.lost(answer):
            return Unreachable(f"the connection to {self.server} was lost: {last}")
        if answers.foreign_key(answer):
            hint = (
                "Add the key with `dokku ssh-keys:add NAME` on the server, not in authorized_keys; "
                "the user in DOKKU_HOST must be Dokku's, `dokku`."
            )
            return Unauthorized("the server does not treat our key as one of Dokku's.", hint=hint)
        if denied := answers.denied(answer):
            hint = f"Permissions that the key needs: {DOCS}dokku.md#a-key-that-may-do-less"
            return Unauthorized(f"Dokku denies access: {denied}", hint=hint)
        return None


def named(version: tuple[int, ...]) -> str:
    """A server's version for a message: `Dokku 0.38.27`."""
    return f"Dokku {'.'.join(map(str, version)) or 'of an unknown version'}"


def one_off(command: Sequence[str]) -> list[str]:
    """The words to send for a one-off command, so that it survives the server's parsing.

    Words that `xargs` would swallow go through `sh -c`; a newline cannot be sent at all, so a
    command with one is sent as base64.
    """
    if any("\n" in word for word in command):
        encoded = base64.b64encode(shlex.join(command).encode()).decode()
        return ["sh", "-c", f'eval "$(echo {encoded} | base64 -d)"']
    if SWALLOWED & set(command):
        return ["sh", "-c", shlex.join(command)]
    return list(command)
