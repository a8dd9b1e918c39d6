"""The layer `commands`: the user's own commands around a deploy, run in the app's environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from ci_deploy.errors import DeployFailed, Problem
from ci_deploy.layers.applications.unfinished import Unfinished
from ci_deploy.layers.base import Application
from ci_deploy.layers.priorities import After, Before, Configure, Outcome, Promoted
from ci_deploy.run.context import Context
from ci_deploy.run.events import RELEASING, Event, on
from ci_deploy.run.tasks import Key, Task
from ci_deploy.settings import setting, settings
from ci_deploy.state import Ran, Step

TO_BE_RUN = Task(Key.COMMAND)
SHELL = {"&&", "||", "|", ";", ">", ">>", "<", "&", "2>&1"}

Lines = tuple[tuple[str, ...], ...]


def commands(text: str) -> Lines:
    """Parse one command per line into words, as a shell does: a tuple of words for each command.
    One that begins with NAME=value gets the word `env` before it. Raises ValueError for an unclosed
    quote, and for a shell operator that is a word of its own, like `&&`."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            words = shlex.split(line)
        except ValueError as error:
            message = f"`{line}`: {str(error).lower()}."
            raise ValueError(message) from None
        if operators := SHELL & set(words):
            message = (
                f"`{line}`: commands are not run by a shell, so `{operators.pop()}` has no "
                f"effect. Write {shlex.join(['sh', '-c', line])}"
            )
            raise ValueError(message)
        assigns = re.match(r"[A-Za-z_]\w*=", words[0])
        found.append(("env", *words) if assigns else tuple(words))
    return tuple(found)


@settings
class CommandsSettings:
    """Your own commands, which run in the app's environment."""

    before: Lines = setting(
        "PRE_DEPLOY_COMMAND",
        "Command (or one per line) to run before the deployment, in the release that is "
        "live at that time",
        default=(),
        example="bin/maintenance on",
        literal=True,
        parse=commands,
    )
    release: Lines = setting(
        "RELEASE_COMMAND",
        "Command (or one per line) to run once in the new release before it gets traffic, like "
        "migrations",
        default=(),
        example="npx prisma migrate deploy",
        literal=True,
        parse=commands,
    )
    after: Lines = setting(
        "POST_DEPLOY_COMMAND",
        "Command (or one per line) to run after the deployment, in the new release",
        default=(),
        example="sh -c 'bin/warm-cache && bin/smoke-test'",
        literal=True,
        parse=commands,
    )


class Commands(Application[CommandsSettings]):
    """Runs the user's commands around a deploy or a promotion. Each of the three settings switches
    the layer on. A command that fails raises DeployFailed."""

    name = "commands"
    Settings: ClassVar[type[Any]] = CommandsSettings
    trigger = "POST_DEPLOY_COMMAND"
    also = ("PRE_DEPLOY_COMMAND", "RELEASE_COMMAND")

    def __init__(self, ctx: Context, settings: CommandsSettings) -> None:
        super().__init__(ctx, settings)
        self._unfinished = Unfinished(ctx)

    def problems(self) -> Iterable[Problem]:
        ctx = self.ctx
        if self.settings.release and ctx.has_provider and "before" not in ctx.provider.migrates:
            where = f"before a release gets traffic on {ctx.provider.name}"
            remedy = "Use the platform's own way: for Heroku, a `release:` line in the Procfile."
            yield Problem("RELEASE_COMMAND", f"ci-deploy cannot run commands {where}.", "", remedy)

    @on(Event.CONFIGURE, Configure.COMMAND)
    def before_traffic(self) -> None:
        """Add RELEASE_COMMAND to the commands that run before the release gets traffic."""
        for words in self.settings.release if self.ctx.command in RELEASING else ():
            shown = shlex.join(words)
            check = partial(_check, "RELEASE_COMMAND", shown)
            self.ctx.before_traffic.append(Step(words, f"run {shown}", check))

    @on(Event.PRE_DEPLOY, Before.COMMAND)
    @on(Event.PROMOTE, Before.COMMAND)
    def before(self) -> None:
        """Run PRE_DEPLOY_COMMAND in the live release; skipped at the first deploy.

        Also skipped if the revision of the live release is unknown. First records that
        POST_DEPLOY_COMMAND is to follow, so that the next run finds it if this one is killed."""
        if self.settings.after:
            self._unfinished.begin(TO_BE_RUN)
        if self.settings.before and not (self.ctx.before and self.ctx.before.revision):
            self.ctx.console.indent(
                "PRE_DEPLOY_COMMAND is skipped: no release runs yet, or its revision is unknown."
            )
        else:
            self._run("PRE_DEPLOY_COMMAND", self.settings.before)

    @on(Event.POST_DEPLOY, After.COMMAND)
    @on(Event.PROMOTE, Promoted.COMMAND)
    def after(self) -> None:
        """Run POST_DEPLOY_COMMAND in the new release, after its migrations.

        Then removes the task that `before` has recorded."""
        if self.settings.after:
            self._run("POST_DEPLOY_COMMAND", self.settings.after)
            self._unfinished.done(TO_BE_RUN)

    @on(Event.DEPLOY_SKIPPED, Outcome.COMMAND)
    def finish(self) -> None:
        """Run POST_DEPLOY_COMMAND if an earlier run of this revision did not get that far."""
        if self._unfinished.left(TO_BE_RUN):
            self.after()
            self._unfinished.done(TO_BE_RUN)

    @on(Event.DEPLOY_FAILED, Outcome.FORGET_COMMAND)
    def forget(self) -> None:
        """Forget the POST_DEPLOY_COMMAND that was to follow the failed deploy.

        It is kept if the revision is live, or may become so (`Unfinished.drop`)."""
        self._unfinished.drop()

    def _run(self, name: str, lines: Sequence[Sequence[str]]) -> None:
        for words in lines:
            shown = shlex.join(words)
            ran = self.ctx.provider.run(words, what=f"run {shown} in {self.ctx.app}")
            _check(name, shown, ran)


def _check(name: str, shown: str, ran: Ran) -> None:
    if ran.exit_code:
        message = f"{name} failed with exit code {ran.exit_code}: {shown}"
        raise DeployFailed(message, lines=ran.lines)
