"""What runs, told truthfully where Dokku's own records or words would mislead."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import HELLO, Checkout, Run, run, settings_for, until
from standins.webhooks import Webhooks, webhooks
from tests.rails import RailsApp

IMAGE = "registry.example.com/hello:latest"
WEB = {"app.py": (HELLO / "app.py").read_text(), "Procfile": "web: python3 app.py\n"}


# --- answers ---


@pytest.mark.parametrize("words", ["Access denied", "User does not have permission"])
def test_config_that_holds_the_words_of_a_refusal_is_no_refusal_and_not_quoted(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, words: str
) -> None:
    secret = "postgres://u:s3cr3t-one@db/x"
    naive.dokku(f"config:set --no-restart hello MESSAGE_403='{words}' DATABASE_URL={secret}")
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "s3cr3t-one" not in done.output + json.dumps(done.report)


def test_output_of_the_app_is_not_taken_for_words_of_git(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """`cannot lock ref` from git means that another push was quicker, and is tried again."""
    lines = "error: cannot lock ref\\n ! [rejected] a -> b (fetch first)\\n"
    checkout.commit("Noisy", {"Procfile": f"release: printf '{lines}'; exit 1\nworker: sleep 9\n"})
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, LOCK_TIMEOUT="20"))
    assert done.code == 20, done.output
    assert done.output.count("→ push") == 1


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", f"--git-dir={repository}", *arguments], check=True)


@pytest.mark.parametrize("refusal", ["branch in the way", "not bare", "never back"])
def test_branch_that_cannot_be_moved_is_told_once_and_never_skipped(
    dokku: DokkuStandIn, checkout: Checkout, refusal: str
) -> None:
    """The server deploys before git refuses, and would do so at each try (faults A3, B2)."""
    old = checkout.head
    checkout.commit("Second")
    repository = dokku.store.repo("hello")
    env = settings_for(dokku, LOCK_TIMEOUT="20")
    if refusal == "branch in the way":
        assert run("deploy", cwd=checkout.path, env=env).code == 0
        _git(repository, "update-ref", "-d", "refs/heads/master")
        _git(repository, "update-ref", "refs/heads/master/old", old)
        checkout.commit("Third")
        words = "'refs/heads/master/old' exists"
    elif refusal == "not bare":
        _git(repository, "config", "core.bare", "false")
        words = "core.bare true"
    else:
        assert run("deploy", cwd=checkout.path, env=env).code == 0
        _git(repository, "config", "receive.denyNonFastForwards", "true")
        checkout.git("reset", "--quiet", "--hard", old)
        words = "receive.denyNonFastForwards false"
    for _ in range(2):  # the next job is not green either: a rebuild would bring old code back
        done = run("deploy", cwd=checkout.path, env=env)
        assert done.code == 22, done.output
        assert done.output.count("→ push") == 1
        assert "but the branch master on the server could not be moved" in done.output
        assert words in done.output
        assert re.search(
            rf"hello (still )?runs {checkout.git('rev-parse', 'HEAD')[:7]}", done.output
        )


def test_waiting_for_a_lock_pushes_only_when_nothing_runs(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """A refused push makes the running build impossible to cancel, and fills the server's short
    list of builds (faults K6)."""
    dokku.configure(build_seconds=6.0)
    first = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    until(lambda: "running" in naive.dokku("builds:list hello --format json").stdout)
    checkout.commit("Second")
    second = run("deploy", cwd=checkout.path, env=settings_for(dokku, LOCK_TIMEOUT="60"))
    assert (first.done().code, second.code) == (0, 0), second.output
    builds = json.loads(naive.dokku("builds:list hello --format json").stdout)
    assert [each["status"] for each in builds] == ["succeeded", "succeeded"]


def test_waiting_for_a_lock_ends_in_time_for_the_whole_deploy(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    dokku.faults(Fault("push", "refuse", text="hello currently has a deploy lock in place"))
    env = settings_for(dokku, DEPLOY_TIMEOUT="15", LOCK_TIMEOUT="600")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 13, done.output
    assert done.seconds < 45


def test_following_a_lost_connection_ends_with_the_time_for_the_deploy(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    dokku.configure(build_seconds=60.0)
    dokku.faults(Fault("build", "drop", times=1))
    env = settings_for(dokku, DEPLOY_TIMEOUT="15")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 21, done.output
    assert done.seconds < 45
    assert len(dokku.calls()) < 100


# --- builds that are held back ---


@pytest.mark.parametrize(("whose", "code"), [("hello", 14), ("--global", 20)])
def test_build_that_somebody_holds_back_is_never_green(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, whose: str, code: int
) -> None:
    env = settings_for(dokku)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    old = checkout.head
    naive.dokku(f"ps:set {whose} skip-deploy true")
    checkout.commit("Second")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == code, done.output
    assert dokku.app("hello").running_revision == old
    assert f"hello still runs {old[:7]}" in done.output
    assert "skip-deploy" in done.output
    naive.dokku(f"ps:set {whose} skip-deploy")
    again = run("deploy", cwd=checkout.path, env=env)
    assert again.code == 0, again.output
    assert dokku.app("hello").running_revision == checkout.head


class Held:
    """A Rails app whose next revision was built, but not let go live: its migration has failed."""

    def __init__(self, dokku: DokkuStandIn, naive: Client, app: RailsApp) -> None:
        self.dokku, self.app = dokku, app
        self.env = settings_for(dokku, AUTO_MIGRATE_ON_DEPLOY="true")
        assert run("deploy", cwd=app.path, env=self.env).code == 0
        naive.dokku("ps:scale hello worker=1")
        self.old = app.head
        self.env["MIGRATE"] = "before"
        self.new = app.migration("20260101_prices")
        app.tell("broken", "it does not work\n")
        self.failed = run("deploy", cwd=app.path, env=self.env)
        assert self.failed.code == 20, self.failed.output


@pytest.fixture
def held(dokku: DokkuStandIn, naive: Client, tmp_path: Path) -> Held:
    return Held(dokku, naive, RailsApp(tmp_path / "shop"))


def test_what_was_held_back_is_not_started_by_a_restart(held: Held, naive: Client) -> None:
    """Dokku starts what it has built last, so what runs is built again."""
    assert f"hello still runs {held.old[:7]}" in held.failed.output
    naive.dokku("ps:restart hello")
    assert held.dokku.app("hello").running_revision == held.old
    assert "CI_DEPLOY_UNFINISHED" not in held.dokku.app("hello").config
    again = run("deploy", cwd=held.app.path, env={**held.env, "DEPLOY_REVISION": held.old})
    assert (again.code, again.report["status"]) == (0, "skipped"), again.output


def test_correction_on_top_of_what_runs_replaces_what_was_held_back(held: Held) -> None:
    held.app.heal()
    held.app.git("reset", "--quiet", "--hard", held.old)
    fixed = held.app.commit("Without the migration")
    done = run("deploy", cwd=held.app.path, env=held.env)
    assert done.code == 0, done.output
    assert held.dokku.app("hello").running_revision == fixed


def test_workers_that_were_quieted_wake_with_the_revision_that_runs(
    dokku: DokkuStandIn, naive: Client, tmp_path: Path
) -> None:
    app = RailsApp(tmp_path / "shop")
    env = settings_for(dokku, AUTO_MIGRATE_ON_DEPLOY="true", SIDEKIQ_QUIET_ON_DEPLOY="true")
    assert run("deploy", cwd=app.path, env=env).code == 0
    naive.dokku("ps:scale hello worker=1")
    old = app.head
    app.migration("20260101_prices")
    app.tell("broken", "it does not work\n")
    done = run("deploy", cwd=app.path, env={**env, "MIGRATE": "before"})
    assert done.code == 20, done.output
    state = dokku.app("hello").state
    assert {each.type for each in state.processes} == {"worker"}
    assert dokku.app("hello").running_revision == old


def test_killed_while_held_back_the_next_run_knows_what_runs(
    dokku: DokkuStandIn, naive: Client, tmp_path: Path
) -> None:
    app = RailsApp(tmp_path / "shop")
    env = settings_for(dokku, AUTO_MIGRATE_ON_DEPLOY="true")
    assert run("deploy", cwd=app.path, env=env).code == 0
    naive.dokku("ps:scale hello worker=1")
    old = app.head
    new = app.migration("20260101_prices")
    hang = Fault("run hello", "hang", times=1)
    dokku.faults(hang)
    running = Run("deploy", cwd=app.path, env={**env, "MIGRATE": "before"})
    until(lambda: dokku.struck(hang))
    running.signal(signal.SIGKILL)
    running.done(timeout=10)
    done = run("ci-deploy", "doctor", cwd=app.path, env=env)
    assert old[:7] in done.output
    done = run("deploy", cwd=app.path, env={**env, "APP_CONFIG": "A=b", "DEPLOY_REVISION": old})
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == old != new
    assert "CI_DEPLOY_UNFINISHED" not in dokku.app("hello").config


@pytest.mark.parametrize("method", ["push", "archive"])
def test_process_that_nobody_has_scaled_up_is_named(
    dokku: DokkuStandIn, checkout: Checkout, naive: Client, method: str
) -> None:
    """A new type of process does not start; the deploy was green with all processes up."""
    both = f"{WEB['Procfile']}worker: sleep 600\n"
    env = settings_for(dokku, DEPLOY_METHOD=method)
    checkout.commit("Web", {**WEB, "Procfile": both})
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert "1 of 1 processes up; scaled to 0: worker\n" in done.output
    naive.dokku("ps:scale hello worker=1")
    checkout.commit("Next")
    done = run("deploy", cwd=checkout.path, env=env)
    assert "2 of 2 processes up\n" in done.output


# --- containers that are new, but not ours ---


def test_restart_by_somebody_else_during_a_failing_build_is_not_our_deploy(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    env = settings_for(dokku, LIVE_BUT_FAILED="warn")
    old = checkout.commit("Web", WEB)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    checkout.commit("Broken", {"Procfile": "release: sleep 4; exit 1\nweb: python3 app.py\n"})
    running = Run("deploy", cwd=checkout.path, env=env)
    running.wait_for("release task")
    naive.dokku("ps:restart hello")
    done = running.done()
    assert (done.code, done.report["live_revision"]) == (20, old), done.output
    assert "CI_DEPLOY_UNFINISHED" not in dokku.app("hello").config


# --- images and archives ---


def _image(dokku: DokkuStandIn, folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "Procfile").write_text(f"worker: sleep 600 # {text}\n")
    dokku.image(IMAGE, folder)


def test_tag_that_has_moved_is_deployed_again(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    env = settings_for(dokku, DOKKU_IMAGE=IMAGE)
    _image(dokku, tmp_path / "one", "one")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    assert run("deploy", cwd=checkout.path, env=env).report["status"] == "skipped"
    _image(dokku, tmp_path / "two", "two")
    second = checkout.commit("Second")
    builds = dokku.app("hello").releases
    done = run("deploy", cwd=checkout.path, env=env)
    assert (done.code, done.report["live_revision"]) == (0, second), done.output
    assert dokku.app("hello").releases > builds
    dokku.configure(version="0.36.0")
    checkout.commit("Third")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 10, done.output
    assert "does not pull a tag again" in done.output


def test_rollback_to_a_push_with_the_settings_of_an_image_brings_the_push_back(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    old = checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    _image(dokku, tmp_path / "one", "one")
    checkout.commit("Second")
    env = settings_for(dokku, DOKKU_IMAGE=IMAGE)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    done = run("ci-deploy", "rollback", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == old
    assert dokku.app("hello").state.properties.get("git.source-image", "") == ""


def test_archive_of_somebody_else_is_not_taken_for_ours(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, tmp_path: Path
) -> None:
    """An old branch `master` beside the deploy branch `main` must not name every archive."""
    naive.push(checkout.path, "hello", "HEAD:refs/heads/master")
    naive.dokku("git:set hello deploy-branch main")
    env = settings_for(dokku, DEPLOY_METHOD="archive")
    second = checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    other = Checkout(tmp_path / "other", {"Procfile": "worker: sleep 601\n"})
    foreign = settings_for(dokku, DEPLOY_METHOD="archive", FORCE_PUSH="true")
    assert run("deploy", cwd=other.path, env=foreign).code == 0
    before = dokku.app("hello").releases
    env["FORCE_PUSH"] = "true"
    done = run("deploy", cwd=checkout.path, env=env)
    assert (done.code, done.report["live_revision"]) == (0, second), done.output
    assert done.report["status"] == "succeeded"
    assert dokku.app("hello").releases > before


def test_rebuild_is_only_made_of_what_the_branch_holds(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Before 0.35.4 a failing task could leave the branch at a revision that does not run."""
    env = settings_for(dokku)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    old = checkout.head
    new = checkout.commit("Second")
    checkout.git("push", "--quiet", str(dokku.app("hello").repo), f"{new}:refs/heads/elsewhere")
    repo = ["--git-dir", str(dokku.app("hello").repo)]
    checkout.git(*repo, "update-ref", "refs/heads/master", new)
    done = run("deploy", cwd=checkout.path, env={**env, "DEPLOY_REVISION": old, "REDEPLOY": "true"})
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == old


