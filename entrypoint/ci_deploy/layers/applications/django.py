"""The layer `django`: migrations, if the user wants them, and Django's checks for deployments."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NoReturn

from ci_deploy.errors import DeployFailed, Refused
from ci_deploy.layers.applications.framework import Framework
from ci_deploy.layers.applications.migrations import Commands, FrameworkSettings
from ci_deploy.layers.priorities import After, Configure
from ci_deploy.run.events import Event, on
from ci_deploy.settings import setting, settings
from ci_deploy.state import Ran, Step

ADVICE = {
    "CommandError: Conflicting migrations": "Two branches have added a migration: run "
    "`python manage.py makemigrations --merge`, commit, deploy again.",
    "No module named": "If it is Django that Python does not find, set DJANGO_MANAGE_COMMAND to "
    "the command that calls manage.py in the release; else add the module to the requirements.",
}


def command(text: str) -> tuple[str, ...]:
    """Split a command into words, as a shell does. Raises ValueError for an unclosed quote. Nothing
    is expanded."""
    return tuple(shlex.split(text))


@settings
class DjangoSettings(FrameworkSettings):
    """The settings of the layer `django`, besides those of all frameworks."""

    manage: tuple[str, ...] = setting(
        "DJANGO_MANAGE_COMMAND",
        "Command that calls manage.py in the release",
        default=("python", "manage.py"),
        example="poetry run python src/manage.py",
        literal=True,
        parse=command,
    )
    check: bool = setting(
        "DJANGO_CHECK_DEPLOY",
        "Run `check --deploy` in the new release; before it gets traffic if migrations or "
        "RELEASE_COMMAND run then",
        default=False,
    )


class Django(Framework[DjangoSettings]):
    """What to run for a Django app's migrations (`Framework` decides when), and its checks."""

    name = "django"
    title = "Django"
    Settings: ClassVar[type[Any]] = DjangoSettings
    files = ("*migrations/[0-9]*.py",)
    migrating = ("manage.py migrate", "django-admin migrate")

    @classmethod
    def detected(cls, root: Path) -> bool:
        """Whether the directory `root` has a manage.py that contains the word `django`."""
        path = root / "manage.py"
        return path.is_file() and "django" in path.read_text(errors="replace").lower()

    def _manage(self, *words: str) -> tuple[str, ...]:
        return (*self.settings.manage, *words)

    def pending(self) -> tuple[str, ...]:
        return self._manage("migrate", "--check")

    def migration(self, *, prepare: bool) -> Commands:  # noqa: ARG002 - it makes tables as well
        return (self._manage("migrate", "--noinput"), self.pending())

    def undo(self, count: int) -> NoReturn:
        message = f"Django cannot undo the last {count} migrations: it undoes them by name."
        names = self._manage("migrate", "APP", "NAME")
        hint = (
            f"Run `ci-deploy run -- {' '.join(names)}` (NAME: the last one to keep, or `zero`), "
            "then roll back without --migrations."
        )
        raise Refused(message, hint=hint)

    def advice(self, lines: Sequence[str]) -> str:
        text = "\n".join(lines)
        return next((words for sign, words in ADVICE.items() if sign in text), "")

    def label(self, path: str) -> str:
        """The name of the migration in the file `path`, with its app: `shop.0002_price` for
        `shop/migrations/0002_price.py`."""
        file = PurePosixPath(path)
        return f"{file.parent.parent.name}.{file.stem}"

    # --- check --deploy ---

    @property
    def _early(self) -> bool:
        return bool(self.ctx.before_traffic)

    @on(Event.CONFIGURE, Configure.CHECKS)
    def check_before_traffic(self) -> None:
        """Add `check --deploy` to the commands that run before the traffic, if there are any.

        Only if DJANGO_CHECK_DEPLOY is set; the others are migrations and RELEASE_COMMAND."""
        if self.settings.check and self._early:
            words = self._manage("check", "--deploy")
            step = Step(words, f"check the deployment of {self.ctx.app}", self._judge_check)
            self.ctx.before_traffic.append(step)

    @on(Event.POST_DEPLOY, After.CHECK)
    def check_after(self) -> None:
        """Run `check --deploy` in the new release, if it did not run before the traffic.

        Only if DJANGO_CHECK_DEPLOY is set. Raises DeployFailed if it ends with an error."""
        if self.settings.check and not self._early:
            words = self._manage("check", "--deploy")
            what = f"check the deployment of {self.ctx.app}"
            self._judge_check(self.ctx.provider.run(words, what=what))

    def _judge_check(self, ran: Ran) -> None:
        if ran.exit_code:
            message = f"`check --deploy` failed (exit code {ran.exit_code})."
            hint = "Fix the errors that it shows, or set DJANGO_CHECK_DEPLOY=false."
            raise DeployFailed(message, hint=hint, lines=ran.lines)
