"""Speaking to a Dokku server over ssh: questions, changes, reports, and what its answers mean.

Facts: Dokku 0.38 documentation (deployment/remote-commands, deployment/application-management,
deployment/methods/git, processes/process-management) and what facts are measured in docs/dokku.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ci_deploy.errors import DeployError, Unauthorized, Unreachable
from ci_deploy.shell.runner import Result, Runner
from ci_deploy.tools.keys import Server
from ci_deploy.tools.ssh import Ssh

QUERY_TIMEOUT = 60.0  # seconds; a loaded server takes its time, a hanging one must not hold us
NO_APP = 20  # exit code since 0.24.0
SWALLOWED = {"-e", "-n", "-E", "--version", "--help"}  # by the server's `xargs -n 1`


class DokkuServer:
    """The server: every command is a session on the one connection."""

    def __init__(self, ssh: Ssh, server: Server, runner: Runner) -> None:
        self.server = server
        self.version: tuple[int, ...] = ()
        self._ssh = ssh
        self._runner = runner
        self._serial = False

    def ask(self, *questions: Sequence[str], timeout: float = QUERY_TIMEOUT) -> list[Result]:
        """Ask several things at once. Raises Unreachable, Unauthorized; other exit codes are
        answers."""
        commands = [self._ssh.command(self.server, question) for question in questions]
        batches = [[each] for each in commands] if self._serial else [commands]
        answers = [
            answer
            for batch in batches
            for answer in self._runner.read_all(batch, timeout=timeout, ok=None)
        ]
        if any("Session open refused" in answer.errors for answer in answers):
            self._serial = True  # MaxSessions: each of them needed a connection of its own
        for answer in answers:
            if trouble := self._trouble(answer):
                raise trouble
        return answers

    def change(self, words: Sequence[str], *, what: str, **options: Any) -> Result:
        """Run a command that changes something; its output goes into the log."""
        command = self._ssh.command(self.server, words)
        return self._runner.change(command.argv, what=what, **options)

    def change_hidden(self, words: Sequence[str], *, what: str, **options: Any) -> Result:
        """The same for a command with values: they are not in the argv of our ssh."""
        with self._ssh.hidden(self.server, words) as command:
            return self._runner.change(command.argv, what=what, **options)

    def git_environ(self) -> dict[str, str]:
        """For git on the same connection."""
        return self._ssh.git_environ(self.server)

    def connected(self) -> bool:
        """Whether the connection still stands; then an exit code 255 is the command's own."""
        return self._ssh.alive(self.server)

    def reconnect(self) -> None:
        """After a lost connection. Raises Unreachable."""
        self._ssh.ready(self.server)

    def at_least(self, *version: int) -> bool:
        """Whether the server is of this version or newer."""
        return self.version >= version

    def _trouble(self, answer: Result) -> DeployError | None:
        """What has nothing to do with the question itself."""
        words = answer.errors or answer.text
        last = words.splitlines()[-1] if words else "no reason given"
        if answer.exit_code == 255 and not self.connected():
            return Unreachable(f"the connection to {self.server} was lost: {last}")
        if answer.exit_code == 127 and "command not found" in words:
            hint = "Add the key on the server with `dokku ssh-keys:add NAME`, not by hand."
            return Unauthorized("the server does not treat our key as one of Dokku's.", hint=hint)
        if "Access denied" in words:
            return Unauthorized(f"Dokku denies access: {last.strip()}")
        return None


def report(answer: Result) -> dict[str, str]:
    """`       Git deploy branch:     main` → {"deploy branch": "main"}.

    The text form is the one that all versions have; before 0.38 its keys begin with the plugin.
    """
    lines = answer.text.splitlines()
    heading = re.search(r"(\w+) information", lines[0]) if lines else None
    plugin = f"{heading[1]} " if heading else ""
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip().lower().removeprefix(plugin): value.strip() for key, _, value in pairs}


def version(answer: Result) -> tuple[int, ...]:
    """`dokku version 0.38.27` → (0, 38, 27)."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", answer.text)
    return tuple(map(int, match.groups())) if match else ()


def one_off(command: Sequence[str]) -> list[str]:
    """A command in a form that survives the server's parsing.

    Words that `xargs` would swallow go through `sh -c`; a newline cannot be sent at all, so such a
    command travels as base64.
    """
    import base64
    import shlex

    if any("\n" in word for word in command):
        encoded = base64.b64encode(shlex.join(command).encode()).decode()
        return ["sh", "-c", f'eval "$(echo {encoded} | base64 -d)"']
    if SWALLOWED & set(command):
        return ["sh", "-c", shlex.join(command)]
    return list(command)


# What Dokku says when a deploy does not happen or fails (facts: docs/dokku.md, "Messages").
# pattern → message, hint. The first that is found wins.
DEPLOYED = re.compile(r"Application deployed:")
SKIPPED = re.compile(r"Skipping deployment")
LOCKED = re.compile(r"currently has a deploy lock in place")
UP_TO_DATE = re.compile(r"Everything up-to-date")
REJECTED = re.compile(r"\[rejected\].*\((non-fast-forward|fetch first|stale info)\)")
LOST = re.compile(
    r"remote end hung up|Connection (closed|reset)|Broken pipe|early EOF|unexpected disconnect"
)
REASONS: Mapping[re.Pattern[str], tuple[str, str]] = {
    re.compile(r"you must push to (?P<a>\S+?)\.?$"): (
        "the push went to a branch that Dokku does not deploy; it deploys `{a}`.",
        "Unset DOKKU_DEPLOY_BRANCH, or set it to `{a}`.",
    ),
    re.compile(r"Invalid branch name '(?P<a>[^']*)'"): (
        "the app's deploy branch `{a}` is not a valid branch name.",
        "On the server: `dokku git:set APP deploy-branch main`.",
    ),
    re.compile(r"Execution of (?P<a>\w+) task failed: (?P<b>.*)"): (
        "the {a} task failed: {b}",
        "",
    ),
    re.compile(r"required env var (?P<a>\S+) has no value"): (
        "app.json requires the variable {a}, which is not set on the app.",
        "Set it with APP_CONFIG, or on the server with `dokku config:set`.",
    ),
    re.compile(r"Could not start due to (?P<a>.*)"): ("the new version did not start: {a}", ""),
    re.compile(r"App build failed"): ("the build failed.", ""),
    re.compile(r"auto-creation disabled"): (
        "the app does not exist, and Dokku is told not to create apps.",
        "Create it, or set DOKKU_CREATE_APP=true.",
    ),
    re.compile(r"shallow update not allowed"): (
        "the clone is shallow, and git refuses that (after having deployed it).",
        "Fetch the whole history.",
    ),
}


def reason(lines: Sequence[str]) -> tuple[str, str]:
    """Why a deploy failed, and what to do; empty texts when it says nothing that is known."""
    for pattern, (message, hint) in REASONS.items():
        for line in lines:
            if match := pattern.search(line):
                found = match.groupdict()
                return message.format(**found), hint.format(**found)
    return "", ""
