"""Migrations of a Rails app on a stand-in Dokku: who runs them, when, and what a failure leaves."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Done, Run, run, settings_for, until
from tests.rails import RailsApp

MIGRATE = "db:migrate db:abort_if_pending_migrations"
CHECK = "db:abort_if_pending_migrations"
UNFINISHED = "CI_DEPLOY_UNFINISHED"
RESTART = "→ restart hello: its processes have started before the migrations"


@pytest.fixture
def app(tmp_path: Path) -> RailsApp:
    """The app, not deployed yet."""
    return RailsApp(tmp_path / "shop")


class Shop:
    """The app after its first deploy, and how it is deployed."""

    def __init__(self, server: DokkuStandIn, app: RailsApp) -> None:
        self.app = app
        self.env = settings_for(server, AUTO_MIGRATE_ON_DEPLOY="true")
        assert self.deploy().code == 0
        _ = app.calls

    def deploy(self, **more: str) -> Done:
        return run("deploy", cwd=self.app.path, env={**self.env, **more})


@pytest.fixture
def shop(dokku: DokkuStandIn, app: RailsApp) -> Shop:
    """The app, deployed once."""
    return Shop(dokku, app)


def test_first_deploy_migrates_and_leaves_no_note(dokku: DokkuStandIn, app: RailsApp) -> None:
    env = settings_for(dokku, AUTO_MIGRATE_ON_DEPLOY="true")
    done = run("deploy", cwd=app.path, env=env)
    assert done.code == 0, done.output
    assert app.calls == [MIGRATE]
    assert UNFINISHED not in dokku.app("hello").config


def test_new_migrations_are_named_and_run_in_one_boot_with_their_verification(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices", "20260102_stock")
    done = shop.deploy()
    assert done.code == 0, done.output
    assert "new migrations (run after the deploy): 20260101_prices, 20260102_stock" in done.output
    assert shop.app.calls == [MIGRATE]
    assert UNFINISHED not in dokku.app("hello").config


def test_processes_that_started_before_the_migrations_are_restarted(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    """Rails keeps the columns that it has read: the new code would not know the new ones."""
    naive.dokku("ps:scale hello worker=1")
    shop.app.migration("20260101_prices")
    done = shop.deploy()
    assert done.code == 0, done.output
    order = ["→ push", "run the migrations of hello", RESTART]
    assert sorted(order, key=done.output.index) == order

    shop.app.commit("No migration", {"README": "x"})
    shop.app.tell("pending", "  20260101_of_an_engine\n")  # which git does not show
    assert RESTART in shop.deploy().output

    shop.app.commit("None at all", {"README": "y"})
    before = dokku.app("hello").running
    assert RESTART not in shop.deploy(REDEPLOY="true").output
    shop.app.tell("pending", "  20260102_of_an_engine\n")
    done = shop.deploy(REDEPLOY="true", MIGRATE="before")
    assert RESTART not in done.output, "they start after the migrations"
    assert list(dokku.app("hello").running) == list(before) == ["worker.1"]


def test_app_that_does_not_come_up_after_its_migrations_is_22(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    """The next run restarts it, although nothing is left to deploy or to migrate."""
    shop.app.migration("20260101_prices")
    dokku.faults(Fault("ps:restart", "refuse", text="! it crashes", times=1))
    done = shop.deploy()
    assert (done.code, done.report["failed_layer"]) == (22, "rails"), done.output
    done = shop.deploy()
    assert (done.code, done.report["status"]) == (0, "skipped"), done.output
    assert RESTART in done.output
    assert RESTART not in shop.deploy().output


def test_release_task_counts_only_in_the_procfile_that_the_server_uses(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    """The one at the top is of another app of the repository."""
    naive.dokku("ps:set hello procfile-path deploy/Procfile")
    worker = "worker: sleep 600\n"
    procfiles = {"Procfile": f"release: bin/rails db:migrate\n{worker}", "deploy/Procfile": worker}
    shop.app.migration("20260101_prices", **procfiles)
    done = shop.deploy()
    assert done.code == 0, done.output
    assert "so they are not run again" not in done.output
    assert shop.app.calls == [MIGRATE]


def test_migrations_that_nobody_runs_are_told(shop: Shop) -> None:
    shop.app.migration("20260101_prices")
    done = shop.deploy(AUTO_MIGRATE_ON_DEPLOY="false")
    assert done.code == 0
    line = (
        "new migrations (not run by ci-deploy: AUTO_MIGRATE_ON_DEPLOY is not true): 20260101_prices"
    )
    assert line in done.output
    assert shop.app.calls == []


def test_release_task_that_migrates_is_not_repeated(dokku: DokkuStandIn, tmp_path: Path) -> None:
    app = RailsApp(tmp_path / "own", "release: bin/rails db:migrate\nworker: sleep 600\n")
    env = settings_for(dokku, AUTO_MIGRATE_ON_DEPLOY="true")
    done = run("deploy", cwd=app.path, env=env)
    assert done.code == 0, done.output
    assert "migrations: the Procfile's `release:` runs them, so they are not" in done.output
    assert app.calls == ["db:migrate"]


def test_before_traffic_migrates_the_new_release_while_the_old_one_serves(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices")
    done = shop.deploy(MIGRATE="before")
    assert done.code == 0, done.output
    assert "new migrations (run before the release gets traffic): 20260101_prices" in done.output
    order = [
        "build hello without releasing it",
        "run the migrations of hello",
        "release the build of hello",
    ]
    assert sorted(order, key=done.output.index) == order
    assert shop.app.calls == [MIGRATE]


def test_migration_that_fails_before_traffic_leaves_the_old_release_live(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    good = shop.app.head
    shop.app.migration("20260101_prices")
    shop.app.tell("broken", "StandardError: nope\n")
    done = shop.deploy(MIGRATE="before")
    assert done.code == 20, done.output
    assert "the migrations failed (exit code 1)" in done.output
    assert dokku.app("hello").running_revision == good
    shop.app.heal()
    assert shop.deploy(MIGRATE="before").code == 0
    assert dokku.app("hello").running_revision == shop.app.head


def test_migration_that_fails_after_the_deploy_is_22_and_the_next_run_finishes_it(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices")
    shop.app.tell("broken", "StandardError: nope\n")
    done = shop.deploy()
    assert done.code == 22, done.output
    assert done.report["failed_layer"] == "rails"
    assert '"key": "migrate"' in dokku.app("hello").config[UNFINISHED]
    shop.app.heal()
    _ = shop.app.calls
    done = shop.deploy()
    assert (done.code, done.report["status"]) == (0, "skipped")
    assert shop.app.calls == [MIGRATE]
    assert UNFINISHED not in dokku.app("hello").config


def test_lock_of_another_migration_is_explained(shop: Shop) -> None:
    shop.app.migration("20260101_prices")
    shop.app.tell(
        "broken",
        "ActiveRecord::ConcurrentMigrationError: \n\n"
        "Cannot run migrations because another migration process is currently running.\n",
    )
    done = shop.deploy()
    assert done.code == 22
    assert "Another migration holds the database's advisory lock" in done.output
    assert "pgbouncer" in done.output


def test_migrations_that_are_still_pending_afterwards_are_a_failure(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices", **{"bin/rails": "#!/bin/sh\n"})
    stubborn = '#!/bin/sh\necho "You have 1 pending migration:"\nexit 1\n'
    shop.app.commit("It migrates nothing", {"bin/rails": stubborn})
    done = shop.deploy()
    assert done.code == 22, done.output
    assert "still pending after `db:migrate`" in done.output


def test_kill_between_deploy_and_migration_is_finished_by_the_next_run(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices")
    hang = Fault("run hello", "hang", times=1)
    dokku.faults(hang)
    running = Run("deploy", cwd=shop.app.path, env=shop.env)
    until(lambda: dokku.struck(hang))
    running.signal(signal.SIGKILL)
    running.done(timeout=10)
    assert shop.app.calls == []
    done = shop.deploy()
    assert (done.code, done.report["status"]) == (0, "skipped"), done.output
    assert shop.app.calls == [MIGRATE]
    assert shop.deploy().report["status"] == "skipped"
    assert shop.app.calls == []


@pytest.mark.unknown("builds:list")  # asked where the app is locked; it has none
def test_cancelled_deploy_that_the_server_finishes_is_migrated_by_the_next_run(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    """Before 0.38 a build cannot be cancelled from outside."""
    dokku.configure(version="0.34.9")
    shop.app.migration("20260101_prices", Procfile="release: sleep 6\nworker: sleep 600\n")
    running = Run("deploy", cwd=shop.app.path, env=shop.env)
    running.wait_for("Executing release task")
    running.signal(signal.SIGTERM)
    assert running.done().code == 143
    until(lambda: dokku.app("hello").running_revision == shop.app.head)
    assert shop.app.calls == []
    done = shop.deploy()
    assert (done.code, done.report["status"]) == (0, "skipped"), done.output
    assert shop.app.calls == [MIGRATE]
    assert UNFINISHED not in dokku.app("hello").config


def test_deploy_that_fails_before_it_is_live_forgets_its_migrations(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices", Procfile="release: false\nworker: sleep 600\n")
    assert shop.deploy().code == 20
    assert UNFINISHED not in dokku.app("hello").config
    assert shop.app.calls == []


# --- backups ---


def test_backup_is_made_before_anything_changes_and_only_with_new_migrations(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    naive.dokku("postgres:create shop-db")
    naive.dokku("postgres:link shop-db hello --no-restart")
    shop.app.migration("20260101_prices")
    done = shop.deploy(BACKUP_BEFORE_MIGRATE="true")
    assert done.code == 0, done.output
    order = ["export the postgres service shop-db", "→ push", "→ run the migrations"]
    assert sorted(order, key=done.output.index) == order
    assert (shop.app.path / "deploy-backup-shop-db.dump").stat().st_size
    assert shop.app.calls == [MIGRATE]

    shop.app.commit("No migration", {"README": "x"})
    done = shop.deploy(BACKUP_BEFORE_MIGRATE="true")
    assert done.code == 0
    assert "export the" not in done.output
    assert shop.app.calls == [CHECK]


def test_migrations_that_git_does_not_show_are_backed_up_all_the_same(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    """An engine's migrations lie elsewhere; the app itself says that something is pending."""
    naive.dokku("postgres:create shop-db")
    naive.dokku("postgres:link shop-db hello --no-restart")
    shop.app.commit("No migration of our own", {"README": "x"})
    shop.app.tell("pending", "  20260101_of_an_engine\n")
    done = shop.deploy(BACKUP_BEFORE_MIGRATE="true")
    assert done.code == 0, done.output
    assert "export the postgres service shop-db" in done.output
    assert shop.app.calls == [CHECK, MIGRATE]


