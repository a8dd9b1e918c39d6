"""The errors that end a run, each with its exit code, and functions for their texts.

The codes are public: users put them in `allow_failure:exit_codes`. `docs/exit-codes.md` is
generated from the direct subclasses of DeployError, so their docstrings are written for users.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, NamedTuple, TypeVar

T = TypeVar("T")


class Ending(Exception):
    """Base class of whatever ends a run early, with the exit code and the status to report.

    `message` says what failed, `hint` what to do next. `lines` are the last output lines of the
    program that failed; if `shown`, the log has them already, and they are not printed again.
    """

    exit_code: ClassVar[int] = 20
    status: ClassVar[str] = "failed"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        lines: tuple[str, ...] = (),
        shown: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = lines
        self.shown = shown

    @property
    def code(self) -> int:
        """The exit code of the process."""
        return self.exit_code


def expect(value: T | None, what: str) -> T:
    """Return `value`, which an earlier step of the run has to set. Raises RuntimeError for None: a
    bug. `what` names the value in its message."""
    if value is None:
        message = f"{what} is not known yet"
        raise RuntimeError(message)
    return value


DOCS = "https://github.com/ci-deploy/ci-deploy/blob/main/docs/"


class DeployError(Ending):
    """A failure that is no bug of ours and no cancel. A caller that can do without the failed step
    may catch it and continue."""


def input_name(name: str) -> str:
    """The name of a setting's input on GitLab and GitHub: `APP_NAME` → `app-name`."""
    return name.lower().replace("_", "-")


# A name in running text, perhaps with a value or with the input that set it: not in a code span or
# quotes, not after `$`, and not what a message calls a variable.
NAMED = re.compile(
    r"`[^`]*`|(?<![\w$/{\"'.-])(?<!variable )(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)(?![\w/'\"])"
    r"(?:=(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;()'\"]*[^\s,:;().'\"]))?"
    r"(?P<origin> \(input `[^`]*`\))?"
)


def as_inputs(text: str, names: Collection[str]) -> str:
    """`text` with the settings `names` as a workflow writes them: "set REDEPLOY=true" becomes "set
    `redeploy: true`". Names in code spans or quotes, after `$` or the word "variable" stay."""

    def put(found: re.Match[str]) -> str:
        if found["name"] not in names:
            return found[0]
        name, origin = input_name(found["name"]), found["origin"] or ""
        value = f": {found['value']}" if found["value"] else ""
        return f"`{name}{value}`{'' if origin == f' (input `{name}`)' else origin}"

    return NAMED.sub(put, text) if names else text


class Problem(NamedTuple):
    """One thing that is wrong with one setting, or with what a setting names."""

    setting: str  # its name, or what else is wrong, like `the workspace` or a file
    message: str  # what is wrong, as a sentence without a subject or with its own
    origin: str = ""  # where the value comes from, like `variable APP_NAME`
    remedy: str = ""  # what to do, as a sentence
    missing: bool = False  # a setting that is required is not set

    def __str__(self) -> str:
        known = {"", self.setting, f"variable {self.setting}"}  # the origin then adds nothing
        origin = "" if self.origin in known else f" ({self.origin})"
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.setting}{origin}: {self.message}{remedy}"


class SettingsError(DeployError):
    """A setting, the command line or the checkout is wrong. All problems that were found are
    listed."""

    exit_code = 2

    def __init__(self, *problems: Problem, hint: str = "") -> None:
        self.problems = problems
        count = "a setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{count} missing or wrong.\n{listed}", hint=hint)


