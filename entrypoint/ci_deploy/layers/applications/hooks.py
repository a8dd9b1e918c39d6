"""The layer `hooks`: the repository's program `.ci-deploy/EVENT` runs at that event.

The hooks of the revision that is deployed run; for commands that build nothing, those of the job's
commit. If the checkout is at another commit, or its hooks were changed, they run in a copy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ci_deploy import files
from ci_deploy.errors import DeployError, DeployFailed, Problem, SettingsError
from ci_deploy.git import committed
from ci_deploy.git.committed import Entry
from ci_deploy.layers.base import Application
from ci_deploy.layers.priorities import After, Configure
from ci_deploy.process.child import seclude
from ci_deploy.process.runner import STANDARD_PATH
from ci_deploy.run.events import BUILDING, Event, on
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import suggestion
from ci_deploy.settings.sources import Source

FOLDER = ".ci-deploy"
# Names in the official Dokku image, for users who migrate from it.
OFFICIAL = {Event.PRE_DEPLOY: "bin/ci-pre-deploy", Event.POST_DEPLOY: "bin/ci-post-deploy"}
# Priorities: before the layers, after them, and in an outcome event.
FIRST, LAST, AFTERWARDS = 20, 300, 120
WHEN = {
    Event.CONFIGURE: LAST,
    Event.PROVISION: LAST,
    Event.PRE_DEPLOY: FIRST,
    Event.DEPLOY: LAST,
    Event.POST_DEPLOY: 190,  # after everything but the health check
    Event.ROLLBACK: FIRST,
    Event.DESTROY: FIRST,
    Event.PROMOTE: FIRST,
}
NAMES = [event.value for event in Event]
OUTCOMES = frozenset(Event) - WHEN.keys()

LINE = 200  # bytes read of a first line

Method = TypeVar("Method", bound=Callable[..., None])


@settings
class HooksSettings:
    """Repository hooks: your programs that run at events."""

    timeout: int = setting("HOOK_TIMEOUT", "Seconds that a repository hook may take", default=600)


def at_every_event(method: Method) -> Method:
    """Decorator: marks a method as a handler of all events, with the priorities in WHEN, else
    AFTERWARDS."""
    for event in Event:
        method = on(event, WHEN.get(event, AFTERWARDS))(method)
    return method


class Hooks(Application[HooksSettings]):
    """Runs the repository's hooks, on the machine of the job, in the app's directory. The failure
    of one stops the run; in an outcome event it is only a warning."""

    name = "hooks"
    Settings: ClassVar[type[Any]] = HooksSettings
    absent = f"the repository has no {FOLDER}"

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:
        """Whether there may be hooks: in the directory `root`, or in another revision that is to be
        deployed."""
        official = any(os.access(root / name, os.X_OK) for name in OFFICIAL.values())
        return (root / FOLDER).is_dir() or official or bool(source.text("DEPLOY_REVISION"))

    def problems(self) -> Iterable[Problem]:
        """Yield the problems of the checkout's hooks (none with DEPLOY_REVISION), for `doctor` and
        before a run connects. `look` checks those of the revision."""
        if not self.ctx.settings.revision:
            for path in sorted((self._checkout / FOLDER).glob("*")):
                executable = path.is_file() and os.access(path, os.X_OK)
                yield from _problems(path.name, _first_line(path), executable=executable)

    @property
    def _checkout(self) -> Path:
        return self.ctx.workspace / self.ctx.settings.app_dir

    # --- whose they are ---

    @cached_property
    def _revision(self) -> str:
        """The commit whose hooks run: the deployed one, else the job's."""
        repository, about = self.ctx.repository, self.ctx.facts.revision
        if self.ctx.command in BUILDING:
            return self.ctx.revision
        return about if about and repository.has(about) else repository.head

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        """The files of the hooks' folder at that commit, by path."""
        paths = [FOLDER, *OFFICIAL.values()]
        if not self._revision:
            return {}
        ctx = self.ctx
        found = committed.entries(ctx.repository, self._revision, ctx.settings.app_dir, paths)
        return {entry.path: entry for entry in found}

    @cached_property
    def _root(self) -> Path:
        """The app's directory in which the hooks run: the checkout's, or that of a copy."""
        ctx, here = self.ctx, self._checkout
        same = all(entry.unchanged_in(here) for entry in self._entries.values())
        if ctx.planning or (same and committed.is_checked_out(ctx.repository, self._revision)):
            return here
        short = self._revision[:7]
        ctx.console.indent(
            f"the checkout or its hooks differ from {short}: the hooks run in a copy of {short}."
        )
        files = committed.export(ctx.repository, ctx.private_dir, self._revision)
        return files / ctx.settings.app_dir

    @on(Event.CONFIGURE, Configure.HOOKS)
    def look(self) -> None:
        """Check the hooks of the revision. Raises SettingsError for hooks that could not run.

        Warns of hooks that are in the checkout but not in the revision."""
        problems: list[Problem] = []
        for path, entry in sorted(self._entries.items()):
            folder, _, name = path.rpartition("/")
            if folder == FOLDER and entry.mode != committed.LINK:
                blob = self.ctx.repository.git("cat-file", "blob", entry.blob)
                first, executable = (
                    blob.out[:LINE].partition(b"\n"),
                    entry.mode == committed.EXECUTABLE,
                )
                problems += _problems(name, b"".join(first[:2]), executable=executable)
        if problems:
            raise SettingsError(*problems)
        for name in NAMES if self._revision else ():
            path = f"{FOLDER}/{name}"
            if path not in self._entries and (self._checkout / path).is_file():
                short = self._revision[:7]
                self.ctx.console.warning(
                    f"{path} is not run: {short}, whose hooks run, does not contain it. If it is "
                    "not committed, commit it."
                )

    # --- running them ---

    @at_every_event
    def run(self) -> None:
        """Run the hook of this event, if there is one.

        When planning it is only announced. Raises DeployFailed if it fails, OutcomeUnknown after
        HOOK_TIMEOUT seconds; in an outcome event both are only warnings."""
        if program := self._program(self.ctx.event):
            self._run(program, self.ctx.event)

    @on(Event.POST_DEPLOY, After.END)
    def plan_the_outcome(self) -> None:
        """In `plan`, announce the hook of `deploy_succeeded` too."""
        program = self._program(Event.DEPLOY_SUCCEEDED)
        if program and self.ctx.planning:
            self._run(program, Event.DEPLOY_SUCCEEDED)

    def _program(self, event: Event) -> str:
        """The path of the event's hook in the app's directory; empty for none."""
        own, official = f"{FOLDER}/{event.value}", OFFICIAL.get(event, "")
        if own in self._entries:
            return own
        if official in self._entries and self._entries[official].mode == committed.EXECUTABLE:
            self.ctx.console.indent(f"{official} runs as the hook {own}.")
            return official
        return ""

    def _run(self, name: str, event: Event) -> None:
        if not self.ctx.planning:
            seclude()
        seconds = min(self.settings.timeout, self.ctx.cancellation.left())
        try:
            result = self.ctx.runner.change(
                [str((self._root / name).resolve())],
                what=f"run {name}",
                env=self.environ(event),
                cwd=self._root,
                timeout=seconds,
                ok=None,
            )
            if result.exit_code:
                message = f"{name} failed with exit code {result.exit_code}."
                raise DeployFailed(message, lines=result.lines)
        except DeployError as error:
            if event not in OUTCOMES:
                raise
            self.ctx.console.warning(str(error))  # the result stays as it is

    def environ(self, event: Event) -> Mapping[str, str]:
        """The environment of the hook for `event`: the job's variables, except ci-deploy's settings
        and inputs and values with secrets; and variables with the facts of the run, which are empty
        when unknown (docs/hooks.md lists them)."""
        ctx, report = self.ctx, self.ctx.report
        live = ctx.live or ctx.before
        facts = {
            "APP_NAME": ctx.app,
            "DEPLOY_COMMAND": ctx.command,
            "DEPLOY_EVENT": event.value,
            "DEPLOY_ENVIRONMENT": ctx.environment,
            "DEPLOY_PROVIDER": ctx.provider.name,
            "DEPLOY_REVISION": ctx.revision,
            "DEPLOY_PREVIOUS_REVISION": ctx.before.revision if ctx.before else "",
            "DEPLOY_LIVE_REVISION": report.live_revision or (live.revision if live else ""),
            "DEPLOY_RELEASE": ctx.release,
            "DEPLOY_URL": ctx.url,
            "DEPLOY_STATUS": report.status if event in OUTCOMES else "",
            "DEPLOY_MESSAGE": report.message if event in OUTCOMES else "",
            "IS_REVIEW_APP": str(ctx.review is not None).lower(),
        }
        theirs = {
            name: value
            for name, value in ctx.environ.items()
            if name not in ctx.ours
            and not name.startswith("INPUT_")
            and ctx.redactor.text(value) == value
        }
        return {"PATH": STANDARD_PATH, "TMPDIR": "/tmp", **theirs, **facts}  # noqa: S108 - not our private one


