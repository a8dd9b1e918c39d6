"""`deploy` against the stand-in Heroku: real git, real HTTP, and what the API says afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.heroku import answers
from standins.heroku.faults import Fault
from standins.heroku.server import HerokuStandIn
from tests.golden import Golden
from tests.integration.heroku.conftest import WITH_PHASE, Jobs, shallow

ARCHIVE = {"DEPLOY_METHOD": "archive"}


def test_deploys_by_push_and_reports_what_heroku_reports(
    heroku: HerokuStandIn, job: Jobs, golden: Golden
) -> None:
    done = job.run()
    assert done.code == 0, done.output
    golden("heroku/deploy", done.output)
    head = job.checkout.head
    assert heroku.apps["hello"].running_revision == head
    assert done.report["status"] == "succeeded"
    assert done.report["live_revision"] == head
    assert done.report["release"] == "v2"
    assert done.report["changed"] is True
    assert f"verified: hello runs {head[:7]}, 1 of 1 dynos up" in done.output
    assert heroku.writes() == [], "a push needs no other write"

    again = job.run()
    assert again.report["status"] == "skipped"
    assert f"hello already runs {head[:7]}." in again.output
    assert heroku.pushes() == 1


@pytest.mark.parametrize("settings", [{}, ARCHIVE], ids=["push", "archive"])
def test_plan_changes_nothing_and_names_every_change(
    heroku: HerokuStandIn, job: Jobs, settings: dict[str, str], golden: Golden
) -> None:
    before = job.deployed()
    job.checkout.commit("New")
    settings = {**settings, "HEROKU_MAINTENANCE": "true", "APP_CONFIG": "GREETING=hello you\n"}
    done = job.run("plan", settings=settings)
    assert done.code == 0, done.output
    golden(f"heroku/plan by {settings.get('DEPLOY_METHOD', 'push')}", done.output)
    assert "set GREETING on hello" in done.output
    assert "hello you" not in done.output
    assert "switch maintenance mode of hello on" in done.output
    assert "switch maintenance mode of hello off" in done.output
    assert ("push" if settings.get("DEPLOY_METHOD") is None else "build") in done.output
    assert heroku.writes() == []
    assert heroku.pushes() == 0
    assert heroku.apps["hello"].running_revision == before


# --- ways ---


def test_shallow_clone_is_deepened_from_its_origin_and_pushed(
    heroku: HerokuStandIn, job: Jobs, tmp_path: Path
) -> None:
    job.checkout.commit("Second")
    clone = shallow(job.checkout, tmp_path / "shallow")
    done = job.run(cwd=clone)
    assert done.code == 0, done.output
    assert heroku.pushes() == 1
    assert heroku.apps["hello"].running_revision == job.checkout.head


def test_shallow_clone_that_cannot_be_deepened_goes_as_an_archive(
    heroku: HerokuStandIn, job: Jobs, tmp_path: Path
) -> None:
    job.deployed()
    job.checkout.commit("Second", {"lib/code.rb": "puts 2\n"})
    clone = shallow(job.checkout, tmp_path / "shallow")
    job.checkout.git(
        "-C", str(clone), "remote", "set-url", "origin", "https://127.0.0.1:9/nobody.git"
    )
    (clone / "left-over").write_text("not tracked")
    done = job.run(cwd=clone)
    assert done.code == 0, done.output
    assert heroku.pushes() == 0
    assert "it is unknown whether" in done.output
    assert heroku.apps["hello"].running_revision == job.checkout.head
    [files] = heroku.uploads.values()
    assert set(files) == {"Procfile", "lib/code.rb"}


def test_part_of_a_monorepo_goes_as_an_archive(heroku: HerokuStandIn, job: Jobs) -> None:
    job.checkout.commit("Parts", {"api/Procfile": "web: sleep 600\n", "web/index.html": "x"})
    done = job.run(APP_DIR="api")
    assert done.code == 0, done.output
    [files] = heroku.uploads.values()
    assert set(files) == {"Procfile"}
    assert job.run(APP_DIR="api", DEPLOY_METHOD="push").code == 2


def test_another_directory_of_the_same_revision_is_built(heroku: HerokuStandIn, job: Jobs) -> None:
    """And the same one is skipped (faults A5)."""
    job.checkout.commit(
        "Parts", {"api/Procfile": "web: sleep 601\n", "w/Procfile": "web: sleep 6\n"}
    )
    for number, folder in enumerate(("api", "w", "", "api"), 1):
        planned = job.run("plan", APP_DIR=folder)
        done = job.run(APP_DIR=folder)
        assert done.report["status"] == "succeeded", done.output
        assert planned.report["changes"] == done.report["changes"]
        assert job.run(APP_DIR=folder).report["status"] == "skipped"
        assert len(heroku.apps["hello"].builds) == number


def test_app_that_only_has_master_gets_it(heroku: HerokuStandIn, job: Jobs) -> None:
    repository = heroku.platform.folder / "hello.git"
    job.checkout.git("push", "--quiet", str(repository), "HEAD:refs/heads/master")
    head = job.checkout.commit("New")
    done = job.run()
    assert done.code == 0, done.output
    assert heroku.platform.references("hello") == {"refs/heads/master": head}


@pytest.mark.parametrize("settings", [{}, ARCHIVE], ids=["push", "archive"])
def test_deploy_again_builds_again(
    heroku: HerokuStandIn, job: Jobs, settings: dict[str, str]
) -> None:
    head = job.deployed()
    done = job.run(REDEPLOY="true", settings=settings)
    assert done.code == 0, done.output
    assert done.report["release"] == "v3"
    assert len(heroku.apps["hello"].builds) == 2
    assert heroku.apps["hello"].running_revision == head


def test_build_that_names_no_release_yet_is_followed_all_the_same(
    heroku: HerokuStandIn, job: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = answers.build
    monkeypatch.setattr(answers, "build", lambda *a: {**told(*a), "release": None})
    done = job.run(settings=ARCHIVE)
    assert done.code == 0, done.output
    assert done.report["release"] == "v2"


# --- up to date, and yet not live ---


def test_release_phase_that_failed_is_run_again_without_a_build(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    """`Everything up-to-date` would have been green, with the old code live."""
    job.checkout.commit("Old", WITH_PHASE)
    job.deployed()
    head, app = job.checkout.commit("New"), heroku.apps["hello"]
    app.behaviour.phase = "fail"
    assert job.run().code == 20
    app.behaviour.phase = "succeed"
    done = job.run()
    assert done.code == 0, done.output
    assert "again: the release phase of v3 has failed" in done.output
    assert app.running_revision == head
    assert len(app.builds) == 2
    assert heroku.pushes() == 1


def test_pushed_but_never_live_and_without_a_slug_is_built_anew(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    job.deployed()
    head, app = job.checkout.commit("New"), heroku.apps["hello"]
    repository = heroku.platform.folder / "hello.git"
    (repository / "hooks/pre-receive").rename(repository / "hooks/off")
    job.checkout.git("push", "--quiet", str(repository), "HEAD:refs/heads/main")
    done = job.run()
    assert done.code == 0, done.output
    assert "build" in done.output
    assert app.running_revision == head


def test_dynos_that_are_down_although_it_is_live_are_restarted(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    job.deployed()
    app = heroku.apps["hello"]
    for dyno in app.dynos:
        dyno.boot = "crash"
    done = job.run()
    assert done.code == 0, done.output
    assert heroku.writes() == ["DELETE /apps/hello/dynos"]
    assert heroku.pushes() == 0


# --- order of revisions ---


@pytest.mark.parametrize("settings", [{}, ARCHIVE], ids=["push", "archive"])
def test_older_revision_goes_back_with_a_warning_or_is_refused(
    heroku: HerokuStandIn, job: Jobs, settings: dict[str, str]
) -> None:
    old, new = job.checkout.head, job.checkout.commit("New")
    job.deployed()
    refused = job.run(DEPLOY_REVISION=old, REFUSE_OUTDATED="true", settings=settings)
    assert refused.code == 14
    assert heroku.apps["hello"].running_revision == new
    done = job.run(DEPLOY_REVISION=old, settings=settings)
    assert done.code == 0, done.output
    assert (
        f"{old[:7]} is older than {new[:7]}, which is live: the older revision replaces it."
        in done.output
    )
    assert heroku.apps["hello"].running_revision == old


@pytest.mark.parametrize("settings", [{}, ARCHIVE], ids=["push", "archive"])
def test_diverged_history_is_replaced_only_when_asked(
    heroku: HerokuStandIn, job: Jobs, settings: dict[str, str]
) -> None:
    job.checkout.commit("Theirs")
    theirs = job.deployed()
    job.checkout.git("reset", "--quiet", "--hard", "HEAD~")
    ours = job.checkout.commit("Ours")
    refused = job.run(settings=settings)
    assert refused.code == 14
    assert f"{ours[:7]} has diverged from {theirs[:7]}, which is live." in refused.output
    assert heroku.apps["hello"].running_revision == theirs
    done = job.run(FORCE_PUSH="true", settings=settings)
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == ours


def test_what_somebody_pushed_and_never_went_live_is_not_replaced_either(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    job.checkout.commit("Old", WITH_PHASE)
    job.deployed()
    app = heroku.apps["hello"]
    app.behaviour.phase = "fail"
    theirs = job.checkout.commit("Theirs")
    assert job.run().code == 20
    app.behaviour.phase = "succeed"
    job.checkout.git("reset", "--quiet", "--hard", "HEAD~")
    job.checkout.commit("Ours")
    done = job.run()
    assert done.code == 14, done.output
    assert f"does not contain {theirs[:7]}, which was pushed to hello last." in done.output
    done = job.run(FORCE_PUSH="true")
    assert done.code == 0, done.output
    assert f"replacing {theirs[:7]}" in done.output


# --- the app ---


def test_app_is_created_only_when_asked(heroku: HerokuStandIn, job: Jobs) -> None:
    asked = {"APP_NAME": "brand-new", "HEROKU_CREATE_APP": "true", "HEROKU_TEAM": "acme"}
    done = job.run(settings=asked)
    assert done.code == 0, done.output
    app = heroku.apps["brand-new"]
    assert (app.team, app.running_revision) == ("acme", job.checkout.head)
    assert heroku.writes() == ["POST /teams/apps"]


def test_doctor_tells_what_there_is_and_changes_nothing(heroku: HerokuStandIn, job: Jobs) -> None:
    head = job.deployed()
    done = job.run("doctor")
    assert done.code == 0, done.output + done.errors
    for words in ("account: jane@example.com", "app: eu, heroku-24", "git: reachable", head):
        assert words in done.output
    assert "requests left this hour: 4" in done.output
    assert heroku.writes() == []


def test_doctor_names_a_key_that_is_refused(job: Jobs) -> None:
    done = job.run("doctor", HEROKU_API_KEY="HRKU-not-a-key")
    assert done.code == 12
    assert "HEROKU_API_KEY must be a valid token" in done.output + done.errors


def test_history_tells_each_release_with_its_commit(heroku: HerokuStandIn, job: Jobs) -> None:
    first = job.deployed()
    job.checkout.commit("New")
    second = job.deployed()
    done = job.run("history")
    assert done.code == 0, done.errors
    newest, older, initial = done.output.splitlines()
    assert "v3" in newest
    assert second in newest
    assert "jane@example.com: Deploy" in newest
    assert first in older
    assert "v1" in initial


def test_lists_in_parts_are_read_to_their_end(heroku: HerokuStandIn, job: Jobs) -> None:
    for name in ("alpha", "beta", "gamma"):
        heroku.create(name)
    heroku.page_size = 1
    done = job.run(APP_NAME="gama")
    assert "Did you mean `gamma`?" in done.output + done.errors


def test_key_does_not_follow_a_redirect_to_another_host(heroku: HerokuStandIn, job: Jobs) -> None:
    """Uploads and streams have addresses of their own; the stand-in fails the test when the key
    comes there."""
    elsewhere = f"{heroku.url.replace('127.0.0.1', 'localhost')}/_web/hello/"
    heroku.faults(Fault("GET /account", 302, headers={"Location": elsewhere}))
    assert job.run(settings=ARCHIVE).code == 0
