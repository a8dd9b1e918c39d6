"""Review apps: set up from app.json, marked, updated, removed, swept; nobody else's is touched."""

from __future__ import annotations

import json
import signal

import pytest

from standins.heroku.faults import Fault
from standins.heroku.model import timestamp
from standins.heroku.server import HerokuStandIn
from standins.support import Checkout, until
from tests.integration.heroku.conftest import Jobs, on

MANIFEST = {
    "addons": ["heroku-postgresql:essential-0"],
    "env": {"SECRET_KEY": {"generator": "secret"}, "RAILS_ENV": "production"},
    "environments": {"review": {"env": {"SEEDS": {"value": "many"}}}},
    "scripts": {"postdeploy": "bin/seed"},
}
NAME = "hello-feature-login-df7c7a"


@pytest.fixture
def env(checkout: Checkout, heroku: HerokuStandIn) -> dict[str, str]:
    """A job of a branch; the base app is in a pipeline and a team."""
    checkout.commit("Manifest", {"app.json": json.dumps(MANIFEST)})
    heroku.apps["hello"].team = "acme"
    heroku.pipeline("pipe", production="hello")
    return on("feature/login", checkout)


def test_review_app_is_set_up_from_app_json_in_the_team_and_the_pipeline(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    done = job.run("review", settings=env, REVIEW_CONFIG="STAGE=review\nAPI_TOKEN=s3cret-value\n")
    assert done.code == 0, done.output
    app = heroku.apps[NAME]
    assert app.running_revision == job.checkout.head
    assert (app.team, app.region, app.stack) == ("acme", "eu", "heroku-24")
    assert app.addons == ["heroku-postgresql:essential-0"]
    assert app.config["SEEDS"] == "many"
    assert app.config["STAGE"] == "review"
    assert app.config["SECRET_KEY"]
    assert json.loads(app.config["CI_DEPLOY_REVIEW_APP"])["base"] == "hello"
    [pipe] = heroku.platform.pipelines.values()
    assert pipe.stages[app.id] == "review"
    assert "ran bin/seed" in done.output
    assert "s3cret-value" not in done.output
    assert done.outputs()["DEPLOYED_URL"] == f"{heroku.url}/_web/{NAME}/"
    assert heroku.platform.references(NAME) == {}, "no note is left"


def test_second_run_updates_and_third_has_nothing_to_do(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    assert job.run("review", settings=env).code == 0
    app, database = heroku.apps[NAME], heroku.apps[NAME].config["DATABASE_URL"]
    env["CI_COMMIT_SHA"] = job.checkout.commit("Second")
    done = job.run("review", settings=env)
    assert done.code == 0, done.output
    assert app.running_revision == job.checkout.head
    assert app.config["DATABASE_URL"] == database
    assert job.run("review", settings=env).report["status"] == "skipped"
    assert heroku.apps[NAME] is app


def test_without_app_json_it_is_created_and_pushed_to(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    job.checkout.git("rm", "--quiet", "app.json")
    env["CI_COMMIT_SHA"] = job.checkout.commit("No manifest")
    done = job.run("review", settings=env)
    assert done.code == 0, done.output
    assert heroku.apps[NAME].running_revision == job.checkout.head
    assert heroku.writes("/_") == [
        "POST /teams/apps",
        f"PATCH /apps/{NAME}/config-vars",
        "POST /pipeline-couplings",
    ]


def test_pull_request_on_github_means_the_same_app(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    assert job.run("review", settings=env).code == 0
    done = job.run("destroy", settings=_pull_request(job, "closed"))
    assert done.code == 0, done.output
    assert set(heroku.apps) == {"hello"}


def test_pull_request_on_github_creates_and_updates_its_app(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    for action in ("opened", "synchronize"):
        head = job.checkout.commit(action)
        done = job.run("review", settings=_pull_request(job, action))
        assert done.code == 0, done.output
        assert heroku.apps[NAME].running_revision == head
    assert len([call for call in heroku.writes() if call == "POST /app-setups"]) == 1
    assert job.run("review", settings=_pull_request(job, "reopened")).report["status"] == "skipped"


def _pull_request(job: Jobs, action: str) -> dict[str, str]:
    """What GitHub tells a job of a pull request; GITHUB_SHA is its test merge."""
    event = job.private.parent / "event.json"
    head = {"sha": job.checkout.head, "ref": "feature/login", "repo": {"full_name": "acme/hello"}}
    event.write_text(json.dumps({"action": action, "pull_request": {"number": 7, "head": head}}))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(job.checkout.path),
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "acme/hello",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_HEAD_REF": "feature/login",
        "GITHUB_SHA": "0" * 40,
    }


@pytest.mark.parametrize("branch", ["Ünïcode/ÄÖ", "feature/" + "very-long-" * 9 + "1"])
def test_name_has_30_characters_at_most_and_is_valid(
    heroku: HerokuStandIn, job: Jobs, branch: str
) -> None:
    """Heroku's own rule decides: the stand-in refuses names as Heroku does."""
    done = job.run("review", settings=on(branch, job.checkout))
    assert done.code == 0, done.output
    [name] = set(heroku.apps) - {"hello"}
    assert len(name) <= 30


# --- set-ups that fail ---


@pytest.mark.parametrize("how", ["build", "postdeploy", "env"])
def test_failed_setup_is_told_and_made_anew(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str], how: str
) -> None:
    new = heroku.behaviour_of_new_apps
    if how == "build":
        new.build = "fail"
    elif how == "postdeploy":
        new.postdeploy = 1
    else:
        manifest = {**MANIFEST, "env": {"LICENCE": {"required": True}}}
        env["CI_COMMIT_SHA"] = job.checkout.commit("Env", {"app.json": json.dumps(manifest)})
    words = {
        "build": "app did not build",
        "postdeploy": "postdeploy exit code was not 0",
        "env": "env LICENCE is required. REVIEW_CONFIG can set",
    }
    done = job.run("review", settings=env)
    assert done.code in {20, 22}, done.output
    assert words[how] in f"{done.report['message']} {done.report['hint']}"
    first = heroku.apps[NAME]

    new.build, new.postdeploy = "succeed", 0
    done = job.run("review", settings=env, REVIEW_CONFIG="LICENCE=to-deploy\n")
    assert done.code == 0, done.output
    assert heroku.apps[NAME] is not first
    assert heroku.apps[NAME].running_revision == job.checkout.head


def test_limit_of_requests_is_waited_for(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    asked = {"Retry-After": "1"}
    heroku.faults(
        Fault("POST /app-setups", 429, headers=asked),
        Fault("GET /app-setups/", 429, headers=asked),
        Fault(f"DELETE /apps/{NAME}", 429, headers=asked),
    )
    assert job.run("review", settings=env).code == 0
    assert job.run("destroy", settings=env).code == 0
    assert set(heroku.apps) == {"hello"}
    assert [call for call in heroku.writes("/_") if "sources" not in call] == [
        "POST /app-setups",
        "POST /app-setups",
        "POST /pipeline-couplings",
        f"DELETE /apps/{NAME}",
        f"DELETE /apps/{NAME}",
    ]


# --- guards ---


def test_app_that_is_no_review_app_of_ours_is_never_touched(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    heroku.create(NAME)
    heroku.apps[NAME].config["SECRET"] = "of somebody else"
    for command in ("review", "destroy"):
        done = job.run(command, settings=env)
        assert done.code == 14, done.output
        assert "ci-deploy did not create it" in done.output
    assert heroku.writes() == []
    done = job.run("destroy", "--adopt", "--yes", settings=env)
    assert done.code == 0, done.output
    assert NAME not in heroku.apps


def test_empty_app_that_was_never_marked_is_not_made_anew(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    """A setup from app.json marks its app from the first moment, so this one is somebody else's."""
    theirs = heroku.create(NAME)
    done = job.run("review", settings=env)
    assert done.code == 14, done.output
    assert "ci-deploy did not create it" in done.output
    assert heroku.writes() == []
    assert heroku.apps[NAME] is theirs


def test_app_that_was_created_and_not_yet_marked_is_gone_on_with(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    """Without app.json a kill can come between the two; nothing can be lost."""
    heroku.create("hello-topic")
    done = job.run("review", settings=on("topic", job.checkout))
    assert done.code == 0, done.output
    assert heroku.writes() == ["PATCH /apps/hello-topic/config-vars"]


@pytest.mark.parametrize("files", [{}, {"app.json": "{}"}], ids=["push", "app.json"])
def test_app_that_is_adopted_is_marked_once_and_kept(
    heroku: HerokuStandIn, job: Jobs, files: dict[str, str]
) -> None:
    job.checkout.commit("Files", files)
    heroku.create("hello-topic").config["GREETING"] = "hello"
    done = job.run("review", "--adopt", "--yes", settings=on("topic", job.checkout))
    assert done.code == 0, done.output
    assert heroku.writes() == ["PATCH /apps/hello-topic/config-vars"]
    assert heroku.apps["hello-topic"].config["GREETING"] == "hello"


def test_review_app_of_another_app_is_never_touched(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    assert job.run("review", settings=env).code == 0
    heroku.create("other")
    done = job.run("destroy", settings=env, APP_NAME="other", REVIEW_APP_NAME=NAME)
    assert done.code == 14, done.output
    assert NAME in heroku.apps


def test_base_app_is_never_the_review_app(job: Jobs, env: dict[str, str]) -> None:
    assert job.run("destroy", settings=env, REVIEW_APP_NAME="hello").code == 2


def test_address_of_the_base_apps_database_is_refused(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    heroku.apps["hello"].config["DATABASE_URL"] = url = "postgres://u:p4ssw0rd@db.example.com/live"
    done = job.run("review", settings=env, REVIEW_CONFIG=f"DATABASE_URL={url}\n")
    assert done.code == 14
    said = f"DATABASE_URL of {NAME} would point to the same service as DATABASE_URL of hello"
    assert said in done.output
    assert "p4ssw0rd" not in done.output
    assert heroku.writes() == []


@pytest.mark.parametrize(
    "other",
    [
        "postgresql://someone:else@DB.example.com:5432/live?sslmode=require",
        "postgres://u:p4ssw0rd@db.example.com/live/",
    ],
)
def test_database_of_the_base_app_is_known_by_its_place(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str], other: str
) -> None:
    """Whatever the driver, the user, the case of the host or the parameters (faults C3)."""
    heroku.apps["hello"].config["DATABASE_URL"] = "postgres://u:p4ssw0rd@db.example.com/live"
    done = job.run("review", settings=env, REVIEW_CONFIG=f"MY_URL={other}\n")
    assert done.code == 14, done.output
    said = f"MY_URL of {NAME} would point to the same service as DATABASE_URL of hello"
    assert said in done.output
    assert heroku.writes() == []


def test_base_app_whose_config_may_not_be_read_is_said(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    """The guard was off without a word then (faults C3)."""
    heroku.faults(Fault("GET /apps/hello/config-vars$", 403, times=9))
    done = job.run("review", settings=env, REVIEW_CONFIG="DATABASE_URL=postgres://db/x\n")
    assert done.code == 0, done.output
    assert any("hello" in warning for warning in done.report["warnings"]), done.report["warnings"]


# --- removing ---


def test_destroy_needs_no_checkout_and_absent_is_success(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    assert job.run("review", settings=env).code == 0
    nowhere = job.private.parent / "nowhere"
    nowhere.mkdir()
    env["CI_PROJECT_DIR"] = str(nowhere)
    for words in ("destroy the app", "does not exist: nothing to remove"):
        done = job.run("destroy", settings=env, cwd=nowhere)
        assert done.code == 0, done.output
        assert words in done.output
    assert set(heroku.apps) == {"hello"}


def test_orphans_are_swept_and_only_they(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    assert job.run("review", settings=env).code == 0
    env["CI_COMMIT_REF_NAME"] = "fresh"
    assert job.run("review", settings=env).code == 0
    month_ago = timestamp(0)
    for name in ("hello", NAME):
        heroku.apps[name].released_at = month_ago
    for name in ("hello-but-not-ours", "other"):
        heroku.create(name, team="acme").released_at = month_ago
    heroku.page_size = 2
    listed = job.run("destroy", "--stale", "14")
    assert listed.code == 0, listed.output
    assert "1 review app of hello not deployed for 14 days" in listed.output
    assert NAME in heroku.apps
    done = job.run("destroy", "--stale", "14", "--yes")
    assert done.code == 0, done.output
    assert set(heroku.apps) == {"hello", "hello-fresh", "hello-but-not-ours", "other"}


@pytest.mark.parametrize("named", ["", "preview-of-login"])
def test_orphan_is_known_by_its_mark_and_not_by_its_name(
    heroku: HerokuStandIn, job: Jobs, named: str
) -> None:
    """A long name is cut before the branch begins, and REVIEW_APP_NAME may be anything."""
    base = "my-very-long-application-x"
    heroku.create(base)
    settings = {**on("feature/login", job.checkout), "APP_NAME": base}
    assert job.run("review", settings=settings, REVIEW_APP_NAME=named).code == 0
    [name] = set(heroku.apps) - {"hello", base}
    assert not name.startswith(base)
    for app in heroku.apps.values():
        app.released_at = timestamp(0)
    done = job.run("destroy", "--stale", "14", "--yes", APP_NAME=base)
    assert done.code == 0, done.output
    assert set(heroku.apps) == {"hello", base}


def test_plan_of_a_review_app_changes_nothing(
    heroku: HerokuStandIn, job: Jobs, env: dict[str, str]
) -> None:
    done = job.run("plan", "review", settings=env)
    assert done.code == 0, done.output
    assert f"set up {NAME} from app.json (its env, heroku-postgresql:essential-0)" in done.output
    assert heroku.writes() == []


def test_cancel_removes_no_other_app(heroku: HerokuStandIn, job: Jobs, env: dict[str, str]) -> None:
    """(faults D2)"""
    for branch in ("one", "two", "three"):
        assert job.run("review", settings={**env, "CI_COMMIT_REF_NAME": branch}).code == 0
    for app in heroku.apps.values():
        app.released_at = timestamp(0)
    heroku.faults(Fault("DELETE /apps/", "hang"))
    before = len(heroku.writes())
    running = job.start("destroy", "--stale", "14", "--yes", settings=env)
    until(lambda: len(heroku.writes()) > before)
    running.signal(signal.SIGTERM)
    done = job.seen(running.done(timeout=20))
    assert done.code == 143, done.output
    assert len(heroku.writes()) == before + 1
