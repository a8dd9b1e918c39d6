"""Layers handle the events. A layer is one class; three of the four kinds are here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ci_deploy.errors import Problem
from ci_deploy.layers.priorities import Before, Outcome
from ci_deploy.run.events import Event, on
from ci_deploy.run.notifications import Notice, notice
from ci_deploy.settings import Setting, declared, setting, settings
from ci_deploy.settings.sources import Source

if TYPE_CHECKING:
    from ci_deploy.run.context import Context

S = TypeVar("S")


@settings
class NoSettings:
    """For layers without settings."""


class Layer(ABC, Generic[S]):
    """Handlers and settings of one service. Subclass one of the kinds.

    `trigger` names the setting that switches the layer on.
    """

    order: ClassVar[int]
    kind: ClassVar[str]
    name: ClassVar[str]
    Settings: ClassVar[type[Any]] = NoSettings
    trigger: ClassVar[str] = ""
    unless: ClassVar[str] = ""  # a setting that chooses another layer with the same trigger
    also: ClassVar[tuple[str, ...]] = ()  # other settings that switch it on as well
    wishes: ClassVar[frozenset[str]] = frozenset()  # settings that are lost if no layer is active
    options: ClassVar[frozenset[str]] = frozenset()  # command-line options that it supports
    # why it is off, if it has no trigger
    absent: ClassVar[str] = (
        "no app of this kind was found in the checkout (check DEPLOY_APPLICATION and APP_DIR)"
    )
    # `module:Class` of the layer if this class only describes it; loaded when it is chosen
    loads: ClassVar[str] = ""

    def __init__(self, ctx: Context, settings: S) -> None:
        self.ctx = ctx
        self.settings = settings

    @property
    def optional(self) -> bool:
        """Whether a failure of this layer is only a warning."""
        return False

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:  # noqa: ARG003
        """Whether the layer takes part in this run. `root` is the app's directory."""
        if cls.unless and source.text(cls.unless):
            return False
        return any(map(source.text, (cls.trigger, *cls.also)))

    def problems(self) -> Iterable[Problem]:
        """Problems of the settings beyond their format; called before anything is changed."""
        return ()

    def begin(self) -> None:
        """Called at the start of the run: begin what takes time (connections), without waiting."""

    def check(self) -> None:
        """Check what a deploy needs; called by `doctor` when the app runs a release.

        Raises DeployError.
        """

    def preview(self, notice: Notice) -> str:  # noqa: ARG002
        """The notice as it would be sent, for `plan`; empty for none."""
        return ""

    def tell_plan(self) -> None:
        """Called at the end of `plan`: send its result, if the user has asked for that."""

    @classmethod
    def declarations(cls) -> tuple[Setting, ...]:
        """The settings that the layer declares."""
        return declared(cls.Settings)


class Application(Layer[S]):
    """The app itself: what has to be done around a deploy. Frameworks:
    applications/framework.py."""

    order: ClassVar[int] = 1
    kind: ClassVar[str] = "application"


class ThirdParty(Layer[S]):
    """An external service that is informed of releases. Its failure is a warning."""

    order: ClassVar[int] = 2
    kind: ClassVar[str] = "third party"

    @property
    def optional(self) -> bool:
        return True


@settings
class NotifierSettings:
    """Settings of all notifiers."""

    strict: bool = setting(
        "NOTIFY_STRICT",
        "Fail the run when a notification cannot be sent (otherwise a warning)",
        default=False,
    )


class Notifier(Layer[S]):
    """Sends notices to people. A subclass implements `send`; when to send what is the same for
    all."""

    order: ClassVar[int] = 3
    kind: ClassVar[str] = "notifier"

    @property
    def optional(self) -> bool:
        return not getattr(self.settings, "strict", False)

    @abstractmethod
    def send(self, notice: Notice) -> None:
        """Send a notice; called in a background thread. Raises DeployError."""

    def preview(self, notice: Notice) -> str:
        return notice.text()

    # Early in an outcome event: the notice is sent while other handlers clean up.
    @on(Event.PRE_DEPLOY, Before.TELL)
    @on(Event.ROLLBACK, Before.TELL)
    @on(Event.PROMOTE, Before.TELL)
    @on(Event.DEPLOY_SUCCEEDED, Outcome.TELL)
    @on(Event.DEPLOY_SKIPPED, Outcome.TELL)
    @on(Event.DEPLOY_FAILED, Outcome.TELL)
    @on(Event.ROLLBACK_SUCCEEDED, Outcome.TELL)
    @on(Event.ROLLBACK_FAILED, Outcome.TELL)
    @on(Event.DESTROY_SUCCEEDED, Outcome.TELL)
    @on(Event.DESTROY_FAILED, Outcome.TELL)
    def tell(self) -> None:
        """Send the notice about this event, in the background."""
        if not self.ctx.planning:
            message = notice(self.ctx, self.ctx.event)
            self.ctx.send_queue.post(self, lambda: self.send(message))
