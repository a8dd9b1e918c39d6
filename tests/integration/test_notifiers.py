"""Notices really sent, to servers that answer well, badly, late or never: no deploy cares."""

from __future__ import annotations

import ast
import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_deploy.layers.notifiers.webhook import signature
from standins.dokku.server import DokkuStandIn
from standins.mail import PASSWORD, USER, Inbox, certificate, mail_server
from standins.support import ROOT, Checkout, Done, run, settings_for
from standins.webhooks import Webhooks, webhooks

ANSWERS = [200, 400, 429, 500, "drop", "flood"]  # and `hang`, in a test of its own: it takes long
HOOKS = {
    "mattermost": "MATTERMOST_WEBHOOK_URL",
    "slack": "SLACK_WEBHOOK_URL",
    "webhook": "NOTIFY_WEBHOOK_URL",
}
MAIL = {"NOTIFY_EMAIL_FROM": "CI <ci@example.com>", "NOTIFY_EMAIL_TO": "a@b.example c@d.example"}


@dataclass
class Team:
    """A deploy that everybody is told of."""

    checkout: Checkout
    env: dict[str, str]
    hooks: dict[str, Webhooks]

    def deploy(self, **more: str) -> Done:
        return run("deploy", cwd=self.checkout.path, env={**self.env, **more})


@pytest.fixture
def team(dokku: DokkuStandIn, checkout: Checkout) -> Iterator[Team]:
    """Three webhooks that answer well."""
    facts = {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(checkout.path),
        "CI_PROJECT_URL": "https://git.example.com/acme/web",
        "CI_JOB_URL": "https://git.example.com/jobs/7",
        "GITLAB_USER_LOGIN": "jane",
        "DEPLOY_ENVIRONMENT": "staging",
    }
    with contextlib.ExitStack() as stack:
        hooks = {name: stack.enter_context(webhooks()) for name in HOOKS}
        urls = {HOOKS[name]: hook.url for name, hook in hooks.items()}
        yield Team(checkout, settings_for(dokku, **facts, **urls), hooks)


