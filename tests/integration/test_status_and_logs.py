"""`status` and `logs` of an app on Dokku."""

from __future__ import annotations

import json
import signal

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Run, run, settings_for
from tests.golden import Golden

APP = {"Procfile": "worker: echo the worker is here; sleep 600\n"}
APP["app.json"] = '{"formation": {"worker": {"quantity": 1}}}'


def test_status_tells_what_runs_since_when_and_by_whom(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    checkout.commit("A worker", APP)
    job = {"GITLAB_CI": "true", "CI_JOB_URL": "https://ci.example.com/jobs/7"}
    env = settings_for(dokku)
    before = run("ci-deploy", "status", cwd=checkout.path, env=env)
    empty = run("ci-deploy", "status", "--json", cwd=checkout.path, env=env)
    assert json.loads(empty.output)["up"] is False
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku, **job)).code == 0
    done = run("ci-deploy", "status", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    golden("dokku/status", done.output)
    assert f"hello runs {checkout.head[:7]}, 1 of 1 processes up" in done.output
    assert "https://ci.example.com/jobs/7" in done.output
    told = json.loads(run("ci-deploy", "status", "--json", cwd=checkout.path, env=env).output)
    assert told["since"] in done.output
    assert (told["revision"], told["up"], told["unfinished"]) == (checkout.head, True, [])
    assert told["by"] == "https://ci.example.com/jobs/7"
    assert (before.code, "no known release" in before.output) == (0, True)


def test_status_of_an_app_that_is_not_there_names_the_setting(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    done = run("ci-deploy", "status", cwd=checkout.path, env=settings_for(dokku, APP_NAME="helo"))
    assert done.code == 2
    assert "Did you mean `hello`?" in done.output + done.errors


def test_history_as_json_marks_the_live_one(dokku: DokkuStandIn, checkout: Checkout) -> None:
    env = settings_for(dokku)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    told = json.loads(run("ci-deploy", "history", "--json", cwd=checkout.path, env=env).output)
    assert [(each["revision"], each["live"]) for each in told] == [(checkout.head, True)]


def test_plan_and_doctor_as_json_say_all_else_on_stderr(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(dokku)
    for words in (("plan", "--json"), ("plan", "deploy", "--json"), ("plan", "--json", "deploy")):
        planned = run("ci-deploy", *words, cwd=checkout.path, env=env)
        told = json.loads(planned.output)
        assert any(each.startswith(f"push {checkout.head[:7]}") for each in told["changes"])
        assert "plan: deploy hello" in planned.errors
    back = run("ci-deploy", "plan", "--json", "rollback", cwd=checkout.path, env=env)
    assert (back.code, json.loads(back.output)["exit_code"]) == (14, 14)
    checked = json.loads(run("ci-deploy", "doctor", "--json", cwd=checkout.path, env=env).output)
    assert checked["revision"] == checkout.head
    assert checked["live"]["up"] is False
    assert {"git", "ssh"} <= set(checked["tools"])


def test_logs_shows_what_a_process_has_written(dokku: DokkuStandIn, checkout: Checkout) -> None:
    checkout.commit("A worker", APP)
    env = settings_for(dokku)
    early = run("ci-deploy", "logs", cwd=checkout.path, env=env)
    assert early.code == 20
    assert "has not been deployed" in early.output
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    done = run("ci-deploy", "logs", "worker", "--lines", "1", cwd=checkout.path, env=env)
    assert done.code == 0, done.output + done.errors
    assert done.output.splitlines()[-1].endswith("app[worker.1]: the worker is here")
    other = run("ci-deploy", "logs", "web", cwd=checkout.path, env=env)
    assert other.code == 14
    assert "hello has no process or service `web`" in other.output + other.errors


def test_logs_that_are_followed_go_on_until_a_signal(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    checkout.commit("A worker", APP)
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    following = Run("ci-deploy", "logs", "--follow", cwd=checkout.path, env=settings_for(dokku))
    following.wait_for("the worker is here")
    following.signal(signal.SIGTERM)
    assert following.done(timeout=10).code == 143
