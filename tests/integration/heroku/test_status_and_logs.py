"""`status` and `logs` of an app on Heroku."""

from __future__ import annotations

import json

from standins.heroku.server import HerokuStandIn
from tests.integration.heroku.conftest import Jobs


def test_status_and_history_tell_the_live_release(heroku: HerokuStandIn, job: Jobs) -> None:
    first, second = job.deployed(), ""
    job.checkout.commit("New")
    second = job.deployed()
    done = job.run("status")
    assert done.code == 0, done.errors
    assert "hello runs v3" in done.output
    told = json.loads(job.run("status", "--json").output)
    assert (told["revision"], told["release"], told["up"]) == (second, "v3", True)
    assert told["by"].startswith("jane@example.com")
    listed = json.loads(job.run("history", "--json").output)
    assert [(each["revision"], each["live"]) for each in listed[:2]] == [
        (second, True), (first, False),
    ]  # fmt: skip


def test_logs_shows_lines_of_the_dynos_that_are_asked_for(heroku: HerokuStandIn, job: Jobs) -> None:
    job.deployed()
    app = heroku.platform.apps["hello"]
    app.log += [("web.1", f"request {number}") for number in range(5)]
    app.log.append(("worker.1", "a job"))
    done = job.run("logs", "--lines", "3")
    assert [line.partition("]: ")[2] for line in done.output.splitlines()] == [
        "request 3", "request 4", "a job",
    ]  # fmt: skip
    assert "request 4" in job.run("logs", "web").output
    assert "a job" not in job.run("logs", "web").output
    refused = job.run("logs", "clock")
    assert refused.code == 14
    assert "hello has no process or service `clock`" in refused.output + refused.errors
