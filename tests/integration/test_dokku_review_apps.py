"""Review apps: clean, marked, with services of their own, and removed without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, run, settings_for
from tests.golden import Golden


def _on(branch: str, checkout: Checkout, **more: str) -> dict[str, str]:
    return {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(checkout.path),
        "CI_COMMIT_SHA": checkout.head,
        "CI_COMMIT_REF_NAME": branch,
        "CI_DEFAULT_BRANCH": "main",
        **more,
    }


@pytest.fixture
def env(dokku: DokkuStandIn, checkout: Checkout) -> dict[str, str]:
    return {
        **settings_for(dokku, DOKKU_SERVICES="postgres redis:7"),
        **_on("feature/login", checkout),
    }


NAME = "hello-feature-login-0be17b"


def test_review_app_is_made_with_services_config_and_domain_over_one_connection(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], golden: Golden
) -> None:
    env |= {"REVIEW_DOMAIN": "review.example.com", "REVIEW_CONFIG": "STAGE=review\n"}
    before = len(dokku.connections())
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    golden("dokku/review", done.output)
    assert len(dokku.connections()) - before == 1
    [name] = [app for app in dokku.apps() if app != "hello"]
    assert name.startswith("hello-feature-login-")
    app = dokku.app(name)
    assert app.running_revision == checkout.head
    assert app.config["STAGE"] == "review"
    assert f"{name}-postgres" in dokku.services("postgres")
    assert f"{name}-redis" in dokku.services("redis")
    assert dokku.services("redis")[f"{name}-redis"].version == "7"
    assert app.config["DATABASE_URL"].endswith(f"/{name.replace('-', '_')}_postgres")
    assert f"{name}.review.example.com" in app.state.domains
    assert not any("apps:clone" in call.raw for call in dokku.calls())


def test_second_run_updates_and_third_has_nothing_to_do(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0
    apps = dokku.apps()
    head = checkout.commit("Second")
    env["CI_COMMIT_SHA"] = head
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert done.report["changed"] is True
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.report["status"] == "skipped"
    assert dokku.apps() == apps


def test_job_that_is_run_again_after_its_branch_is_gone_makes_no_app(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], tmp_path: Path
) -> None:
    """Its merge request was closed since; one that is there is updated still (faults A13)."""
    checkout.git("branch", "feature/login")
    copy = tmp_path / "copy"
    checkout.git("clone", "--quiet", f"file://{checkout.path}", str(copy))
    env |= {"CI_PROJECT_DIR": str(copy), "REDEPLOY": "true", "DOKKU_SERVICES": ""}
    assert run("ci-deploy", "review", cwd=copy, env=env).code == 0
    checkout.git("branch", "-D", "feature/login")
    assert run("ci-deploy", "review", cwd=copy, env=env).report["status"] == "succeeded"
    assert run("ci-deploy", "destroy", cwd=copy, env=env).code == 0
    done = run("ci-deploy", "review", cwd=copy, env=env)
    assert done.code == 0, done.output
    assert done.report["status"] == "skipped"
    assert "the branch feature/login is deleted, so its review app is not recreated" in done.output
    assert dokku.apps() == ["hello"]


def test_push_and_merge_request_pipelines_mean_the_same_app(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0
    merge_request = {
        **env,
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_COMMIT_REF_NAME": "refs/merge-requests/7/head",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/login",
    }
    done = run("ci-deploy", "review", cwd=checkout.path, env=merge_request)
    assert done.report["status"] == "skipped", done.output
    assert len(dokku.apps()) == 2


def test_destroy_needs_no_checkout_removes_app_and_services_and_may_be_repeated(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], tmp_path: Path, golden: Golden
) -> None:
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    env["CI_PROJECT_DIR"] = str(empty)
    del env["DOKKU_SERVICES"]
    said = {"destroy": "destroy the app", "destroy again": "does not exist: nothing to remove"}
    for page, words in said.items():
        done = run("ci-deploy", "destroy", cwd=empty, env=env)
        assert done.code == 0, done.output
        golden(f"dokku/{page}", done.output)
        assert done.report["status"] == "succeeded"
        assert words in done.output
        assert dokku.apps() == ["hello"]
        assert not dokku.services("postgres")
        assert not dokku.services("redis")


@pytest.mark.parametrize("finish", [True, False])
def test_destroy_whose_answer_is_lost_looks_whether_it_was_done(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], finish: bool
) -> None:
    """(faults J2)"""
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0
    dokku.faults(Fault("apps:destroy", "drop", times=1, finish=finish))
    done = run("ci-deploy", "destroy", cwd=checkout.path, env=env)
    there = dokku.apps() != ["hello"]
    assert (done.code, done.report["changed"]) == ((20, False) if there else (0, True)), done.output
    assert ("the connection was lost, but" in done.output) is not there
    assert ("the connection to 127.0.0.1 was lost" in done.output) is there
    assert run("ci-deploy", "destroy", cwd=checkout.path, env=env).code == 0
    assert dokku.apps() == ["hello"]


def test_destroy_never_hits_an_app_that_was_not_made_as_a_review_app(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, env: dict[str, str], golden: Golden
) -> None:
    naive.dokku("apps:create other")
    done = run("ci-deploy", "destroy", cwd=checkout.path, env={**env, "REVIEW_APP_NAME": "other"})
    assert done.code == 14
    golden("dokku/destroy of what is no review app", done.output)
    assert "did not create it as a review app" in done.output
    assert "other" in dokku.apps()
    done = run("ci-deploy", "destroy", cwd=checkout.path, env={**env, "REVIEW_APP_NAME": "hello"})
    assert done.code == 2
    assert "hello" in dokku.apps()


def test_older_app_can_be_adopted_after_it_was_shown(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, env: dict[str, str]
) -> None:
    naive.dokku("apps:create other")
    env["REVIEW_APP_NAME"] = "other"
    assert run("ci-deploy", "destroy", "--adopt", cwd=checkout.path, env=env).code == 14
    assert "other" in dokku.apps()
    done = run("ci-deploy", "destroy", "--adopt", "--yes", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert "other" not in dokku.apps()


def test_review_onto_somebody_elses_app_is_refused(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, env: dict[str, str]
) -> None:
    naive.dokku("apps:create other")
    naive.dokku("config:set --no-restart other A=b")
    done = run("ci-deploy", "review", cwd=checkout.path, env={**env, "REVIEW_APP_NAME": "other"})
    assert done.code == 14
    assert dokku.app("other").running_revision == ""


def test_review_app_that_would_reach_the_base_apps_database_is_refused(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, env: dict[str, str], golden: Golden
) -> None:
    naive.dokku("postgres:create hello-db")
    naive.dokku("postgres:link hello-db hello --no-restart")
    url = dokku.app("hello").config["DATABASE_URL"]
    env["REVIEW_CONFIG"] = f"DATABASE_URL={url}\n"
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 14
    golden("dokku/review with the base app's database", done.output)
    assert "must not reach the base app's services" in done.output
    assert dokku.apps() == ["hello"]
    assert url.rpartition("@")[0].rpartition(":")[2] not in done.output


def test_explicit_service_name_is_not_shared_with_a_review_app(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, env: dict[str, str]
) -> None:
    naive.dokku("postgres:create main-db")
    env["DOKKU_SERVICES"] = "postgres=main-db"
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    [name] = [app for app in dokku.apps() if app != "hello"]
    assert "main_db" not in dokku.app(name).config["DATABASE_URL"]


def test_stale_review_apps_are_listed_first_and_removed_when_told(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str], golden: Golden
) -> None:
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0
    other = {**env, **_on("other", checkout), "REVIEW_APP_NAME": "named-by-hand"}
    assert run("ci-deploy", "review", cwd=checkout.path, env=other).code == 0
    listed = run("ci-deploy", "destroy", "--stale", "30", cwd=checkout.path, env=env)
    assert listed.code == 0, listed.output
    assert "0 review apps of hello" in listed.output
    listed = run("ci-deploy", "destroy", "--stale", "0", cwd=checkout.path, env=env)
    assert "2 review apps of hello" in listed.output
    golden("dokku/destroy stale, listed", listed.output)
    assert len(dokku.apps()) == 3
    done = run("ci-deploy", "destroy", "--stale", "0", "--yes", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert dokku.apps() == ["hello"]
    assert not dokku.services("postgres")


def test_review_app_that_was_never_deployed_gets_old_too(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    dokku.faults(Fault("build", "refuse", text="App build failed", times=1))
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 20
    listed = run("ci-deploy", "destroy", "--stale", "0", cwd=checkout.path, env=env)
    assert "1 review app of hello" in listed.output


def test_review_url_and_certificate(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    env |= {
        "REVIEW_DOMAIN": "review.example.com",
        "REVIEW_URL": "https://{branch}.example.com/{app}",
    }
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    [name] = [app for app in dokku.apps() if app != "hello"]
    assert done.outputs()["DEPLOYED_URL"] == f"https://feature-login.example.com/{name}"
    assert any("letsencrypt:enable" in call.raw for call in dokku.calls())


@pytest.mark.unknown("elasticsearch:")
def test_missing_service_plugin_is_named_before_anything_is_made(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    dokku.configure(plugins=["postgres"])
    env["DOKKU_SERVICES"] = "postgres elasticsearch"
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 2
    assert "no plugin for elasticsearch" in done.output
    assert dokku.apps() == ["hello"]


def test_failed_first_deploy_leaves_an_app_that_the_next_run_completes(
    dokku: DokkuStandIn, checkout: Checkout, env: dict[str, str]
) -> None:
    dokku.faults(Fault("build", "refuse", text="App build failed", times=1))
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 20
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert len(dokku.services("postgres")) == 1