def _first_line(path: Path) -> bytes:
    try:
        return files.first_line(path, LINE)
    except OSError:
        return b""


def _problems(name: str, first: bytes, *, executable: bool) -> Iterable[Problem]:
    """Problems of a file in the hooks' folder; `first` is its first line."""
    shown = f"{FOLDER}/{name}"
    if name not in NAMES:
        if executable:
            near = suggestion(name.replace("-", "_"), NAMES)
            other = f"If it is not a hook, run `git update-index --chmod=-x {shown}` and commit."
            reason = "the file is executable, but no event has its name."
            yield Problem(shown, reason, "", near or other)
    elif not executable:
        remedy = f"Run `git update-index --chmod=+x {shown}` and commit."
        yield Problem(shown, "the hook is not executable.", "", remedy)
    elif not first.startswith((b"#!", b"\x7fELF")):
        remedy = "Add the line of its interpreter."
        reason = "the first line is not like `#!/bin/sh`, so the hook cannot be started."
        yield Problem(shown, reason, "", remedy)
    elif first.startswith(b"#!") and first.endswith(b"\r\n"):
        remedy = "Save it with Unix line endings (.gitattributes: `.ci-deploy/* text eol=lf`)."
        reason = "the hook has Windows line endings, so it cannot be started."
        yield Problem(shown, reason, "", remedy)
