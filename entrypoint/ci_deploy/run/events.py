"""Events, and the manager that calls the layers' handlers in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from ci_deploy.errors import Cancelled, SkipDeploy

Method = TypeVar("Method", bound=Callable[..., None])


class Event(StrEnum):
    """The points of a run at which layers act. FLOWS has the events of each command, in order."""

    CONFIGURE = "configure"
    PROVISION = "provision"
    PRE_DEPLOY = "pre_deploy"
    DEPLOY = "deploy"
    POST_DEPLOY = "post_deploy"
    DEPLOY_SUCCEEDED = "deploy_succeeded"
    DEPLOY_SKIPPED = "deploy_skipped"
    DEPLOY_FAILED = "deploy_failed"
    ROLLBACK = "rollback"
    ROLLBACK_SUCCEEDED = "rollback_succeeded"
    ROLLBACK_FAILED = "rollback_failed"
    DESTROY = "destroy"
    DESTROY_SUCCEEDED = "destroy_succeeded"
    DESTROY_FAILED = "destroy_failed"
    PROMOTE = "promote"


# command → its ordinary events, and the outcome events: succeeded, skipped, failed
DEPLOY = (Event.CONFIGURE, Event.PROVISION, Event.PRE_DEPLOY, Event.DEPLOY, Event.POST_DEPLOY)
DEPLOYED = (Event.DEPLOY_SUCCEEDED, Event.DEPLOY_SKIPPED, Event.DEPLOY_FAILED)
ROLLED_BACK = (Event.ROLLBACK_SUCCEEDED, Event.ROLLBACK_SUCCEEDED, Event.ROLLBACK_FAILED)
DESTROYED = (Event.DESTROY_SUCCEEDED, Event.DESTROY_SUCCEEDED, Event.DESTROY_FAILED)
FLOWS: dict[str, tuple[tuple[Event, ...], tuple[Event, Event, Event]]] = {
    "deploy": (DEPLOY, DEPLOYED),
    "review": (DEPLOY, DEPLOYED),
    "rollback": ((Event.CONFIGURE, Event.ROLLBACK), ROLLED_BACK),
    "destroy": ((Event.CONFIGURE, Event.DESTROY), DESTROYED),
    "promote": ((Event.CONFIGURE, Event.PROMOTE), DEPLOYED),
}
# Commands that deploy the code of a checkout; commands that deploy a release.
BUILDING = frozenset(name for name, (events, _) in FLOWS.items() if events is DEPLOY)
RELEASING = frozenset(name for name, (_, outcomes) in FLOWS.items() if outcomes is DEPLOYED)
# The same with `doctor`, which checks what they would deploy.
CHECKED_BUILDING, CHECKED_RELEASING = BUILDING | {"doctor"}, RELEASING | {"doctor"}
DEFAULT_PRIORITY = 100


def on(event: Event, priority: int = DEFAULT_PRIORITY) -> Callable[[Method], Method]:
    """Decorator: marks a layer's method as a handler of `event`; lower priorities run first. A
    method can be marked for several events."""

    def mark(method: Method) -> Method:
        marks: list[tuple[Event, int]] = method.__dict__.setdefault("handles", [])
        marks.append((event, priority))
        return method

    return mark


class Subscriber(Protocol):
    """A layer, as the event manager sees it: besides this, the methods that `on` has marked."""

    @property
    def order(self) -> int:
        """The position of its kind (providers first), for handlers of the same priority."""

    @property
    def name(self) -> str:
        """Its name, unique within its kind."""

    @property
    def optional(self) -> bool:
        """Whether a failure of this layer is only a warning."""


class Handler(NamedTuple):
    """A layer's method as the handler of one event; calling the handler calls the method."""

    event: Event
    priority: int
    layer: Subscriber
    method: str  # its name

    def __call__(self) -> None:
        getattr(self.layer, self.method)()


def _marked(layer: Subscriber) -> Iterable[Handler]:
    """The layer's handlers in definition order, base classes first."""
    names = dict.fromkeys(name for cls in reversed(type(layer).__mro__) for name in vars(cls))
    for name in names:
        for event, priority in getattr(getattr(type(layer), name), "handles", ()):
            yield Handler(event, priority, layer, name)


class EventManager:
    """Calls the handlers of events, in the order of priority, layer kind, layer name and
    definition. `warn` is called with the errors of optional layers, which never fail a run.

    `current`: the handler that `emit` is running, or by whose error it has ended; else None. Those
    that `emit_all` calls do not change it.
    """

    def __init__(
        self,
        layers: Iterable[Subscriber],
        *,
        warn: Callable[[Handler, Exception], None],
    ) -> None:
        by_kind = sorted(layers, key=lambda layer: (layer.order, layer.name))
        self._handlers = [handler for layer in by_kind for handler in _marked(layer)]
        self._handlers.sort(key=lambda handler: handler.priority)
        self._warn = warn
        self.current: Handler | None = None

    def handlers(self, event: Event) -> list[Handler]:
        """The handlers of one event, in the order in which they run."""
        return [handler for handler in self._handlers if handler.event is event]

    def emit(self, event: Event) -> None:
        """Run an ordinary event. The first error of a layer that is not optional, and Cancelled and
        SkipDeploy of any layer, ends it and is raised."""
        for handler in self.handlers(event):
            self.current = handler
            try:
                handler()
            except (Cancelled, SkipDeploy):
                raise
            except Exception as error:
                if not handler.layer.optional:
                    raise
                self._warn(handler, error)
        self.current = None

    def emit_all(
        self, event: Event, before: Callable[[], None] = lambda: None
    ) -> list[tuple[Handler, Exception]]:
        """Run an outcome event: every handler runs, whatever fails; `before` is called before each.
        Returns (handler, its error) for each that failed, without those of optional layers."""
        errors: list[tuple[Handler, Exception]] = []
        for handler in self.handlers(event):
            before()
            try:
                handler()
            except Exception as error:  # noqa: BLE001 - one layer's bug must not silence the others
                if handler.layer.optional:
                    self._warn(handler, error)
                else:
                    errors.append((handler, error))
        return errors