class UsageError(SettingsError):
    """The command line is wrong, or an answer that `init` needs is missing. `reason` is a sentence;
    `problems` is empty. Nothing was changed."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.args = (f"Invalid command line: {reason}",)
        self.message = self.args[0]


class ToolMissing(DeployError):
    """A program that is needed, here or on the server, is missing, too old or does not run, or this
    machine lacks space or memory."""

    exit_code = 10


class Unreachable(DeployError):
    """A server cannot be reached. Nothing was changed; safe to retry."""

    exit_code = 11


class Unauthorized(DeployError):
    """A key, a token or a host key was rejected."""

    exit_code = 12


class Locked(DeployError):
    """Another deployment held the lock until `LOCK_TIMEOUT` or `DEPLOY_TIMEOUT` was over, or is
    changing the source of a promotion."""

    exit_code = 13


class Refused(DeployError):
    """The run was refused: by a guard (freeze, untrusted event, outdated or diverged revision, not
    a review app), or because the app or its provider cannot do what was asked."""

    exit_code = 14


class NoService(Refused):
    """The app has no service or process with the name that the user gave. `known`: the names that
    it has; empty if it has none."""

    def __init__(self, app: str, name: str, known: Iterable[str]) -> None:
        names = ", ".join(sorted(known))
        hint = f"{app} has: {names}." if names else f"{app} has none: deploy it first."
        super().__init__(f"{app} has no process or service `{name}`.", hint=hint)


class DeployFailed(DeployError):
    """The deploy failed, and the new revision is not live; or another command failed, like
    `rollback`, `restore` or `logs`."""

    exit_code = 20


class ImageMissing(DeployFailed):
    """An image of the revision is not in the registry; nothing was changed."""


class Unhealthy(DeployFailed):
    """The health check failed. With ROLLBACK_ON_FAILURE the run then rolls back to the release that
    was live before, if there was one."""


class OutcomeUnknown(DeployError):
    """The deadline passed or the connection was lost after the change began, so its outcome is
    unknown."""

    exit_code = 21


class LiveButFailed(DeployError):
    """The new revision is **live**, but a later step failed."""

    exit_code = 22
    status = "live-but-failed"


class RolledBack(DeployError):
    """The deploy failed and the previous release was restored."""

    exit_code = 23
    status = "rolled-back"


class Cancelled(Ending):
    """The job was cancelled (SIGINT or SIGTERM). The summary of a deploy says what is live."""

    # Not a DeployError: code that catches those and goes on must not catch a cancel.

    exit_code = 128 + signal.SIGTERM
    status = "cancelled"

    def __init__(self, message: str, *, signum: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.signum = signum

    @property
    def code(self) -> int:
        return 128 + self.signum


class SkipDeploy(Exception):
    """Raised by a guard or a layer when the run has nothing to do, which is a success (exit code
    0); the message says why."""


def exit_codes() -> list[tuple[str, str, str]]:
    """The rows of the table in docs/exit-codes.md: (code, class, meaning)."""
    rows = [
        ("0", "-", "Succeeded, skipped or disabled."),
        ("1", "-", "A bug in ci-deploy: please report the traceback."),
    ]
    rows += [
        (str(cls.exit_code), cls.__name__, " ".join((cls.__doc__ or "").split()))
        for cls in sorted(DeployError.__subclasses__(), key=lambda cls: cls.exit_code)
        if cls.__module__ == __name__
    ]
    rows.append(("130, 143", Cancelled.__name__, " ".join((Cancelled.__doc__ or "").split())))
    return rows


def together(errors: Sequence[DeployError]) -> DeployError:
    """Combine errors into one of the first error's class, with all messages and hints. If some are
    SettingsErrors, into a SettingsError with all their problems, since these have to be fixed
    first; its hint then has the other messages. `errors` must not be empty."""
    first, *others = errors
    if not others:
        return first
    wrong = [error for error in errors if isinstance(error, SettingsError)]
    if wrong:
        problems = dict.fromkeys(each for error in wrong for each in error.problems)
        rest = "\n".join(error.message for error in errors if not isinstance(error, SettingsError))
        return SettingsError(*problems, hint=rest)
    message = "\n".join(error.message for error in errors)
    hint = "\n".join(dict.fromkeys(error.hint for error in errors if error.hint))
    return type(first)(message, hint=hint)
