"""`status` and `logs` of an app on one's own hosts."""

from __future__ import annotations

import json
import signal
import time

from standins.compose.app import App
from standins.host_app import FILE
from standins.support import Run


def _follows(app: App) -> int:
    return int(app.hosts[0].sh("pgrep -fc '[c]ompose.*logs.*--follow' || true").strip())


def test_status_and_logs_tell_of_what_runs(app: App) -> None:
    """What follows a log on the host ends with the job, also when nothing is said any more."""
    app.checkout.commit("A job that says so", {FILE: app.whole})
    nothing = app.run("status")
    assert "runs no known release" in nothing.output
    assert app.deploy("good1", GITLAB_CI="true", CI_JOB_URL="https://ci.example.com/7").code == 0
    done = app.run("status")
    assert done.code == 0, done.errors
    assert f"{app.name} runs good1-" in done.output
    told = json.loads(app.run("status", "--json").output)
    assert told["revision"] == app.checkout.head
    assert (told["up"], told["by"]) == (True, "https://ci.example.com/7")
    shown = app.run("logs", "job", "--lines", "1")
    assert shown.code == 0, shown.errors
    assert [line.rpartition(" ")[2] for line in shown.output.splitlines()] == ["done"]
    refused = app.run("logs", "web")
    assert refused.code == 14
    assert f"{app.name} has no process or service `web`" in refused.output + refused.errors
    following = Run(app.program, "logs", "--follow", cwd=app.checkout.path, env=app.settings())
    following.wait_for("done")
    assert _follows(app)
    following.signal(signal.SIGINT)
    assert following.done(timeout=10).code == 130
    until = time.monotonic() + 20
    while _follows(app):
        assert time.monotonic() < until, "it is left behind on the host"
        time.sleep(0.2)
