"""Other layers on Heroku: Rails with Sidekiq, and Sentry, as they are on any provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.heroku.server import HerokuStandIn
from standins.sentry import ORG, TOKEN, sentry
from standins.support import until
from tests.integration.heroku.conftest import Jobs
from tests.rails import RailsApp

PROCFILE = "web: sleep 600\nworker: sleep 600\n"
SETTINGS = {"AUTO_MIGRATE_ON_DEPLOY": "true", "SIDEKIQ_QUIET_ON_DEPLOY": "true"}


@pytest.fixture
def checkout(tmp_path: Path) -> RailsApp:
    """A Rails app as CI has checked it out."""
    return RailsApp(tmp_path / "checkout", PROCFILE)


def test_rails_migrates_in_one_off_dynos_and_restarts_its_worker(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp
) -> None:
    job.deployed()
    heroku.apps["hello"].formation["worker"].quantity = 1
    checkout.migration("20260101_add_names")
    with sentry() as server:
        told = {
            "SENTRY_AUTH_TOKEN": TOKEN,
            "SENTRY_URL": server.url,
            "SENTRY_ORG": ORG,
            "SENTRY_PROJECT": "web",
            "DEPLOY_ENVIRONMENT": "staging",
        }
        done = job.run(settings={**SETTINGS, **told})
        assert server.wrong == []
        assert [call.short for call in server.calls if "deploys" in call.path]
    assert done.code == 0, done.output
    assert "new migrations (run after the deploy): 20260101_add_names" in done.output
    calls = checkout.calls
    assert calls[0] == "runner"
    assert any("db:migrate" in call for call in calls[1:])
    writes = heroku.writes()
    assert "DELETE /apps/hello/dynos" in writes, "they have started before the migrations"
    assert "DELETE /apps/hello/formations/worker" not in writes, "it was restarted with the others"
    assert heroku.rendezvous.alive == []
    assert set(heroku.platform.references("hello")) == {"refs/heads/main"}, "no note is left"


def test_restart_is_verified_by_the_dynos_that_it_has_started(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp
) -> None:
    """The old ones may be listed as up for a while after Heroku's answer."""
    job.deployed()
    checkout.migration("20260101_add_names")
    behaviour = heroku.apps["hello"].behaviour
    behaviour.restart_lag = 2.0
    started = job.start(settings=SETTINGS)
    until(lambda: "DELETE /apps/hello/dynos" in heroku.writes(), 60)
    behaviour.boot = "crash"
    done = job.seen(started.done())
    assert done.code == 22, done.output
    assert "0 of 1 dynos up (web.1 crashed" in done.output


def test_release_phase_that_migrates_is_not_followed_by_a_second_migration(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp
) -> None:
    checkout.commit("Phase", {"Procfile": f"{PROCFILE}release: bin/rails db:migrate\n"})
    done = job.run(AUTO_MIGRATE_ON_DEPLOY="true")
    assert done.code == 0, done.output
    assert "migrations: the Procfile's `release:` runs them" in done.output
    assert heroku.rendezvous.executed == []


def test_migration_that_fails_is_told_with_its_own_words(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp
) -> None:
    checkout.tell("broken", "PG::UndefinedTable: there is no table\n")
    done = job.run(AUTO_MIGRATE_ON_DEPLOY="true")
    assert done.code == 22, done.output
    assert "PG::UndefinedTable: there is no table" in done.output
    assert heroku.apps["hello"].running_revision == checkout.head


def test_rollback_names_the_migrations_that_stay(
    heroku: HerokuStandIn, job: Jobs, checkout: RailsApp, tmp_path: Path
) -> None:
    """Also from a shallow clone: what it lacks comes from Heroku's own git."""
    job.deployed()
    checkout.migration("20260101_add_names")
    job.deployed()
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", f"{tmp_path}/shallow")
    done = job.run("rollback", cwd=tmp_path / "shallow")
    assert done.code == 0, done.output
    words = "migrations that the older code does not know (not undone): 20260101_add_names"
    assert words in done.output
