"""What people are told, and sending that never holds up a deploy."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from signal import SIGTERM
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Unreachable
from ci_deploy.layers.base import Notifier
from ci_deploy.net.http import HttpError, Response
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.report.outputs import Report
from ci_deploy.run.events import Event
from ci_deploy.run.notifications import BAD, GOOD, NEUTRAL, STARTED, WARN, Notice, defuse
from ci_deploy.run.notifications import notice as make_notice
from ci_deploy.run.send_queue import SendQueue
from ci_deploy.run.sending import deliver
from ci_deploy.state import Live

JOINER = "\u2060"
OLD, NEW = "a" * 40, "b" * 40


class Told(Notifier[Any]):
    """A notifier by name only."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def send(self, notice: Notice) -> None:
        """Never called."""


# --- the queue ---


def test_messages_of_a_layer_go_in_order() -> None:
    send_queue, layer = SendQueue(), Told("a")
    sent: list[int] = []
    for number in range(20):
        send_queue.post(layer, functools.partial(sent.append, number))
    assert send_queue.close(5) == []
    assert sent == list(range(20))


def test_layers_do_not_wait_for_each_other() -> None:
    send_queue = SendQueue()
    both = threading.Barrier(2, timeout=5)

    def meet() -> None:
        both.wait()

    for name in ("a", "b"):
        send_queue.post(Told(name), meet)
    assert send_queue.close(5) == []


def test_errors_come_back_with_their_layer_and_do_not_stop_the_next_message() -> None:
    send_queue, layer = SendQueue(), Told("a")
    sent: list[str] = []
    error = Unreachable("no")

    def fail() -> None:
        raise error

    send_queue.post(layer, fail)
    send_queue.post(layer, lambda: sent.append("next"))
    assert send_queue.close(5) == [(layer, error)]
    assert sent == ["next"]


def test_senders_that_hang_cost_no_more_than_the_deadline_for_all_together() -> None:
    send_queue, ended = SendQueue(), threading.Event()
    layers = [Told(f"{number:02}") for number in range(30)]

    def hang() -> None:
        ended.wait(30)

    for layer in layers:
        send_queue.post(layer, hang)
    started = time.monotonic()
    errors = send_queue.close(0.3)
    assert time.monotonic() - started < 5
    ended.set()
    assert [layer for layer, _ in errors] == layers
    assert all(isinstance(error, TimeoutError) for _, error in errors)


def test_cancel_while_closing_leaves_less_time_and_what_is_on_its_way_arrives() -> None:
    send_queue, ended, cancellation = SendQueue(), threading.Event(), Cancellation()
    slow, stuck = Told("slow"), Told("stuck")
    arrived: list[bool] = []

    def take_a_while() -> None:
        cancellation.sleep(0.4)  # a cancel wakes it up, and it goes on
        cancellation.check()
        arrived.append(True)

    def hang() -> None:
        ended.wait(30)

    send_queue.post(slow, take_a_while)
    send_queue.post(stuck, hang)
    cancellation.finish(4.0)
    threading.Timer(0.2, cancellation.cancel, [SIGTERM]).start()
    started = time.monotonic()
    [(layer, error)] = send_queue.close(30, cancellation.left)
    assert time.monotonic() - started < 10
    ended.set()
    assert layer is stuck
    assert isinstance(error, TimeoutError)
    assert arrived == [True]


def test_closing_at_once_is_no_crash_in_a_thread() -> None:
    """pytest turns an exception in a thread into an error of the test."""
    for _ in range(50):
        send_queue = SendQueue()
        send_queue.post(Told("a"), lambda: None)
        send_queue.close(0)
    time.sleep(0.05)


def test_nothing_posted_is_closed_at_once() -> None:
    assert SendQueue().close(30) == []


# --- the words ---


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("@here fix", f"@{JOINER}here fix"),
        ("<!channel> <!here>", f"<!{JOINER}channel> <!{JOINER}here>"),
        ("<@U123>", f"<@{JOINER}U123>"),
        ("a@b.example.com", f"a@{JOINER}b.example.com"),
        ("100 % safe! @ noon", "100 % safe! @ noon"),
        ("", ""),
    ],
)
def test_mentions_are_defused(text: str, safe: str) -> None:
    assert defuse(text) == safe


def context(status: str = "succeeded", **report: object) -> Any:
    """What a notice is made of."""
    made = Report(command="deploy", status=status)
    for name, value in {"live": "web runs bbbbbbb", **report}.items():
        setattr(made, name, value)
    return SimpleNamespace(
        report=made,
        facts=CIContext(
            ref="feature/@here",
            actor="@jane",
            job_url="https://ci/7",
            project_url="https://git.example.com/acme/web",
        ),
        app="web",
        environment="staging",
        revision=NEW,
        title="Fix @all",
        before=Live(revision=OLD),
        url="https://web.example.com",
        started=time.monotonic() - 5,
    )


@pytest.mark.parametrize(
    ("event", "status", "mood", "title"),
    [
        (Event.PRE_DEPLOY, "failed", STARTED, "web (staging): deploying bbbbbbb"),
        (Event.DEPLOY_SUCCEEDED, "succeeded", GOOD, "web (staging): deployed bbbbbbb"),
        (
            Event.DEPLOY_SKIPPED,
            "skipped",
            NEUTRAL,
            "web (staging): nothing to deploy: bbbbbbb",
        ),
        (Event.DEPLOY_FAILED, "failed", BAD, "web (staging): deploy failed: bbbbbbb"),
        (Event.DEPLOY_FAILED, "live-but-failed", WARN, "web (staging): live but failed: bbbbbbb"),
        (Event.DEPLOY_FAILED, "cancelled", WARN, "web (staging): cancelled: bbbbbbb"),
        (
            Event.DEPLOY_FAILED,
            "rolled-back",
            WARN,
            "web (staging): failed and was rolled back: bbbbbbb",
        ),
    ],
)
def test_each_event_has_its_mood_and_words(
    event: Event, status: str, mood: str, title: str
) -> None:
    found = make_notice(context(status), event)
    assert (found.mood, found.title) == (mood, title)
    assert found.url == "https://ci/7"
    assert found.compare_url == f"https://git.example.com/acme/web/compare/{OLD}...{NEW}"