@contextlib.contextmanager
def bad_mail_server(how: str) -> Iterator[int]:
    """A port that accepts and then hangs, drops, or talks 10 MB; its number."""
    ended, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=act, args=(connection,), daemon=True).start()

    def act(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if how == "hang":
                ended.wait(60)
            elif how == "flood":
                connection.sendall(b"220-" + b"x" * 10_000_000 + b"\r\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        with socket.create_connection(listener.getsockname()):
            pass
        listener.close()


# --- one look ---


def test_everybody_is_told_of_the_start_and_of_the_end(
    dokku: DokkuStandIn, team: Team, checkout: Checkout
) -> None:
    assert team.deploy().code == 0
    old, new = checkout.head, checkout.commit("Fix @here")
    for hook in team.hooks.values():
        hook.requests.clear()
    with mail_server() as inbox:
        done = team.deploy(NOTIFY_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}", **MAIL)
    assert (done.code, done.report["warnings"]) == (0, []), done.output
    compare = f"https://git.example.com/acme/web/-/compare/{old}...{new}"
    titles = [f"hello (staging): {word} {new[:7]}" for word in ("deploying", "deployed")]

    [first, last] = team.hooks["mattermost"].payloads
    assert [each["attachments"][0]["title"] for each in (first, last)] == titles
    [first, last] = team.hooks["slack"].payloads
    assert [re.sub(r"\*<.*\|(.*)>\*", r"\1", each["text"]) for each in (first, last)] == titles
    [first, last] = team.hooks["webhook"].payloads
    assert [each["status"] for each in (first, last)] == ["started", "succeeded"]
    assert (last["previous_revision"], last["revision"]) == (old, new)
    assert last["compare_url"] == compare
    [mail, answer] = inbox.messages
    assert [each["Subject"] for each in (mail, answer)] == titles
    assert answer["In-Reply-To"] == mail["Message-ID"]
    assert inbox.envelopes == [("ci@example.com", ["a@b.example", "c@d.example"])] * 2

    [*_, mattermost] = team.hooks["mattermost"].payloads
    [*_, slack] = team.hooks["slack"].payloads
    for told in (str(mattermost), str(slack), answer.as_string()):
        flat = re.sub(r"=\n", "", told)
        for part in (f"{old[:7]} ", new[:7], "jane", "Duration", f"{old}...{new}"):
            assert part in flat, part
        assert "@here" not in flat


def test_failure_says_event_layer_reason_and_the_last_lines(
    dokku: DokkuStandIn, team: Team, checkout: Checkout
) -> None:
    checkout.commit("Broken", {"Procfile": "release: sh -c 'echo boom; exit 3'\nworker: sleep 9\n"})
    assert team.deploy().code == 20
    told = str(team.hooks["mattermost"].payloads[-1]) + str(team.hooks["slack"].payloads[-1])
    for part in ("deploy failed", "deploy dokku", "the release task failed", "boom"):
        assert told.count(part) >= 2, part
    facts = team.hooks["webhook"].payloads[-1]
    assert (facts["status"], facts["failed_event"], facts["failed_layer"]) == (
        "failed",
        "deploy",
        "dokku",
    )
    assert any("boom" in line for line in facts["lines"])


def test_plan_shows_each_message_in_its_own_form_and_sends_none(
    dokku: DokkuStandIn, team: Team, checkout: Checkout
) -> None:
    env = {**team.env, "NOTIFY_SMTP_URL": "smtp://127.0.0.1:9", **MAIL}
    done = run("ci-deploy", "plan", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    for name in ("mattermost", "slack", "webhook", "email"):
        assert done.output.count(f"{name} would send:") == 2
    assert "┃ Subject: hello (staging): deploying" in done.output
    assert '┃   "event": "deploy_succeeded",' in done.output
    assert all(hook.requests == [] for hook in team.hooks.values())
    assert "t0pS3cretHookPath" not in done.output


# --- whatever the servers do ---


@pytest.mark.parametrize("answer", ANSWERS)
def test_webhooks_never_decide_and_leave_one_clear_warning_each(
    dokku: DokkuStandIn, team: Team, checkout: Checkout, answer: int | str
) -> None:
    for hook in team.hooks.values():
        hook.answer = answer
    done = team.deploy()
    assert (done.code, done.report["status"]) == (0, "succeeded"), done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert "t0pS3cretHookPath" not in done.output
    warnings = done.report["warnings"]
    if answer in {200, "flood"}:
        assert warnings == []
        assert all(len(hook.requests) == 2 for hook in team.hooks.values())
        return
    assert sorted(warning.partition(":")[0] for warning in warnings) == sorted(HOOKS)
    words = {
        400: "rejects the message: 400",
        429: "answers 429",
        500: "answers 500",
        "drop": "cannot be reached",
    }[answer]
    assert all(words in warning for warning in warnings), warnings


@pytest.mark.long
def test_all_notifiers_together_hold_up_a_deploy_by_fifteen_seconds_at_most(
    dokku: DokkuStandIn, team: Team
) -> None:
    """Takes half a minute: the fifteen seconds are real ones, beside two deploys."""
    usual = team.deploy(REDEPLOY="true").seconds
    for hook in team.hooks.values():
        hook.answer = "hang"
    with bad_mail_server("hang") as port:
        done = team.deploy(REDEPLOY="true", NOTIFY_SMTP_URL=f"smtp://127.0.0.1:{port}", **MAIL)
    assert (done.code, done.report["status"]) == (0, "succeeded")
    names = ("email", "mattermost", "slack", "webhook")
    for name, warning in zip(names, sorted(done.report["warnings"]), strict=True):
        assert warning.startswith(f"{name}: not sent within 15 s")
    assert "t0pS3cretHookPath" not in done.output + done.errors
    assert done.seconds < 15 + max(5.0, 2 * usual)


def test_wait_that_a_server_asks_for_is_kept_and_then_it_works(
    dokku: DokkuStandIn, team: Team
) -> None:
    for hook in team.hooks.values():
        hook.first, hook.headers = [429], {"Retry-After": "2"}
    done = team.deploy()
    assert (done.code, done.report["warnings"]) == (0, [])
    assert all(len(hook.requests) == 3 for hook in team.hooks.values())
    deliveries = [
        headers["X-CI-Deploy-Delivery"] for _, headers, _ in team.hooks["webhook"].requests
    ]
    assert len(set(deliveries)) == 2  # the second try is the same delivery


def test_wait_that_is_too_long_says_why_it_was_not_sent(dokku: DokkuStandIn, team: Team) -> None:
    team.hooks["slack"].answer, team.hooks["slack"].headers = 429, {"Retry-After": "3600"}
    done = team.deploy()
    assert done.code == 0
    assert done.report["warnings"] == ["slack: not sent within 15 s (Slack answers 429)"]


def test_slacks_200_that_means_no_is_told(dokku: DokkuStandIn, team: Team) -> None:
    team.hooks["slack"].body = b'{"ok":false,"error":"channel_not_found"}'
    done = team.deploy()
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert warning == "slack: Slack rejects the message: 200 channel_not_found"


def test_strict_notices_count(dokku: DokkuStandIn, team: Team, checkout: Checkout) -> None:
    team.hooks["slack"].answer = 400
    done = team.deploy(NOTIFY_STRICT="true")
    assert (done.code, done.report["status"]) == (22, "live-but-failed")
    assert dokku.app("hello").running_revision == checkout.head


# --- the webhook's signature ---


def test_documented_check_of_the_signature_accepts_ours_and_no_other(
    dokku: DokkuStandIn, team: Team
) -> None:
    secret = "hush-hush-hush"
    done = team.deploy(NOTIFY_WEBHOOK_SECRET=secret)
    assert done.code == 0
    assert secret not in done.output
    text = (ROOT / "docs/webhook.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.S)
    ast.parse(code)
    names: dict[str, object] = {}
    exec(code, names)
    check = names["is_from_ci_deploy"]
    assert callable(check)
    for _path, headers, body in team.hooks["webhook"].requests:
        assert check(headers, body, secret)
        assert not check(headers, body + b" ", secret)
        assert not check(headers, body, "other")
        old = {**headers, "X-CI-Deploy-Timestamp": str(int(time.time()) - 3600)}
        old["X-CI-Deploy-Signature"] = signature(secret, old["X-CI-Deploy-Timestamp"], body)
        assert not check(old, body, secret)


def test_documented_fields_of_the_webhook_are_those_that_are_sent(
    dokku: DokkuStandIn, team: Team
) -> None:
    assert team.deploy().code == 0
    text = (ROOT / "docs/webhook.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"(?m)^\| `(\w+)` \|", text))
    assert documented == set(team.hooks["webhook"].payloads[-1])


# --- mail ---


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Path]:
    """A server's TLS context, and the file that trusts it."""
    return certificate(tmp_path_factory.mktemp("tls"))


def _url(inbox: Inbox, scheme: str = "smtp", password: str = PASSWORD) -> str:
    quoted = "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in password)
    return f"{scheme}://{USER.replace('@', '%40')}:{quoted}@127.0.0.1:{inbox.port}"


@pytest.mark.parametrize(("how", "scheme"), [("starttls", "smtp"), ("tls", "smtps")])
def test_mail_goes_over_tls_with_a_login(
    dokku: DokkuStandIn, checkout: Checkout, tls: tuple[object, Path], how: str, scheme: str
) -> None:
    context, pem = tls
    with mail_server(context=context, tls=how, auth=True) as inbox:  # type: ignore[arg-type]
        env = settings_for(dokku, NOTIFY_SMTP_URL=_url(inbox, scheme), **MAIL)
        done = run("deploy", cwd=checkout.path, env={**env, "CA_BUNDLE": str(pem)})
    assert (done.code, done.report["warnings"]) == (0, []), done.output
    assert len(inbox.messages) == 2
    assert inbox.logins == [USER, USER]


def test_certificate_that_nobody_trusts_is_named(
    dokku: DokkuStandIn, checkout: Checkout, tls: tuple[object, Path]
) -> None:
    with mail_server(context=tls[0], tls="starttls", auth=True) as inbox:  # type: ignore[arg-type]
        env = settings_for(dokku, NOTIFY_SMTP_URL=_url(inbox), **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert "its TLS certificate is not trusted (self-signed certificate" in warning
    assert inbox.logins == []


def test_password_is_never_sent_without_tls(dokku: DokkuStandIn, checkout: Checkout) -> None:
    with mail_server(auth=True) as inbox:
        env = settings_for(dokku, NOTIFY_SMTP_URL=_url(inbox), **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert "offers no TLS, so ci-deploy does not send it the password" in warning
    assert inbox.logins == []


def test_wrong_password_is_told_and_not_shown(
    dokku: DokkuStandIn, checkout: Checkout, tls: tuple[object, Path]
) -> None:
    with mail_server(context=tls[0], tls="starttls", auth=True) as inbox:  # type: ignore[arg-type]
        url = _url(inbox, password="wrong-wrong-wrong")
        env = settings_for(dokku, NOTIFY_SMTP_URL=url, CA_BUNDLE=str(tls[1]), **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert "rejects the user or the password: 535" in warning
    assert "wrong-wrong-wrong" not in done.output
    assert inbox.messages == []


def test_recipient_that_is_refused_is_named(dokku: DokkuStandIn, checkout: Checkout) -> None:
    with mail_server() as inbox:
        inbox.refused.add("a@b.example")
        env = settings_for(dokku, NOTIFY_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}", **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert "rejects mail for a@b.example (550 " in warning
    assert [envelope[1] for envelope in inbox.envelopes] == [["c@d.example"]] * 2


def test_greylisting_is_waited_for(dokku: DokkuStandIn, checkout: Checkout) -> None:
    with mail_server() as inbox:
        inbox.answers = ["451 try again later"]
        env = settings_for(dokku, NOTIFY_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}", **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert (done.code, done.report["warnings"]) == (0, [])
    assert len(inbox.messages) == 2


def test_mail_is_not_sent_twice_when_only_the_goodbye_fails(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    with mail_server() as inbox:
        inbox.goodbye = "421 too busy"
        env = settings_for(dokku, NOTIFY_SMTP_URL=f"smtp://127.0.0.1:{inbox.port}", **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert (done.code, done.report["warnings"]) == (0, [])
    assert len(inbox.messages) == 2


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("drop", "cannot be reached: connection unexpectedly closed"),
        ("flood", "rejects the mail: 500 Line too long"),
        ("refuse", "cannot be reached: connection refused"),
    ],
)
def test_mail_server_in_trouble_is_one_warning(
    dokku: DokkuStandIn, checkout: Checkout, how: str, words: str
) -> None:
    with contextlib.ExitStack() as stack:
        port = 1 if how == "refuse" else stack.enter_context(bad_mail_server(how))
        env = settings_for(dokku, NOTIFY_SMTP_URL=f"smtp://127.0.0.1:{port}", **MAIL)
        done = run("deploy", cwd=checkout.path, env=env)
    assert (done.code, done.report["status"]) == (0, "succeeded")
    [warning] = done.report["warnings"]
    assert warning.startswith("email: ")
    assert words in warning


def test_sender_and_addresses_are_required_with_the_server(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(dokku, NOTIFY_SMTP_URL="smtp://mail.example.com")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 2
    assert "NOTIFY_EMAIL_FROM: is required" in done.output
    assert "NOTIFY_EMAIL_TO: is required" in done.output
