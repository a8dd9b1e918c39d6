"""The comment on a pull or merge request: one, ours, edited in place, our lines only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy import ci
from ci_deploy.errors import DeployFailed
from ci_deploy.layers.notifiers.pull_requests import (
    NO_CHANGE,
    PullRequests,
    PullRequestSettings,
)
from ci_deploy.net.http import Http
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.run.notifications import BAD, GOOD, NEUTRAL, STARTED, Notice
from standins.forge import GITEA, GITHUB, GITLAB, TOKEN, ForgeStandIn, forge

CHANGE = "aaaaaaa → bbbbbbb"
COMPARE = "https://github.example.com/acme/web/compare/aaa...bbb"
DONE = Notice(
    mood=GOOD,
    title="web-feature-x: deployed bbbbbbb",
    fields=(
        ("Revision", f"{CHANGE} Say hello"),
        ("Live now", "web-feature-x runs bbbbbbb"),
        ("URL", "https://web-feature-x.example.com"),
        ("Duration", "42 s"),
    ),
    url="https://github.example.com/acme/web/actions/runs/7",
    compare_url=COMPARE,
    change=CHANGE,
)
BEGUN = DONE._replace(
    mood=STARTED,
    title="web-feature-x: deploying bbbbbbb",
    fields=DONE.fields[:1],
    facts={"previous_revision": "a" * 40, "url": "https://web-feature-x.example.com"},
)
MARK = "<!-- ci-deploy: web-feature-x -->"
Comment = Callable[..., PullRequests]


@pytest.fixture(params=[GITHUB, GITLAB, GITEA])
def server(request: pytest.FixtureRequest) -> Iterator[ForgeStandIn]:
    with forge(request.param) as state:
        yield state
        assert state.wrong == []


@pytest.fixture
def github() -> Iterator[ForgeStandIn]:
    with forge(GITHUB) as state:
        yield state
        assert state.wrong == []


@pytest.fixture
def comment(tmp_path: Path) -> Comment:
    """Makes the layer of a job."""

    def make(server: ForgeStandIn, app: str = "web-feature-x", number: str = "5") -> PullRequests:
        event = {"pull_request": {"number": int(number)}} if number else {}
        (tmp_path / "event.json").write_text(json.dumps(event))
        environ = {**server.environ(number), "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
        platform, cancellation, redactor = ci.detect(environ), Cancellation(), Redactor()
        change_log = ChangeLog(lambda _what: None, check=cancellation.check)
        redactor.add("s3cret_of_the_app")
        ctx: Any = SimpleNamespace(
            ci=platform,
            facts=platform.context,
            app=app,
            planning=False,
            redactor=redactor,
            http=Http(change_log=change_log, cancellation=cancellation, environ={}, ca=""),
            cancellation=SimpleNamespace(sleep=lambda _seconds: None),
            send_queue=SimpleNamespace(note=lambda _error: None),
        )
        return PullRequests(ctx, PullRequestSettings(token=f"{TOKEN}\n"))

    return make


# --- one comment ---


def test_one_comment_is_made_and_then_edited_in_place(
    server: ForgeStandIn, comment: Comment
) -> None:
    layer = comment(server)
    layer.send(BEGUN)
    assert "⏳ web-feature-x: deploying bbbbbbb" in server.bodies[0]
    layer.send(DONE)
    [body] = server.bodies
    assert body.startswith(f"{MARK}\n### ✅ web-feature-x: deployed bbbbbbb\n")
    assert "| URL | https://web-feature-x.example.com |" in body
    assert f"| Revision | [{CHANGE}]({COMPARE}) Say hello |" in body
    assert re.search(r"\| Time \| \d{4}-\d\d-\d\d \d\d:\d\d UTC \|", body)
    assert f"[Log of the job]({DONE.url})" in body


def test_the_next_jobs_find_it_on_a_later_page(server: ForgeStandIn, comment: Comment) -> None:
    """Of 30 on the first page the 31st is not one; so they pile up elsewhere."""
    for number in range(120):
        server.add(f"{number}")
    comment(server).send(DONE)
    for number in range(120):
        server.add(f"{number}")
    comment(server).send(BEGUN)
    comment(server).send(DONE._replace(mood=NEUTRAL, title="web-feature-x: destroyed"))
    mine = [body for body in server.bodies if MARK in body]
    assert len(mine) == 1
    assert "ℹ️ web-feature-x: destroyed" in mine[0]
    assert len(server.comments) == 241


@pytest.mark.parametrize("personal", [False, True])
def test_a_comment_of_somebody_else_with_our_mark_is_left_alone(
    server: ForgeStandIn, comment: Comment, personal: bool
) -> None:
    """Who may comment can write the mark, and would be shown as the author of our words."""
    server.personal = personal
    server.add(f"{MARK}\nI was here first", "mallory")
    server.add(f"> {MARK}\nquoted", server.me)
    comment(server).send(DONE)
    comment(server).send(DONE)
    assert server.bodies[:2] == [f"{MARK}\nI was here first", f"> {MARK}\nquoted"]
    assert len(server.comments) == 3


def test_each_app_has_a_comment_of_its_own(server: ForgeStandIn, comment: Comment) -> None:
    for app in ("web", "web--x", "web", "web--x", "web-x"):
        comment(server, app).send(DONE)
    marks = [body.splitlines()[0] for body in server.bodies]
    assert marks == [f"<!-- ci-deploy: {name} -->" for name in ("web", "web-%2Dx", "web-x")]


def test_a_lost_answer_makes_no_second_comment(server: ForgeStandIn, comment: Comment) -> None:
    server.lose = 1
    comment(server).send(DONE)
    assert len(server.comments) == 1


def test_a_comment_that_somebody_removes_is_made_again(
    server: ForgeStandIn, comment: Comment
) -> None:
    layer = comment(server)
    layer.send(BEGUN)
    server.comments.clear()
    layer.send(DONE)
    assert len(server.comments) == 1
    assert "✅" in server.bodies[0]


# --- what may go wrong ---


@pytest.mark.parametrize("rights", ["read", ""])
def test_a_token_that_may_not_write_is_told_once_with_what_it_needs(
    server: ForgeStandIn, comment: Comment, rights: str
) -> None:
    server.rights = rights
    layer = comment(server)
    with pytest.raises(DeployFailed) as caught:
        layer.send(BEGUN)
    told = str(caught.value)
    assert told.startswith("the comment cannot be written: ")
    assert ("answers 403" if rights else "answers 401") in told
    needed = {GITHUB: "pull-requests: write", GITLAB: "scope `api`", GITEA: "`write:issue`"}
    assert needed[server.kind] in told
    assert TOKEN not in told
    layer.send(DONE)  # and that is all
    assert len(server.calls) <= 2


@pytest.mark.parametrize("number", ["", "5/../../../x"])
def test_without_a_number_nothing_is_asked(
    github: ForgeStandIn, comment: Comment, number: str
) -> None:
    layer = comment(github, number="")
    object.__setattr__(layer.ctx, "facts", layer.ctx.facts._replace(discussion=number))
    layer.send(DONE)
    assert github.calls == []
    assert layer.preview(DONE) == NO_CHANGE


# --- nothing that is written elsewhere can do anything here ---

HOSTILE = (
    "x`$(id)` --> <script>|[a](http://evil) ![b](c) *d* _e_ @all @here <!-- #1 !2 %3 ~4 "
    "&#64;jane &commat;jane ```"
)
LINES = (
    "```",
    "/close",
    "````",
    "/approve",
    "</details> -->",
    "@all",
    "`````",
    "/merge",
    "s3cret_of_the_app",
)


def test_foreign_text_makes_no_markup_mention_order_or_end(
    server: ForgeStandIn, comment: Comment
) -> None:
    evil = DONE._replace(
        mood=BAD,
        title=f"web (review/{HOSTILE}): deploy failed",
        fields=(
            ("Revision", f"{CHANGE} {HOSTILE}"),
            ("Ref", f"{HOSTILE} s3cret_of_the_app"),
            ("Reason", f"first\n/close\n| x |\n{HOSTILE}"),
            ("URL", "https://evil.example.com/) /close [x](y"),
        ),
        lines=LINES,
    )
    comment(server).send(evil)
    [body] = server.bodies
    outside, fence, *_ = re.split(r"^(`{3,})$", body, maxsplit=1, flags=re.M)
    for line in body.splitlines():
        assert line == "" or line[0] in "<#|`┃["
    assert outside.count("-->") == 1
    assert len(re.findall(rf"^{fence}", body, re.M)) == 2
    assert all(len(run) < len(fence) for run in re.findall(r"┃.*?(`+)", body))
    foreign = outside.split("\n", 2)[2].replace(f"[{CHANGE}]({COMPARE})", "")
    assert not re.search(r"[@#!%~&](?=[\w#])", foreign)  # what is no mention has a joiner
    assert not re.search(r"[*_`\[\]<>~$]", re.sub(r"\\[^a-z\s]", "", foreign))
    assert "s3cret_of_the_app" not in body.replace("\\", "")
    rows = [line for line in outside.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)


def test_it_is_never_longer_than_the_platforms_take(github: ForgeStandIn, comment: Comment) -> None:
    huge = DONE._replace(
        title="*" * 100_000,
        fields=tuple((f"Field {number}", "@a*" * 50_000) for number in range(12)),
        lines=("*" * 100_000,) * 10,
    )
    comment(github).send(huge)
    assert len(github.bodies[0]) < 65_536


def test_while_it_is_built_it_says_what_is_live(github: ForgeStandIn, comment: Comment) -> None:
    layer = comment(github)
    row = "| Live meanwhile | `aaaaaaa` https://web-feature-x.example.com |"
    assert row in layer.preview(BEGUN)
    assert "Live meanwhile" not in layer.preview(BEGUN._replace(facts={}))