def test_outcome_says_what_is_live_and_from_what_to_what() -> None:
    fields = dict(make_notice(context(), Event.DEPLOY_SUCCEEDED).fields)
    assert fields["Revision"] == f"aaaaaaa → bbbbbbb Fix @{JOINER}all"
    assert fields["Live now"] == "web runs bbbbbbb"
    assert fields["URL"] == "https://web.example.com"
    assert fields["Duration"] == "5 s"


def test_start_does_not_speak_of_the_end() -> None:
    fields = dict(make_notice(context(), Event.PRE_DEPLOY).fields)
    assert fields.keys() == {"Revision", "Ref", "By"}


@pytest.mark.parametrize("event", [Event.DESTROY_SUCCEEDED, Event.DESTROY_FAILED])
def test_a_removed_app_has_no_revision_and_no_address(event: Event) -> None:
    """The job that removes it may run on any commit. (faults G4)"""
    found = make_notice(context(live="web is removed"), event)
    assert NEW[:7] not in found.text()
    assert found.compare_url == ""
    assert ("URL" in dict(found.fields)) is (event is Event.DESTROY_FAILED)
    assert dict(found.fields)["Live now"] == "web is removed"


def test_failure_says_where_why_and_what_next_with_the_last_ten_lines() -> None:
    ctx = context("failed", failed_event="deploy", failed_layer="dokku", message="boom", hint="fix")
    ctx.report.lines = tuple(f"line {number}" for number in range(15))
    found = make_notice(ctx, Event.DEPLOY_FAILED)
    fields = dict(found.fields)
    assert (fields["Failed at"], fields["Reason"], fields["Next"]) == (
        "deploy dokku",
        "boom",
        "fix",
    )
    assert found.lines == tuple(f"line {number}" for number in range(5, 15))


def test_no_text_from_outside_can_mention_anybody() -> None:
    message = {"message": "@all", "hint": "<!channel>", "lines": ("@here x",)}
    found = make_notice(context("failed", **message), Event.DEPLOY_FAILED)
    text = found.text()
    for word in ("@all", "@here", "@jane", "!channel"):
        assert word not in text
        assert word[0] + JOINER + word[1:] in text


def test_unknown_facts_are_left_out() -> None:
    ctx = context()
    ctx.facts, ctx.before, ctx.url, ctx.environment, ctx.title = CIContext(), None, "", "", ""
    found = make_notice(ctx, Event.DEPLOY_SUCCEEDED)
    assert found.title == "web: deployed bbbbbbb"
    assert dict(found.fields).keys() == {"Revision", "Live now", "Duration"}
    assert dict(found.fields)["Revision"] == "nothing → bbbbbbb"
    assert found.compare_url == ""


# --- delivering ---


class Hook:
    """Answers one after the other; notes the waits."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []
        self.slept: list[float] = []
        self.ctx: Any = SimpleNamespace(
            http=SimpleNamespace(tell=self.tell),
            cancellation=SimpleNamespace(sleep=self.slept.append),
            send_queue=SimpleNamespace(note=lambda _error: None),
        )

    def tell(self, method: str, url: str, **options: Any) -> Response:
        self.calls.append({"method": method, "url": url, **options})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def deliver(self) -> Response:
        return deliver(self.ctx, "Chat", "https://chat/hooks/s3cret", json={"text": "x"})


def test_message_is_posted_once_and_is_no_change_of_the_app() -> None:
    hook = Hook(Response(200))
    assert hook.deliver().status == 200
    (call,) = hook.calls
    assert call["method"] == "POST"
    assert call["json"] == {"text": "x"}


@pytest.mark.parametrize(
    "trouble",
    [lambda: Response(503), lambda: Response(429), lambda: Unreachable("no")],
    ids=["503", "429", "unreachable"],
)
def test_trouble_that_may_pass_is_tried_three_times(
    trouble: Callable[[], Response | Exception],
) -> None:
    hook = Hook(trouble(), trouble(), Response(200))
    assert hook.deliver().ok
    assert (len(hook.calls), len(hook.slept)) == (3, 2)
    hook = Hook(trouble(), trouble(), trouble(), Response(200))
    with pytest.raises((Unreachable, HttpError)):
        hook.deliver()
    assert len(hook.calls) == 3


@pytest.mark.parametrize("status", [302, 400, 403, 404])
def test_refusal_is_final_and_told_in_the_servers_words(status: int) -> None:
    hook = Hook(Response(status, b"invalid_payload\nmore"))
    with pytest.raises(HttpError) as caught:
        hook.deliver()
    assert caught.value.message == f"Chat rejects the message: {status} invalid_payload"
    assert len(hook.calls) == 1


def test_waits_are_those_that_the_server_asks_for_up_to_half_a_minute() -> None:
    hook = Hook(
        Response(429, headers={"Retry-After": "7"}),
        Response(429, headers={"Retry-After": "3600"}),
        Response(200),
    )
    hook.deliver()
    assert hook.slept == [7.0, 30.0]


def test_no_error_has_the_hooks_path() -> None:
    for answer in (Response(500), Response(404, b"x" * 500)):
        with pytest.raises(HttpError) as caught:
            Hook(answer, answer, answer).deliver()
        assert "s3cret" not in str(caught.value)
        assert len(str(caught.value)) < 200
