"""BACKUP_BEFORE_MIGRATE on Heroku: a backup that has succeeded, or nothing is migrated."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from standins.heroku import routes_data
from standins.heroku.faults import Fault
from standins.heroku.model import Addon, Behaviour, Transfer, timestamp
from standins.heroku.server import HerokuStandIn
from standins.support import ROOT, until
from tests.golden import Golden
from tests.integration.heroku.conftest import Jobs
from tests.rails import RailsApp

PROCFILE = "web: sleep 600\n"
PHASE = {"Procfile": f"{PROCFILE}release: bin/rails db:migrate\n"}
SETTINGS = {"BACKUP_BEFORE_MIGRATE": "true", "AUTO_MIGRATE_ON_DEPLOY": "true"}
CAPTURE = r"POST /client/v11/databases/[^/]+/backups"
LIST = "GET /client/v11/apps/hello/transfers$"


@pytest.fixture
def checkout(tmp_path: Path) -> RailsApp:
    """A Rails app as CI has checked it out."""
    return RailsApp(tmp_path / "checkout", PROCFILE)


@pytest.fixture
def old(job: Jobs, checkout: RailsApp, heroku: HerokuStandIn) -> str:
    """The app runs for an hour; a migration has come since. What it runs."""
    heroku.database("hello")
    before = job.deployed()
    for release in heroku.apps["hello"].releases:  # its times are whole seconds
        release.created_at = timestamp(time.time() - 3600)
    checkout.migration("20260101_prices")
    return before


def captures(heroku: HerokuStandIn) -> int:
    """How often a backup was begun, answered or not."""
    return sum(call.name.endswith("/backups") for call in heroku.calls if call.method == "POST")


def made(heroku: HerokuStandIn) -> list[Transfer]:
    return heroku.platform.transfers


# --- when it is made ---


@pytest.mark.parametrize("files", [PHASE, {}], ids=["release phase", "one-off dyno"])
def test_it_is_there_before_whatever_migrates_begins(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp, old: str, files: dict[str, str]
) -> None:
    checkout.commit("How it migrates", files)
    heroku.apps["hello"].behaviour.transfer_seconds = 1.5
    done = job.run(settings=SETTINGS)
    assert done.code == 0, done.output
    [transfer] = made(heroku)
    assert transfer.over
    paths = [call.path for call in heroku.calls]
    push = next(at for at, path in enumerate(paths) if path.endswith("/git-receive-pack"))
    assert any(path.endswith(f"/transfers/{transfer.uuid}") for path in paths[:push])
    assert not any("transfers" in path for path in paths[push:]), "it was over by then"
    assert "b001 of DATABASE_URL (postgresql-round-0): 12345 bytes" in done.output
    assert "backup before the migrations: b001 of DATABASE_URL" in done.output
    assert done.report["backups"] == ["b001 of DATABASE_URL (postgresql-round-0)"]
    assert heroku.platform.databases[transfer.addon.id].url not in done.output
    assert heroku.apps["hello"].running_revision != old


@pytest.mark.parametrize("phase", ["bin/rails db:migrate", "./release.sh"])
def test_release_phase_needs_no_other_setting(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp, old: str, phase: str
) -> None:
    """Also where nobody can tell that it migrates."""
    checkout.commit("How it migrates", {"Procfile": f"{PROCFILE}release: {phase}\n"})
    assert job.run(BACKUP_BEFORE_MIGRATE="true").code == 0
    assert len(made(heroku)) == 1
    checkout.commit("No migration", {"README": "x"})
    assert job.run(BACKUP_BEFORE_MIGRATE="true").code == 0
    assert len(made(heroku)) == 1


def test_plan_names_it_and_begins_nothing(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp, old: str
) -> None:
    plan = job.run("plan", settings=SETTINGS)
    assert plan.code == 0, plan.output
    assert "back up DATABASE_URL (postgresql-round-0)" in plan.report["changes"]
    assert captures(heroku) == 0
    assert plan.report["changes"] == job.run(settings=SETTINGS).report["changes"]


def test_migrations_that_are_undone_are_backed_up_too(
    heroku: HerokuStandIn, job: Jobs, old: str
) -> None:
    job.deployed()
    done = job.run("rollback", "--migrations", "1", settings=SETTINGS)
    assert done.code == 0, done.output
    order = ["b001 of DATABASE_URL", "→ undo the last 1 migrations", "→ roll back hello to"]
    assert sorted(order, key=done.output.index) == order


def test_promotion_whose_release_phase_migrates_is_backed_up(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp, old: str
) -> None:
    heroku.create("hello-staging")
    heroku.pipeline("pipe", staging="hello-staging", production="hello")
    checkout.commit("How it migrates", PHASE)
    staged = job.deployed("hello-staging")
    done = job.run("promote", BACKUP_BEFORE_MIGRATE="true")
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == staged
    assert done.output.index("b001 of DATABASE_URL") < done.output.index("→ promote")


# --- what stops the deploy ---


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("fail", "so nothing was migrated: pg_dump: error: out of shared memory."),
        ("empty", "migrated: backup b001 of DATABASE_URL (postgresql-round-0) is empty."),
    ],
)
def test_one_that_has_failed_or_is_empty(
    heroku: HerokuStandIn, job: Jobs, old: str, how: str, words: str, golden: Golden
) -> None:
    behaviour = heroku.apps["hello"].behaviour
    behaviour.transfer = how
    behaviour.transfer_log = ("pg_dump: reading schemas", "pg_dump: error: out of shared memory")
    done = job.run(settings=SETTINGS)
    assert done.code == 20, done.output
    assert words in done.output
    assert f"hello still runs {old[:7]}" in done.output
    assert heroku.pushes() == 0
    assert "migrations were" not in done.output
    assert set(heroku.platform.references("hello")) == {"refs/heads/main"}, "no note is left"
    if how == "fail":
        golden("heroku/backup fails", done.output)


def _none(heroku: HerokuStandIn) -> None:
    heroku.platform.databases.clear()


def _elsewhere(heroku: HerokuStandIn) -> None:
    heroku.database("hello", "HEROKU_POSTGRESQL_PINK")
    heroku.apps["hello"].config["DATABASE_URL"] = "postgres://u:p@db.example.net/shop"
    [first, *_] = heroku.platform.databases.values()
    first.attachments.clear()


def _forbidden(heroku: HerokuStandIn) -> None:
    heroku.faults(Fault("GET /client/v11/databases/", 403))


def _no_scope(heroku: HerokuStandIn) -> None:
    heroku.faults(Fault("GET /client/v11/databases/", 401))


def _unknown(heroku: HerokuStandIn) -> None:
    heroku.faults(Fault("GET /client/v11/databases/", 404))


def _away(heroku: HerokuStandIn) -> None:
    heroku.faults(Fault("GET /client/v11/databases/", 503, times=9))


@pytest.mark.parametrize(
    ("arrange", "code", "words"),
    [
        (
            _none,
            2,
            "not the config var of a Heroku Postgres database of hello, which has no such",
        ),
        (_elsewhere, 2, "which has HEROKU_POSTGRESQL_PINK_URL. Name another"),
        (
            _forbidden,
            12,
            "this key may not back up DATABASE_URL (postgresql-round-0): Heroku denied",
        ),
        (_no_scope, 12, "Use a key with more scopes"),
        (_unknown, 2, "data API does not know DATABASE_URL (postgresql-round-0)"),
        (_away, 11, "Heroku API error 503"),
    ],
)
def test_what_cannot_be_backed_up_is_found_before_anything_is_changed(
    heroku: HerokuStandIn,
    job: Jobs,
    old: str,
    arrange: Callable[[HerokuStandIn], None],
    code: int,
    words: str,
) -> None:
    arrange(heroku)
    done = job.run(settings=SETTINGS, APP_CONFIG="COLOUR=red")
    assert done.code == code, done.output
    assert words in done.output
    assert heroku.writes() == []
    assert heroku.pushes() == 0
    heroku.faults_.clear()
    arrange(heroku)
    checked = job.run("doctor", settings=SETTINGS)
    assert checked.code == code, checked.output
    assert words in checked.output


def test_doctor_is_content_with_a_database_that_can_be_backed_up(
    heroku: HerokuStandIn, job: Jobs, old: str
) -> None:
    done = job.run("doctor", settings=SETTINGS)
    assert done.code == 0, done.output
    assert heroku.writes() == []


def test_refusal_of_the_api_itself_stops_it_too(heroku: HerokuStandIn, job: Jobs, old: str) -> None:
    heroku.faults(Fault(CAPTURE, 422, body={"id": "x", "message": "Backups are not possible."}))
    done = job.run(settings=SETTINGS)
    assert done.code == 20, done.output
    assert "so nothing was migrated: Heroku rejected" in done.output
    assert "Backups are not possible." in done.output
    assert heroku.pushes() == 0


# --- one backup, however it goes ---


@pytest.mark.parametrize("does", ["lost", "reset", 500])
def test_answer_that_is_lost_does_not_begin_another(
    heroku: HerokuStandIn, job: Jobs, old: str, does: str | int
) -> None:
    heroku.faults(Fault(CAPTURE, does))
    done = job.run(settings=SETTINGS)
    assert captures(heroku) == 1
    if does == "lost":
        assert done.code == 0, done.output
        assert "no response, but backup b001 was started" in done.output
        assert len(made(heroku)) == 1
    else:
        assert done.code == 20, done.output
        assert "and Heroku lists no new backup" in done.output
        assert heroku.pushes() == 0


def test_broken_answers_while_it_is_made_are_asked_again(
    heroku: HerokuStandIn, job: Jobs, old: str
) -> None:
    heroku.faults(Fault("GET /client/v11/apps/hello/transfers/", 503, times=2))
    heroku.faults(Fault("GET /client/v11/apps/hello/transfers/", "reset", times=1))
    assert job.run(settings=SETTINGS).code == 0
    assert captures(heroku) == 1


def test_end_of_the_run_stops_it_and_the_next_takes_what_is_being_made(
    heroku: HerokuStandIn, job: Jobs, old: str
) -> None:
    ends = heroku.apps["hello"].behaviour.transfer_ends = threading.Event()
    done = job.run(settings=SETTINGS, DEPLOY_TIMEOUT="12")
    assert done.code == 20, done.output
    seen = "before the end of the backup b001 of DATABASE_URL (postgresql-round-0) was seen"
    assert f"timed out (DEPLOY_TIMEOUT) {seen}, so no migration was run or undone" in done.output
    assert "heroku pg:backups:info b001 -a hello" in done.output
    assert heroku.pushes() == 0

    running = job.start(settings=SETTINGS)
    said = running.wait_for(": this run uses it")
    ends.set()
    again = job.seen(running.done())
    assert again.code == 0, said + again.output
    assert captures(heroku) == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_cancelled_or_killed_while_it_is_made(
    heroku: HerokuStandIn, job: Jobs, old: str, signum: signal.Signals
) -> None:
    """One that is over by the next run is not used: the data has gone on since."""
    ends = heroku.apps["hello"].behaviour.transfer_ends = threading.Event()
    running = job.start(settings=SETTINGS)
    until(lambda: any(made(heroku)[0].uuid in call.path for call in heroku.calls if made(heroku)))
    running.signal(signum)
    done = job.seen(running.done())
    if signum == signal.SIGTERM:
        assert done.code == 143, done.output
        assert "Heroku continues the backup b001" in done.output
        assert f"hello still runs {old[:7]}" in done.output
    assert heroku.pushes() == 0

    ends.set()
    assert job.run(settings=SETTINGS).code == 0
    assert len(made(heroku)) == 2


def test_cancelled_while_it_is_begun_says_that_it_may_go_on(
    heroku: HerokuStandIn, job: Jobs, old: str
) -> None:
    heroku.faults(Fault(CAPTURE, "hang"))
    running = job.start(settings=SETTINGS)
    until(lambda: captures(heroku) == 1)
    running.signal(signal.SIGTERM)
    done = job.seen(running.done())
    assert done.code == 143, done.output
    assert "Heroku may have started a backup of DATABASE_URL" in done.output


@pytest.mark.parametrize("schedule", [True, False], ids=["a schedule's", "from before the release"])
def test_one_that_is_no_copy_of_what_is_live_is_waited_for_and_not_used(
    heroku: HerokuStandIn, job: Jobs, old: str, *, schedule: bool
) -> None:
    [addon], app = heroku.platform.databases.values(), heroku.apps["hello"]
    app.behaviour = Behaviour(transfer_ends=threading.Event())
    theirs = routes_data.begin(heroku, addon, "backup", schedule=schedule)
    app.behaviour = Behaviour()
    if not schedule:
        theirs.began -= 3600
    running = job.start(settings=SETTINGS)
    said = running.wait_for("waiting for its end")
    assert theirs.how.transfer_ends
    theirs.how.transfer_ends.set()
    done = job.seen(running.done())
    assert done.code == 0, said + done.output
    assert captures(heroku) == 1
    assert len(made(heroku)) == 2


# --- which databases ---


def test_several_only_those_that_are_named(heroku: HerokuStandIn, job: Jobs, old: str) -> None:
    heroku.database("hello", "ANIMALS")
    plan = job.run("plan", settings=SETTINGS)
    assert "not backed up: ANIMALS_URL (postgresql-round-1)" in plan.output
    named = {"HEROKU_BACKUP_DATABASES": "DATABASE_URL ANIMALS"}
    done = job.run(settings={**SETTINGS, **named})
    assert done.code == 0, done.output
    assert "not backed up" not in done.output
    assert [each.from_name for each in made(heroku)] == ["DATABASE", "ANIMALS"]
    assert len(done.report["backups"]) == 2


def test_database_of_another_app_and_one_that_is_only_named_otherwise(
    heroku: HerokuStandIn, job: Jobs, old: str
) -> None:
    """Its backups are listed where it is paid for; DATABASE_URL may have been set by hand."""
    heroku.create("data")
    [first] = heroku.platform.databases.values()
    first.attachments[:] = [("hello", "SHARED"), ("data", "DATABASE")]
    first.app = "data"
    heroku.apps["hello"].config["SHARED_URL"] = first.url
    heroku.faults(Fault(CAPTURE, "lost"))
    done = job.run(settings=SETTINGS)
    assert done.code == 0, done.output
    assert "b001 of SHARED_URL (postgresql-round-0)" in done.output
    listed = job.run("backups")
    assert "data::b001" in listed.output


# --- looking at them ---


def _backed_up(heroku: HerokuStandIn) -> Addon:
    addon = heroku.database("hello")
    for _ in range(2):
        routes_data.begin(heroku, addon, "backup")
    return addon


def test_backups_are_listed_and_a_restore_says_how(heroku: HerokuStandIn, job: Jobs) -> None:
    addon = _backed_up(heroku)
    listed = job.run("backups")
    assert listed.code == 0, listed.errors
    assert "b002  12345 bytes  of DATABASE" in listed.output
    shown = job.run("backups", "--json")
    assert '"name": "b001"' in shown.output
    assert "+00:00" in shown.output
    assert addon.url not in shown.output
    done = job.run("restore", "b002", "--yes")
    assert done.code == 14, done.output
    assert "heroku pg:backups:restore b002 DATABASE -a hello" in done.output + done.errors
    unknown = job.run("restore", "b009", "--yes")
    assert "Available: b00" in unknown.output + unknown.errors
    assert heroku.writes() == []


def test_real_cli_makes_and_lists_the_same(heroku: HerokuStandIn, job: Jobs, old: str) -> None:
    """What the stand-in takes and tells is what the CLI sends and understands."""
    env = {
        **os.environ,
        "PATH": f"{ROOT / '.tools/bin'}:{os.environ['PATH']}",
        "HOME": str(job.home.parent),
        "HEROKU_API_KEY": heroku.key,
        "HEROKU_HOST": heroku.url,
        "HEROKU_DATA_HOST": "127.0.0.1",
        "DISABLE_TELEMETRY": "true",
        "HEROKU_DISABLE_AUTOUPDATE": "1",
        "HEROKU_SKIP_NEW_VERSION_CHECK": "1",
    }

    def cli(*words: str) -> str:
        done = subprocess.run(
            ["heroku", *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert job.run(settings=SETTINGS).code == 0
    assert "Backing up" in cli("pg:backups:capture", "-a", "hello")
    listed = cli("pg:backups", "-a", "hello")
    assert "b001" in listed
    assert "b002" in listed
    assert "Completed" in cli("pg:backups:info", "b001", "-a", "hello")
    assert "b002" in job.run("backups").output
