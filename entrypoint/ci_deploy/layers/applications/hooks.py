"""Programs of the repository itself: `.ci-deploy/EVENT`, run in the checkout at that event."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ci_deploy.errors import DeployError, DeployFailed, Problem
from ci_deploy.events import Event, on
from ci_deploy.layers.base import Application
from ci_deploy.settings import setting, settings
from ci_deploy.source import Source
from ci_deploy.values import suggestion

FOLDER = ".ci-deploy"
# Of the official Dokku image, for people who come from there.
OFFICIAL = {Event.PRE_DEPLOY: "bin/ci-pre-deploy", Event.POST_DEPLOY: "bin/ci-post-deploy"}
# Before the layers act, or after them; after an outcome everything is decided and told.
FIRST, LAST, AFTERWARDS = 20, 300, 120
WHEN = {
    Event.CONFIGURE: LAST,
    Event.PROVISION: LAST,
    Event.PRE_DEPLOY: FIRST,
    Event.DEPLOY: LAST,
    Event.POST_DEPLOY: 190,  # all but the health check is done
    Event.ROLLBACK: FIRST,
    Event.DESTROY: FIRST,
    Event.PROMOTE: FIRST,
}
OUTCOMES = frozenset(Event) - WHEN.keys()
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Method = TypeVar("Method", bound=Callable[..., None])


@settings
class HooksSettings:
    """Programs of the repository that run at the events."""

    timeout: int = setting("HOOK_TIMEOUT", "Seconds that a repository hook may take", default=600)


def at_every_event(method: Method) -> Method:
    """Mark it as a handler of all of them."""
    for event in Event:
        method = on(event, WHEN.get(event, AFTERWARDS))(method)
    return method


class Hooks(Application[HooksSettings]):
    """Repository hooks."""

    name = "hooks"
    Settings: ClassVar[type[Any]] = HooksSettings
    absent = f"the repository has no {FOLDER}"

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:  # noqa: ARG003
        official = any(os.access(root / name, os.X_OK) for name in OFFICIAL.values())
        return (root / FOLDER).is_dir() or official

    @property
    def root(self) -> Path:
        """The directory of the app in the checkout; there the hooks are, and there they run."""
        return self.ctx.workspace / self.ctx.settings.app_dir

    def problems(self) -> Iterable[Problem]:
        names = [event.value for event in Event]
        for path in sorted((self.root / FOLDER).glob("*")):
            shown = f"{FOLDER}/{path.name}"
            executable = path.is_file() and os.access(path, os.X_OK)
            if path.name not in names:
                if executable:
                    near = suggestion(path.name.replace("-", "_"), names)
                    yield Problem(shown, "there is no such event.", "", near)
            elif not executable:
                remedy = f"Run `git update-index --chmod=+x {shown}` and commit."
                yield Problem(shown, "it is not executable.", "", remedy)
            elif trouble := _unstartable(path):
                yield Problem(shown, *trouble)

    # --- running them ---

    @at_every_event
    def run(self) -> None:
        """Run the hook of this event, if there is one."""
        if program := self._program(self.ctx.event):
            self._run(program, self.ctx.event)

    @on(Event.POST_DEPLOY, priority=999)
    def plan_the_outcome(self) -> None:
        """`plan` ends here, and a deploy would not."""
        program = self._program(Event.DEPLOY_SUCCEEDED)
        if program and self.ctx.planning:
            self._run(program, Event.DEPLOY_SUCCEEDED)

    def _program(self, event: Event) -> Path | None:
        own, official = self.root / FOLDER / event.value, OFFICIAL.get(event, "")
        if own.is_file():
            return own
        if official and os.access(self.root / official, os.X_OK):
            hint = f"{official} is run; here it is called {FOLDER}/{event.value}."
            self.ctx.console.indent(hint)
            return self.root / official
        return None

    def _run(self, program: Path, event: Event) -> None:
        name = str(program.relative_to(self.root))
        seconds = min(self.settings.timeout, self.ctx.cancellation.left())
        try:
            result = self.ctx.runner.change(
                [str(program.resolve())],
                what=f"run {name}",
                env=self.environ(event),
                cwd=self.root,
                timeout=seconds,
                ok=None,
            )
            if result.exit_code:
                message = f"{name} failed with exit code {result.exit_code}."
                raise DeployFailed(message, lines=result.lines)
        except DeployError as error:
            if event not in OUTCOMES:
                raise
            self.ctx.console.warning(str(error))  # the result is what it is

    def environ(self, event: Event) -> Mapping[str, str]:
        """The job's variables without what is ours or secret, and the facts of the run."""
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
        return {"PATH": PATH, "TMPDIR": "/tmp", **theirs, **facts}  # noqa: S108 - not our private one


def _unstartable(path: Path) -> tuple[str, str, str] | None:
    """What is wrong with a program that the kernel would not start: message, origin, remedy."""
    with path.open("rb") as file:
        first = file.readline(200)
    if first.startswith(b"\x7fELF"):
        return None
    if not first.startswith(b"#!"):
        return "it has no first line like `#!/bin/sh`, so it cannot be started.", "", ""
    if first.endswith(b"\r\n"):
        remedy = "Save it with Unix line ends (.gitattributes: `.ci-deploy/* text eol=lf`)."
        return "its lines end as on Windows, so it cannot be started.", "", remedy
    return None
