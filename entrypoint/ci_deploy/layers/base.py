"""Layers: what handles the events. Four kinds; a layer is one class in one file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ci_deploy.errors import Problem
from ci_deploy.events import Event, on
from ci_deploy.notices import Notice, notice
from ci_deploy.settings import Setting, declared, setting, settings
from ci_deploy.source import Source

if TYPE_CHECKING:
    from ci_deploy.context import Context

S = TypeVar("S")


@settings
class NoSettings:
    """For layers that need none."""


class Layer(Generic[S]):
    """Handlers and settings of one service. Subclass one of the four kinds below.

    `trigger` names the setting that switches the layer on.
    """

    order: ClassVar[int]
    kind: ClassVar[str]
    name: ClassVar[str]
    Settings: ClassVar[type[Any]] = NoSettings
    trigger: ClassVar[str] = ""

    def __init__(self, ctx: Context, wanted: S) -> None:
        self.ctx = ctx
        self.settings = wanted

    @property
    def optional(self) -> bool:
        """Whether its failure is only a warning."""
        return False

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:  # noqa: ARG003
        """Whether the layer takes part in this run. `root` is the app's directory."""
        return bool(source.text(cls.trigger))

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the settings beyond their form; asked before anything is touched."""
        return ()

    def begin(self) -> None:
        """The run starts: begin what takes time (connections), without waiting for it."""

    @classmethod
    def declarations(cls) -> tuple[Setting, ...]:
        """The settings it declares."""
        return declared(cls.Settings)


class ProcessAction(StrEnum):
    """What can be done to a process of the app."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SCALE = "scale"


@dataclass(frozen=True)
class Live:
    """What the provider says is running now."""

    revision: str = ""  # full SHA; empty when nothing was ever deployed or it is not known
    up: bool = False  # all its processes run
    release: str = ""
    url: str = ""
    detail: str = ""  # more in words, like "1 of 2 processes up (down: web 2)"
    busy: bool = False  # a deploy is going on there


@dataclass(frozen=True)
class Ran:
    """How a one-off command ended: its true exit code, and its last lines."""

    exit_code: int
    lines: tuple[str, ...] = ()
    planned: bool = False


class Provider(Layer[S]):
    """The platform that runs the app; exactly one is active.

    Other layers talk to it through `run` and `process` only.
    """

    order: ClassVar[int] = 0
    kind: ClassVar[str] = "provider"
    migrates_before_traffic: ClassVar[bool] = False

    @abstractmethod
    def connect(self) -> None:
        """Wait for the connection that `begin` has started and check that we are let in.

        Raises Unreachable, Unauthorized, and SettingsError when the app does not exist.
        """

    def inspect(self) -> Mapping[str, str]:
        """What `doctor` shows beside what is live: fact → value."""
        return {}

    @abstractmethod
    def live(self) -> Live:
        """Ask what runs now; short, since it is also asked when a run has failed or is cancelled.

        Raises Unreachable and other DeployErrors.
        """

    @abstractmethod
    def run(
        self,
        command: Sequence[str],
        *,
        what: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = float("inf"),
    ) -> Ran:
        """Run a one-off command in the app's environment, its output in the log.

        `what` is the change in words. A non-zero exit code is returned, not raised. Raises
        OutcomeUnknown when the connection is lost.
        """

    @abstractmethod
    def process(self, name: str, action: ProcessAction, count: int | None = None) -> None:
        """Start, stop, restart or scale one process of the app. Raises CommandFailed."""

    def processes(self) -> Mapping[str, int]:
        """The app's processes and how many of each are wanted; empty when it cannot be known."""
        return {}

    def release_tasks(self) -> Mapping[str, str]:
        """What the platform runs by itself at a deploy: where it is written → the command."""
        return {}

    # Notes survive the run on the provider's side: what the next run has to finish.

    def note(self, text: str) -> None:
        """Leave a note on the app for the next run; an empty text removes it."""

    def noted(self) -> str:
        """The note that an earlier run has left."""
        return ""

    @property
    def rollback_command(self) -> str:
        """How a person goes back to the previous release."""
        return "ci-deploy rollback"

    @property
    def check_command(self) -> str:
        """How a person sees what is live."""
        return "ci-deploy doctor"


@settings
class ApplicationSettings:
    """Which framework the app is written with."""

    application: str = setting(
        "DEPLOY_APPLICATION",
        "The framework of the app",
        default="auto",
        default_help="looked for in the checkout",
        choices=("auto", "rails", "django", "none"),
    )
    migrate: bool = setting(
        "AUTO_MIGRATE_ON_DEPLOY", "Run the database migrations at a deploy", default=False
    )


class Application(Layer[S]):
    """The app itself: what has to happen around a deploy.

    A layer with a trigger is switched on by it; one without is a framework, which is named by
    DEPLOY_APPLICATION or detected.
    """

    order: ClassVar[int] = 1
    kind: ClassVar[str] = "application"

    @classmethod
    def detected(cls, root: Path) -> bool:  # noqa: ARG003
        """Whether the directory holds an app of this framework."""
        return False

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:
        if cls.trigger:
            return super().wanted(source, root)
        named = source.text("DEPLOY_APPLICATION") or "auto"
        return cls.detected(root) if named == "auto" else named == cls.name


class ThirdParty(Layer[S]):
    """An outside service that is told about a release. Its failure is a warning."""

    order: ClassVar[int] = 2
    kind: ClassVar[str] = "third party"

    @property
    def optional(self) -> bool:
        return True


@settings
class NotifierSettings:
    """Settings of all notifiers."""

    strict: bool = setting(
        "NOTIFY_STRICT", "A notice that cannot be sent fails the run", default=False
    )


class Notifier(Layer[S]):
    """Tells people. A subclass says how a notice is sent; when and what is the same for all."""

    order: ClassVar[int] = 3
    kind: ClassVar[str] = "notifier"

    @property
    def optional(self) -> bool:
        return not getattr(self.settings, "strict", False)

    @abstractmethod
    def send(self, notice: Notice) -> None:
        """Send it, in a thread of its own. Raises DeployError."""

    # Early among the handlers of an outcome: the message is on its way while others tidy up.
    @on(Event.PRE_DEPLOY, priority=50)
    @on(Event.ROLLBACK, priority=50)
    @on(Event.PROMOTE, priority=50)
    @on(Event.DEPLOY_SUCCEEDED, priority=50)
    @on(Event.DEPLOY_SKIPPED, priority=50)
    @on(Event.DEPLOY_FAILED, priority=50)
    @on(Event.ROLLBACK_SUCCEEDED, priority=50)
    @on(Event.ROLLBACK_FAILED, priority=50)
    @on(Event.DESTROY_SUCCEEDED, priority=50)
    @on(Event.DESTROY_FAILED, priority=50)
    def tell(self) -> None:
        """Tell what has just happened, in the background."""
        if not self.ctx.planning:
            message = notice(self.ctx, self.ctx.event)
            self.ctx.outbox.post(self, lambda: self.send(message))
