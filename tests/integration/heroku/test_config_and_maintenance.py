"""Config by difference, and maintenance mode, which is always what it was before."""

from __future__ import annotations

import signal
import time

import pytest

from standins.heroku.faults import Fault
from standins.heroku.server import HerokuStandIn
from standins.support import until
from tests.golden import Golden
from tests.integration.heroku.conftest import FILES, WITH_PHASE, Jobs

CONFIG = 'GREETING="hello you"\nDATABASE_PASSWORD=s3cret-p4ssword\nSAME=1\n'
CLOSED = {"HEROKU_MAINTENANCE": "true"}
NOTE = "refs/heads/ci-deploy/unfinished/1/end-maintenance"
OLD_NOTE = "refs/heads/ci-deploy/unfinished/maintenance%20mode%20is%20on"  # of earlier versions


# --- config ---


def test_only_what_differs_is_set_in_one_release_and_no_value_is_told(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    app = heroku.apps["hello"]
    app.config |= {"SAME": "1", "GREETING": "bye", "OTHERS": "stay"}
    done = job.run(APP_CONFIG=CONFIG)
    assert done.code == 0, done.output
    assert app.config == {
        "SAME": "1",
        "GREETING": "hello you",
        "OTHERS": "stay",
        "DATABASE_PASSWORD": "s3cret-p4ssword",
    }
    assert "set DATABASE_PASSWORD, GREETING on hello" in done.output
    assert "s3cret-p4ssword" not in done.output
    [change] = [call for call in heroku.calls if call.method == "PATCH"]
    assert set(change.body) == {"GREETING", "DATABASE_PASSWORD"}
    assert job.run(APP_CONFIG=CONFIG).report["status"] == "skipped"
    done = job.run(APP_CONFIG=f"{CONFIG}NEW=1\n")
    assert done.report["status"] == "succeeded"
    assert heroku.pushes() == 1, "the same revision needs no other build"


def test_release_phase_that_fails_at_the_config_stops_the_deploy(
    heroku: HerokuStandIn, job: Jobs, golden: Golden
) -> None:
    """Setting config makes a release, with a release phase of its own."""
    job.checkout.commit("Old", WITH_PHASE)
    old = job.deployed()
    job.checkout.commit("New")
    heroku.apps["hello"].behaviour.phase = "fail"
    done = job.run(APP_CONFIG=CONFIG)
    assert done.code == 20, done.output
    golden("heroku/release phase fails at the config", done.output)
    assert "the release phase of v3 failed" in done.output
    assert heroku.pushes() == 0
    assert heroku.apps["hello"].running_revision == old


def test_config_whose_release_phase_has_failed_is_released_again(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    """It is set, so nothing differs; but what runs does not have it."""
    job.checkout.commit("One", WITH_PHASE)
    job.deployed()
    app = heroku.apps["hello"]
    app.behaviour.phase = "fail"
    assert job.run(APP_CONFIG="MODE=new\n").code == 20
    assert job.run(APP_CONFIG="MODE=new\n").code == 20, "it fails as long as it fails"
    app.behaviour.phase = "succeed"
    done = job.run(APP_CONFIG="MODE=new\n")
    assert done.code == 0, done.output
    assert "again: the release phase of v4 has failed" in done.output
    assert app.current
    assert app.current.config["MODE"] == "new"
    assert job.run(APP_CONFIG="MODE=new\n").report["status"] == "skipped"
    assert (heroku.pushes(), len(app.builds)) == (0, 1)


# --- maintenance mode ---


def _switches(heroku: HerokuStandIn) -> list[bool]:
    """What was asked for, in order."""
    calls = [call for call in heroku.calls if call.name == "PATCH /apps/hello"]
    return [call.body["maintenance"] for call in calls]


def test_app_is_closed_while_it_is_deployed(heroku: HerokuStandIn, job: Jobs) -> None:
    done = job.run(settings=CLOSED)
    assert done.code == 0, done.output
    assert _switches(heroku) == [True, False]
    names = [call.name for call in heroku.calls]
    pushed = names.index("POST /hello.git/git-receive-pack", names.index("PATCH /apps/hello"))
    assert pushed < len(names) - names[::-1].index("PATCH /apps/hello")
    assert not heroku.apps["hello"].maintenance
    assert NOTE not in heroku.platform.references("hello")


@pytest.mark.parametrize("how", ["build", "phase"])
def test_and_opened_again_when_that_fails(heroku: HerokuStandIn, job: Jobs, how: str) -> None:
    job.checkout.commit("Phase", WITH_PHASE)
    setattr(heroku.apps["hello"].behaviour, how, "fail")
    done = job.run(settings=CLOSED)
    assert done.code == 20, done.output
    assert _switches(heroku) == [True, False]
    assert NOTE not in heroku.platform.references("hello")


def test_and_opened_again_when_the_health_check_fails(heroku: HerokuStandIn, job: Jobs) -> None:
    heroku.faults(Fault("GET /_web/hello/up", 503, times=100))
    health = {"HEALTHCHECK_URL": f"{heroku.url}/_web/hello/up", "HEALTHCHECK_TIMEOUT": "1"}
    done = job.run(settings={**CLOSED, **health})
    assert done.code == 22, done.output
    assert _switches(heroku) == [True, False]


def test_app_that_was_closed_stays_closed(heroku: HerokuStandIn, job: Jobs) -> None:
    heroku.apps["hello"].maintenance = True
    done = job.run(settings=CLOSED)
    assert done.code == 0, done.output
    assert _switches(heroku) == []


@pytest.mark.parametrize("faults", [[], [Fault("GET /apps/hello/dynos", "hang", times=9)]])
def test_cancel_opens_it_and_says_what_goes_on(
    heroku: HerokuStandIn, job: Jobs, faults: list[Fault]
) -> None:
    """Also when a question is not answered any more."""
    heroku.apps["hello"].behaviour.build_seconds = 60.0
    running = job.start(settings=CLOSED)
    running.wait_for("Ruby app", 40)
    heroku.faults(*faults)
    started = time.monotonic()
    running.signal(signal.SIGTERM)
    done = job.seen(running.done())
    assert done.code == 143
    assert time.monotonic() - started < 6
    assert not heroku.apps["hello"].maintenance
    assert "Heroku may still be building" in done.output


def test_kill_leaves_a_note_and_the_next_run_opens_it(heroku: HerokuStandIn, job: Jobs) -> None:
    head = job.deployed()
    app = heroku.apps["hello"]
    job.checkout.commit("New")
    app.behaviour.build_seconds = 60.0
    running = job.start(settings=CLOSED)
    running.wait_for("Ruby app", 40)
    running.signal(signal.SIGKILL)
    job.seen(running.done())
    closed = app.maintenance
    assert closed
    doctor = job.run("doctor")
    assert "maintenance mode: on" in doctor.output
    assert "left tasks unfinished: switch maintenance mode off" in doctor.output
    heroku.platform.ended.set()  # that build is over
    until(lambda: app.running_revision != head)
    heroku.platform.ended.clear()
    app.behaviour.build_seconds = 0.0
    done = job.run()
    assert done.report["status"] == "skipped", done.output
    assert not app.maintenance
    assert NOTE not in heroku.platform.references("hello")


def test_note_that_cannot_be_taken_does_not_stop_a_deploy(heroku: HerokuStandIn, job: Jobs) -> None:
    heroku.faults(Fault(r"/hello\.git/", 403, times=99))
    done = job.run(settings={**CLOSED, "DEPLOY_METHOD": "archive"})
    assert done.code == 0, done.output
    assert "could not record a pending task on hello: " in done.output
    assert _switches(heroku) == [True, False]


def _left_closed(heroku: HerokuStandIn, job: Jobs, note: str = NOTE) -> None:
    """What a job leaves that was killed while the app was closed."""
    heroku.apps["hello"].maintenance = True
    without_hook = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack"
    where = str(heroku.platform.folder / "hello.git")
    job.checkout.git("push", "--quiet", without_hook, where, f"HEAD:{note}")


def test_app_that_an_earlier_version_has_left_closed_is_opened(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    """Its note is a sentence."""
    job.deployed()
    _left_closed(heroku, job, OLD_NOTE)
    done = job.run()
    assert done.report["status"] == "skipped", done.output
    assert not heroku.apps["hello"].maintenance
    assert OLD_NOTE not in heroku.platform.references("hello")


def test_note_that_cannot_be_read_at_once_is_read_all_the_same(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    job.deployed()
    _left_closed(heroku, job)
    heroku.faults(Fault(r"GET /hello\.git/info/refs", 503))
    done = job.run()
    assert done.report["status"] == "skipped", done.output
    assert not heroku.apps["hello"].maintenance


def test_closed_app_whose_notes_cannot_be_read_is_not_taken_for_well(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    job.deployed()
    _left_closed(heroku, job)
    heroku.faults(Fault(r"GET /hello\.git/info/refs", 503, times=99))
    done = job.run()
    assert done.code == 11, done.output
    assert "pending tasks of earlier runs cannot be read: git cannot read http" in done.output
    heroku.apps["hello"].maintenance = False
    assert job.run().report["status"] == "skipped", "an open app needs no note"


@pytest.mark.parametrize(
    ("words", "phase", "code", "status"),
    [
        (["rollback"], "succeed", 0, "succeeded"),
        (["rollback"], "fail", 20, "failed"),
        (["rollback", "to what is live"], "succeed", 0, "skipped"),
        (["promote"], "succeed", 0, "succeeded"),
        (["promote"], "fail", 20, "failed"),
    ],
)
def test_app_that_was_left_closed_is_opened_whatever_comes_of_the_next_run(
    heroku: HerokuStandIn, job: Jobs, words: list[str], phase: str, code: int, status: str
) -> None:
    heroku.create("hello-staging")
    heroku.pipeline("pipe", staging="hello-staging", production="hello")
    job.checkout.commit("Old", WITH_PHASE)
    job.deployed()
    job.checkout.commit("New", FILES)
    head = job.deployed()
    if words == ["promote"]:
        job.checkout.commit("Newer", WITH_PHASE)
        job.deployed("hello-staging")
    if status == "skipped":
        app = heroku.apps["hello"]
        heroku.platform.release(app, "Set GREETING config vars", app.releases[-1].slug)
        words = ["rollback", head]
    _left_closed(heroku, job)
    heroku.apps["hello"].behaviour.phase = phase
    done = job.run(*words)
    assert (done.code, done.report["status"]) == (code, status), done.output
    assert "hello is in maintenance mode; an interrupted run left it on" in done.output
    assert _switches(heroku) == [False]
    assert NOTE not in heroku.platform.references("hello")
