"""Handlers run in one order that everybody can predict, and errors go where they belong."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import Cancelled, DeployFailed, SkipDeploy
from ci_deploy.layers.base import Application, Layer, Notifier, ThirdParty
from ci_deploy.run.events import Event, EventManager, Handler, on


class Noted(Application[Any]):
    """Notes who was called."""

    name = "app"
    raises: dict[str, Exception]

    def __init__(self, calls: list[str] | None = None, **raises: Exception) -> None:
        super().__init__(cast("Any", None), SimpleNamespace(strict=False))
        self.calls = [] if calls is None else calls
        self.raises = raises

    def call(self, method: str) -> None:
        self.calls.append(f"{self.name}.{method}")
        if method in self.raises:
            raise self.raises[method]


def manager(*layers: Layer[Any]) -> tuple[EventManager, list[tuple[Handler, Exception]]]:
    warned: list[tuple[Handler, Exception]] = []
    return EventManager(layers, warn=lambda *what: warned.append(what)), warned


def layer_class(kind: type[Any], name: str) -> Callable[..., Any]:
    """A layer of a kind that handles `deploy` once, with the default priority."""

    class One(Noted):
        order = kind.order
        optional = kind.optional

        @on(Event.DEPLOY)
        @on(Event.DEPLOY_FAILED)
        def act(self) -> None:
            self.call("act")

    One.name = name
    return One


def test_lower_priorities_run_first_whatever_the_layer() -> None:
    calls: list[str] = []

    class Late(Noted):
        name = "a"

        @on(Event.DEPLOY, priority=200)
        def act(self) -> None:
            self.call("act")

    class Early(Noted):
        name = "z"
        order = 3

        @on(Event.DEPLOY, priority=-1)
        def act(self) -> None:
            self.call("act")

    manager(Late(calls), Early(calls))[0].emit(Event.DEPLOY)
    assert calls == ["z.act", "a.act"]


def test_ties_go_by_kind_then_name_in_whatever_order_layers_are_given() -> None:
    calls: list[str] = []
    made = [
        layer_class(Notifier, "a")(calls),
        layer_class(ThirdParty, "b")(calls),
        layer_class(Application, "d")(calls),
        layer_class(Application, "c")(calls),
    ]
    for layers in (made, made[::-1]):
        calls.clear()
        manager(*layers)[0].emit(Event.DEPLOY)
        assert calls == ["c.act", "d.act", "b.act", "a.act"]


def test_ties_within_a_layer_go_by_definition_base_classes_first() -> None:
    class Base(Noted):
        @on(Event.DEPLOY)
        def zebra(self) -> None:
            self.call("zebra")

    class Derived(Base):
        @on(Event.DEPLOY)
        def second(self) -> None:
            self.call("second")

        @on(Event.DEPLOY)
        def first(self) -> None:
            self.call("first")

    layer = Derived()
    manager(layer)[0].emit(Event.DEPLOY)
    assert layer.calls == ["app.zebra", "app.second", "app.first"]


def test_marks_stack_and_each_keeps_its_priority() -> None:
    class Stacked(Noted):
        @on(Event.PRE_DEPLOY, priority=1)
        @on(Event.POST_DEPLOY, priority=2)
        def act(self) -> None:
            self.call("act")

    layer = Stacked()
    events, _ = manager(layer)
    for event, priority in ((Event.PRE_DEPLOY, 1), (Event.POST_DEPLOY, 2)):
        assert [handler.priority for handler in events.handlers(event)] == [priority]
        events.emit(event)
    assert len(layer.calls) == 2
    assert events.handlers(Event.DEPLOY) == []


def test_override_without_a_mark_is_no_handler() -> None:
    class Base(Noted):
        @on(Event.DEPLOY)
        def act(self) -> None:
            self.call("act")

    class Silent(Base):
        def act(self) -> None:
            """Not any more."""

    assert manager(Silent())[0].handlers(Event.DEPLOY) == []


def test_first_error_stops_an_ordinary_event_and_its_handler_is_known() -> None:
    calls: list[str] = []
    error = DeployFailed("no")
    first = layer_class(Application, "a")(calls, act=error)
    events, warned = manager(first, layer_class(Application, "b")(calls))
    with pytest.raises(DeployFailed) as caught:
        events.emit(Event.DEPLOY)
    assert caught.value is error
    assert calls == ["a.act"]
    assert events.current is not None
    assert events.current.layer is first
    assert warned == []


@pytest.mark.parametrize("error", [DeployFailed("dead chat"), KeyError("a bug")])
def test_errors_of_optional_layers_are_only_warnings(error: Exception) -> None:
    calls: list[str] = []
    events, warned = manager(
        layer_class(ThirdParty, "a")(calls, act=error), layer_class(Notifier, "b")(calls, act=error)
    )
    events.emit(Event.DEPLOY)
    assert calls == ["a.act", "b.act"]
    assert [(handler.layer.name, found) for handler, found in warned] == [
        ("a", error),
        ("b", error),
    ]
    assert events.current is None
    assert events.emit_all(Event.DEPLOY_FAILED) == []
    assert len(warned) == 4


def test_strict_notifier_is_not_optional() -> None:
    class Strict(Notifier[Any]):
        name = "strict"

        def send(self, notice: object) -> None:
            """Never called."""

    ctx = cast("Any", None)
    assert not Strict(ctx, SimpleNamespace(strict=True)).optional
    assert Strict(ctx, SimpleNamespace(strict=False)).optional
    assert Strict(ctx, SimpleNamespace()).optional


@pytest.mark.parametrize("error", [Cancelled("now"), SkipDeploy("there already")])
@pytest.mark.parametrize("kind", [Application, ThirdParty])
def test_cancel_and_skip_pass_whoever_raises_them(kind: type[Any], error: Exception) -> None:
    events, warned = manager(layer_class(kind, "a")(act=error))
    with pytest.raises(type(error)):
        events.emit(Event.DEPLOY)
    assert warned == []


def test_emit_all_calls_every_handler_and_returns_the_errors() -> None:
    calls: list[str] = []
    errors: dict[str, Exception] = {"a": DeployFailed("x"), "b": Cancelled("y"), "c": KeyError("z")}
    layers = [layer_class(Application, name)(calls, act=error) for name, error in errors.items()]
    events, warned = manager(*layers, layer_class(Application, "d")(calls))
    found = events.emit_all(Event.DEPLOY_FAILED)
    assert calls == ["a.act", "b.act", "c.act", "d.act"]
    assert {handler.layer.name: error for handler, error in found} == errors
    assert warned == []


def test_events_of_the_contract_are_there() -> None:
    assert [event.value for event in Event][:8] == [
        "configure",
        "provision",
        "pre_deploy",
        "deploy",
        "post_deploy",
        "deploy_succeeded",
        "deploy_skipped",
        "deploy_failed",
    ]