# --- apps and services of others ---


def test_rollback_of_a_mistyped_app_does_not_create_it(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    env = settings_for(dokku, APP_NAME="helo", DOKKU_CREATE_APP="true")
    for words in (("plan", "rollback"), ("rollback",)):
        done = run("ci-deploy", *words, cwd=checkout.path, env=env)
        assert done.code == 2, done.output
        assert "Did you mean `hello`?" in done.output
    assert dokku.apps() == ["hello"]


def test_review_app_never_gets_a_service_of_another_app(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("postgres:create hello-de-postgres")
    naive.dokku("apps:create shop.example")
    naive.dokku("postgres:link hello-de-postgres shop.example --no-restart")
    env = settings_for(dokku, DOKKU_SERVICES="postgres", REVIEW_APP_NAME="hello-de")
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 14, done.output
    assert "the postgres service hello-de-postgres is linked to shop.example" in done.output
    assert "hello-de" not in dokku.apps()


def test_destroying_an_app_that_is_not_there_touches_no_service(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("postgres:create hello-de-postgres")
    env = settings_for(dokku, REVIEW_APP_NAME="hello-de")
    done = run("ci-deploy", "destroy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert list(dokku.services("postgres")) == ["hello-de-postgres"]


@pytest.mark.parametrize(
    ("base", "wanted"),
    [
        ("http://dokku-elasticsearch-hello:9200", "http://dokku-elasticsearch-hello:9200"),
        ("postgres://u:pass-word@dokku-postgres-hello:5432/x", "{}?pool=5"),
    ],
)
def test_address_of_the_base_apps_service_is_refused_in_any_form(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, base: str, wanted: str
) -> None:
    naive.dokku(f"config:set --no-restart hello STORE_URL='{base}'")
    env = settings_for(dokku, REVIEW_APP_NAME="hello-x")
    env["REVIEW_CONFIG"] = f"STORE_URL={wanted.format(base)}\n"
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 14, done.output
    assert "must not reach the base app's services" in done.output


# --- ROLLBACK_ON_FAILURE ---


@pytest.fixture
def sick(dokku: DokkuStandIn, checkout: Checkout) -> Iterator[tuple[Webhooks, dict[str, str]]]:
    """The next revision of a deployed app, whose health check fails, and the settings for it."""
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("Sick")
    with webhooks() as hook:
        hook.answer = 500
        wanted = {"HEALTHCHECK_URL": hook.url, "HEALTHCHECK_TIMEOUT": "15"}
        yield hook, settings_for(dokku, ROLLBACK_ON_FAILURE="true", **wanted)


def test_automatic_rollback_leaves_what_was_deployed_meanwhile(
    dokku: DokkuStandIn,
    naive: Client,
    checkout: Checkout,
    sick: tuple[Webhooks, dict[str, str]],
) -> None:
    hook, env = sick
    running = Run("deploy", cwd=checkout.path, env=env)
    until(lambda: hook.requests)
    newer = checkout.commit("Newer")
    naive.push(checkout.path, "hello", "HEAD:refs/heads/master")
    done = running.done()
    assert dokku.app("hello").running_revision == newer
    assert (done.code, done.report["live_revision"]) == (20, newer), done.output
    assert "not rolled back" in done.output


def test_cancel_during_an_automatic_rollback_stops_its_build(
    dokku: DokkuStandIn, checkout: Checkout, sick: tuple[Webhooks, dict[str, str]]
) -> None:
    hook, env = sick
    running = Run("deploy", cwd=checkout.path, env=env)
    until(lambda: hook.requests)
    dokku.configure(build_seconds=30.0)
    seen = running.wait_for("▸ rollback", 60)
    if "Building hello" not in seen.partition("▸ rollback")[2]:
        running.wait_for("Building hello", 60)
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143, done.output
    until(lambda: not dokku.app("hello").locked)
    assert any("builds:cancel hello" in call.raw for call in dokku.calls())
