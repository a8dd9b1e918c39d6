"""The base classes of layers: `Layer`, and three of its four kinds (`providers/base.py` has the
fourth)."""

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
    """The settings class of layers without settings."""


class Layer(ABC, Generic[S]):
    """What ci-deploy does with one service in one run: its settings, and its handlers, which are
    methods marked with `on`. Made by `Assembly.context` if the layer takes part in the run.
    Subclass one of the kinds, not this class."""

    order: ClassVar[int]  # of the kind: handlers of the same priority run in this order
    kind: ClassVar[str]  # the name of the kind
    name: ClassVar[str]  # unique within the kind
    Settings: ClassVar[type[Any]] = NoSettings
    trigger: ClassVar[str] = ""  # the setting that switches the layer on
    unless: ClassVar[str] = ""  # a setting that chooses another layer with the same trigger
    also: ClassVar[tuple[str, ...]] = ()  # other settings that switch it on as well
    wishes: ClassVar[frozenset[str]] = frozenset()  # settings that are lost if no layer is active
    options: ClassVar[frozenset[str]] = frozenset()  # command-line options that it supports
    # why it is off, if it has no trigger
    absent: ClassVar[str] = (
        "no such app was found in the checkout (APP_DIR), or DEPLOY_APPLICATION excludes it"
    )
    # `module:Class` of the layer if this class only describes it; loaded when it is chosen
    loads: ClassVar[str] = ""

    def __init__(self, ctx: Context, settings: S) -> None:
        self.ctx = ctx
        self.settings = settings

    @property
    def optional(self) -> bool:
        """Whether a failure of this layer is only a warning; here it is not."""
        return False

    @classmethod
    def wanted(cls, source: Source, root: Path) -> bool:  # noqa: ARG003
        """Whether the layer takes part in this run: by default, whether `trigger` or one of `also`
        is set, and `unless` is not. `source` has the values of settings; `root` is the app's
        directory in the checkout."""
        if cls.unless and source.text(cls.unless):
            return False
        return any(map(source.text, (cls.trigger, *cls.also)))

    def problems(self) -> Iterable[Problem]:
        """Yield the problems of the settings beyond their format, which has been checked; called
        before the run connects. May raise DeployError."""
        return ()

    def begin(self) -> None:
        """Begin what takes time, like a connection, without waiting for it; called for each layer
        before a run's first event, and by commands without events. Changes nothing."""

    def check(self) -> None:
        """Check, without a change, what a deploy needs of the layer's service; called by `doctor`,
        but only when the app runs a release. Raises DeployError, which fails `doctor`.
        """

    def preview(self, notice: Notice) -> str:  # noqa: ARG002
        """The text that would be sent for `notice`, for `plan`; empty if the layer sends none."""
        return ""

    def tell_plan(self) -> None:
        """Send the result of `plan`, if a setting asks for that (PLAN_COMMENT); called at the end
        of `plan`, not of other commands."""

    @classmethod
    def declarations(cls) -> tuple[Setting, ...]:
        """The declarations of the settings in `Settings`."""
        return declared(cls.Settings)


class Application(Layer[S]):
    """A layer for what an app needs around a deploy, like migrations. `Framework` in
    applications/framework.py is a subclass for frameworks."""

    order: ClassVar[int] = 1
    kind: ClassVar[str] = "application"


class ThirdParty(Layer[S]):
    """A layer for an external service that is informed of releases, like Sentry. Its errors are
    only warnings, unless a subclass overrides `optional`."""

    order: ClassVar[int] = 2
    kind: ClassVar[str] = "third party"

    @property
    def optional(self) -> bool:
        return True


@settings
class NotifierSettings:
    """The settings that all notifiers have; the settings class of a notifier extends it."""

    strict: bool = setting(
        "NOTIFY_STRICT",
        "Fail the run when a notification cannot be sent (otherwise a warning)",
        default=False,
    )


class Notifier(Layer[S]):
    """A layer that sends notices to people. A subclass implements `send`; `tell`, which is the same
    for all, posts a notice for each event that has one. Errors are warnings, unless NOTIFY_STRICT
    is set."""

    order: ClassVar[int] = 3
    kind: ClassVar[str] = "notifier"

    @property
    def optional(self) -> bool:
        return not getattr(self.settings, "strict", False)

    @abstractmethod
    def send(self, notice: Notice) -> None:
        """Send a notice and wait until it is delivered; called in a background thread of the layer,
        one notice after the other. Raises DeployError."""

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
        """Send the notice about this event, in the background.

        `SendQueue.close` returns errors at the end of the run. Sends nothing when planning."""
        if not self.ctx.planning:
            message = notice(self.ctx, self.ctx.event)
            self.ctx.send_queue.post(self, lambda: self.send(message))
