"""Sidekiq is never left quiet, and the seeds of a review app are loaded as often as is asked."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ci_deploy.layers.applications.sidekiq import BUSY, QUIET
from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Done, run, settings_for
from tests.rails import RailsApp

CHECK = "db:abort_if_pending_migrations"
UNFINISHED = "CI_DEPLOY_UNFINISHED"


@pytest.fixture
def app(tmp_path: Path) -> RailsApp:
    """The app, not deployed yet."""
    return RailsApp(tmp_path / "shop")


@pytest.fixture
def env(dokku: DokkuStandIn, naive: Client, app: RailsApp) -> dict[str, str]:
    """Settings, after a first deploy: a worker runs."""
    naive.dokku("ps:scale hello worker=1")
    env = settings_for(dokku, SIDEKIQ_QUIET_ON_DEPLOY="true")
    assert run("deploy", cwd=app.path, env=env).code == 0
    assert app.calls == []  # there was nothing to quiet
    return env


def test_workers_are_quiet_during_the_deploy_and_restarted_after_it(
    dokku: DokkuStandIn, app: RailsApp, env: dict[str, str]
) -> None:
    app.commit("Second")
    done = run("deploy", cwd=app.path, env=env)
    assert done.code == 0, done.output
    order = ["put Sidekiq (worker) into quiet mode", "→ push", "restart worker of hello"]
    assert sorted(order, key=done.output.index) == order
    assert app.calls == ["runner"]
    assert UNFINISHED not in dokku.app("hello").config


def test_jobs_that_take_too_long_are_only_a_warning(
    dokku: DokkuStandIn, app: RailsApp, env: dict[str, str]
) -> None:
    app.commit("Second")
    app.tell("runner", "75")
    done = run("deploy", cwd=app.path, env={**env, "SIDEKIQ_QUIET_TIMEOUT": "7"})
    assert done.code == 0, done.output
    [warning] = done.report["warnings"]
    assert (
        "quiet and idle after 7 s (Sidekiq: 1 processes, 2 jobs running): the deployment continues"
        in warning
    )


def test_workers_that_an_earlier_version_has_left_quiet_are_restarted(
    dokku: DokkuStandIn, naive: Client, app: RailsApp, env: dict[str, str]
) -> None:
    """Its note is a sentence."""
    old = base64.b64encode(b"workers are quiet; somebody has been here").decode()
    naive.dokku(f"config:set hello --no-restart --encoded {UNFINISHED}={old}")
    worker = dokku.app("hello").running["worker.1"]
    doctor = run("ci-deploy", "doctor", cwd=app.path, env=env)
    assert "unfinished: restart the workers, which take no new jobs; somebody has" in doctor.output
    told = run("ci-deploy", "status", "--json", cwd=app.path, env=env)
    assert json.loads(told.output)["tasks"] == ["restart-workers", "unreadable"]
    done = run("deploy", cwd=app.path, env=env)
    assert (done.code, done.report["status"]) == (0, "skipped"), done.output
    assert dokku.app("hello").running["worker.1"] != worker
    assert "restart-workers" not in dokku.app("hello").config[UNFINISHED]
    assert "somebody has been here" in dokku.app("hello").config[UNFINISHED]


def test_quiet_mode_that_fails_stops_the_deploy_and_restarts_what_may_be_quiet(
    dokku: DokkuStandIn, app: RailsApp, env: dict[str, str]
) -> None:
    good = app.head
    worker = dokku.app("hello").running["worker.1"]
    app.commit("Second")
    app.tell("runner", "1")
    done = run("deploy", cwd=app.path, env=env)
    assert done.code == 20, done.output
    assert "Sidekiq could not be put into quiet mode (exit code 1)" in done.output
    assert dokku.app("hello").running_revision == good
    assert dokku.app("hello").running["worker.1"] != worker
    assert UNFINISHED not in dokku.app("hello").config


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"bin/post_compile": "#!/bin/sh\nexit 1\n"}, 20),
        ({"Procfile": "release: false\nworker: sleep 600\n"}, 20),
    ],
    ids=["build", "release"],
)
def test_workers_are_restarted_whatever_fails(
    dokku: DokkuStandIn, app: RailsApp, env: dict[str, str], files: dict[str, str], code: int
) -> None:
    worker = dokku.app("hello").running["worker.1"]
    app.commit("Broken", files)
    for path in files:
        (app.path / path).chmod(0o755)
    app.commit("Executable")
    done = run("deploy", cwd=app.path, env=env)
    assert done.code == code, done.output
    assert dokku.app("hello").running["worker.1"] != worker
    assert UNFINISHED not in dokku.app("hello").config


def test_workers_are_restarted_after_a_failing_migration(
    dokku: DokkuStandIn, app: RailsApp, env: dict[str, str]
) -> None:
    app.migration("20260101_prices")
    app.tell("broken", "StandardError: nope\n")
    done = run("deploy", cwd=app.path, env={**env, "AUTO_MIGRATE_ON_DEPLOY": "true"})
    assert done.code == 22
    assert done.output.index("the migrations failed") > done.output.index("restart worker of hello")


def test_every_process_that_runs_sidekiq_is_restarted(
    dokku: DokkuStandIn, naive: Client, app: RailsApp, env: dict[str, str]
) -> None:
    """Quiet mode reaches all of them, whatever their type."""
    naive.dokku("ps:scale hello worker=1 mailers=1")
    app.commit("Mailers", {"Procfile": "worker: sleep 600\nmailers: sleep 600\n"})
    assert run("deploy", cwd=app.path, env=env).code == 0
    app.commit("Second")
    done = run("deploy", cwd=app.path, env={**env, "SIDEKIQ_PROCESS": "worker,mailers"})
    assert done.code == 0, done.output
    order = [
        "put Sidekiq (worker, mailers) into quiet mode",
        *("→ push", "restart worker of hello", "restart mailers of hello"),
    ]
    assert sorted(order, key=done.output.index) == order
    assert UNFINISHED not in dokku.app("hello").config


# --- the Ruby ---

API = """
class Worker < Struct.new(:busy, :quiet, :embedded)
  def [](_key) = (self.busy = [busy - 1, 0].max).to_s
  def stopping? = quiet
  def embedded? = embedded
  def quiet! = embedded ? raise("it cannot be") : self.quiet = true