def test_failing_backup_stops_the_deploy_with_nothing_changed(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    good = shop.app.head
    shop.app.migration("20260101_prices")
    done = shop.deploy(BACKUP_BEFORE_MIGRATE="true")
    assert done.code == 20
    assert "no database is linked to hello" in done.output
    assert dokku.app("hello").running_revision == good
    assert shop.app.calls == []
    assert UNFINISHED not in dokku.app("hello").config


def test_backup_is_made_when_dokku_itself_migrates(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    naive.dokku("postgres:create shop-db")
    naive.dokku("postgres:link shop-db hello --no-restart")
    procfile = "release: bin/rails db:migrate\nworker: sleep 600\n"
    shop.app.migration("20260101_prices", Procfile=procfile)
    done = shop.deploy(BACKUP_BEFORE_MIGRATE="true")
    assert done.code == 0, done.output
    order = ["export the postgres service shop-db", "→ push", "Executing release task"]
    assert sorted(order, key=done.output.index) == order
    kept = "deploy-backup-shop-db.dump, in the checkout of this job only"
    assert f"backup before the migrations: {kept}" in done.output


def test_before_traffic_the_backup_comes_right_before_the_migration(
    dokku: DokkuStandIn, naive: Client, shop: Shop
) -> None:
    naive.dokku("postgres:create shop-db")
    naive.dokku("postgres:link shop-db hello --no-restart")
    shop.app.migration("20260101_prices")
    done = shop.deploy(BACKUP_BEFORE_MIGRATE="true", MIGRATE="before")
    assert done.code == 0, done.output
    order = [
        "→ push",
        "export the postgres service shop-db",
        "run the migrations",
        "release the build",
    ]
    assert sorted(order, key=done.output.index) == order
    assert shop.app.calls == [CHECK, MIGRATE]


# --- plan ---


def test_plan_names_what_a_deploy_then_does(dokku: DokkuStandIn, shop: Shop) -> None:
    shop.app.migration("20260101_prices")
    plan = run("ci-deploy", "plan", cwd=shop.app.path, env=shop.env)
    assert plan.code == 0, plan.output
    assert shop.app.calls == []
    done = shop.deploy()
    assert plan.report["changes"] == done.report["changes"]


# --- going back ---


def test_rollback_names_the_migrations_that_stay(dokku: DokkuStandIn, shop: Shop) -> None:
    good = shop.app.head
    shop.app.migration("20260101_prices")
    assert shop.deploy().code == 0
    _ = shop.app.calls
    done = run("ci-deploy", "rollback", cwd=shop.app.path, env=shop.env)
    assert done.code == 0, done.output
    assert "the older code does not know (not undone): 20260101_prices" in done.output
    assert dokku.app("hello").running_revision == good
    assert shop.app.calls == []


def test_rollback_undoes_migrations_first_when_asked(dokku: DokkuStandIn, shop: Shop) -> None:
    good = shop.app.head
    shop.app.migration("20260101_prices", "20260102_stock")
    assert shop.deploy().code == 0
    _ = shop.app.calls
    words = ("rollback", "--migrations", "2")
    done = run("ci-deploy", *words, cwd=shop.app.path, env=shop.env)
    assert done.code == 0, done.output
    assert done.output.index("undo the last 2 migrations") < done.output.index("→ push")
    assert shop.app.calls == ["db:rollback STEP=2"]
    assert dokku.app("hello").running_revision == good
    assert UNFINISHED not in dokku.app("hello").config


def test_rollback_that_was_killed_after_undoing_does_not_undo_twice(
    dokku: DokkuStandIn, shop: Shop
) -> None:
    shop.app.migration("20260101_prices")
    assert shop.deploy().code == 0
    words = ("rollback", "--migrations", "1")
    hang = Fault("push", "hang", times=1)
    dokku.faults(hang)
    running = Run("ci-deploy", *words, cwd=shop.app.path, env=shop.env)
    until(lambda: dokku.struck(hang))
    running.signal(signal.SIGKILL)
    running.done(timeout=10)
    _ = shop.app.calls
    done = run("ci-deploy", *words, cwd=shop.app.path, env=shop.env)
    assert done.code == 14, done.output
    assert "may have undone migrations" in done.output
    assert shop.app.calls == []
    shop.app.tell("pending", "  20260101_prices\n")
    done = shop.deploy()  # or forward again: the schema follows
    assert done.report["status"] == "skipped"
    assert shop.app.calls == [MIGRATE]


def test_several_databases_need_a_name_to_undo(shop: Shop) -> None:
    shop.app.migration("20260101_prices")
    assert shop.deploy().code == 0
    shop.app.tell("broken", "You're using a multiple database application. To use `db:rollback`\n")
    words = ("rollback", "--migrations", "1")
    done = run("ci-deploy", *words, cwd=shop.app.path, env=shop.env)
    assert done.code == 20
    assert "bin/rails db:rollback:NAME" in done.output


def test_undoing_needs_a_framework(dokku: DokkuStandIn, shop: Shop) -> None:
    env = {**shop.env, "DEPLOY_APPLICATION": "none"}
    done = run("ci-deploy", "rollback", "--migrations", "1", cwd=shop.app.path, env=env)
    assert done.code == 2
    assert "set DEPLOY_APPLICATION" in done.output