end
WORKERS = [Worker.new(ENV["JOBS"].to_i, false, false), Worker.new(0, false, true)]
module Sidekiq
  class ProcessSet
    include Enumerable
    def each(&) = WORKERS.each(&)
  end
end
"""


@pytest.mark.parametrize(("jobs", "code"), [(0, 0), (1, 0), (900, BUSY)])
def test_the_line_waits_for_running_jobs(tmp_path: Path, jobs: int, code: int) -> None:
    """By a real Ruby, with an API of ours."""
    if not (ruby := shutil.which("ruby")):
        assert os.environ.get("CI") != "true", "no ruby: run tests/machine/tools.sh"
        pytest.skip("no ruby: the line that quiets Sidekiq was not run (tests/machine/tools.sh)")
    (tmp_path / "sidekiq").mkdir()
    (tmp_path / "sidekiq/api.rb").write_text(API)
    line = QUIET.format(seconds=3 if code == 0 else 1, busy=BUSY)
    assert "\n" not in line, "Dokku cannot be sent one"
    done = subprocess.run(
        [ruby, "-w", "-I", str(tmp_path), "-e", line],
        env={"JOBS": str(jobs)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("Sidekiq: 1 processes, ")


# --- seeds ---


def _review(server: DokkuStandIn, app: RailsApp, **more: str) -> Done:
    """Deploy the branch's review app."""
    facts = {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(app.path),
        "CI_COMMIT_SHA": app.head,
        "CI_COMMIT_REF_NAME": "feature",
        "CI_DEFAULT_BRANCH": "main",
    }
    env = settings_for(server, AUTO_MIGRATE_ON_DEPLOY="true", **facts, **more)
    done = run("ci-deploy", "review", cwd=app.path, env=env)
    assert done.code == 0, done.output
    return done


@pytest.mark.parametrize(
    ("wanted", "first", "second"),
    [
        ("never", [f"db:prepare {CHECK}"], [f"db:migrate {CHECK}"]),
        ("once", [f"db:prepare {CHECK}", "db:seed"], [f"db:migrate {CHECK}"]),
        ("always", [f"db:prepare {CHECK}", "db:seed"], [f"db:migrate {CHECK}", "db:seed"]),
    ],
)
def test_review_app_is_prepared_first_and_seeded_as_asked(
    dokku: DokkuStandIn, tmp_path: Path, wanted: str, first: list[str], second: list[str]
) -> None:
    app = RailsApp(tmp_path / "shop", lock="7.0.8")
    _review(dokku, app, SEED_ON_REVIEW=wanted)
    assert app.calls == first
    app.migration("20260101_prices")
    _review(dokku, app, SEED_ON_REVIEW=wanted)
    assert app.calls == second


def test_rails_that_seeds_an_empty_database_itself_is_not_seeded_twice(
    dokku: DokkuStandIn, tmp_path: Path
) -> None:
    """From 7.1 on `db:prepare` loads the seeds, also into an empty database that was there."""
    app = RailsApp(tmp_path / "shop", lock="7.2.2")
    _review(dokku, app, SEED_ON_REVIEW="once")
    assert app.calls == [f"db:prepare {CHECK}"]


def test_deploy_of_the_app_itself_is_never_seeded(dokku: DokkuStandIn, app: RailsApp) -> None:
    assert run("deploy", cwd=app.path, env=settings_for(dokku, SEED_ON_REVIEW="always")).code == 0
    assert app.calls == []
