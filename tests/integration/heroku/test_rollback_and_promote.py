"""Going back to a release, and bringing one from staging to production without a build."""

from __future__ import annotations

import pytest

from standins.heroku.faults import Fault
from standins.heroku.server import HerokuStandIn
from standins.support import until
from tests.golden import Golden
from tests.integration.heroku.conftest import FILES, WITH_PHASE, Jobs


@pytest.fixture
def three(heroku: HerokuStandIn, job: Jobs) -> list[str]:
    """Three revisions, the last one live."""
    revisions = [job.deployed()]
    for _ in range(2):
        job.checkout.commit("More")
        revisions.append(job.deployed())
    return revisions


# --- rollback ---


def test_goes_back_to_the_release_before(
    heroku: HerokuStandIn, job: Jobs, three: list[str]
) -> None:
    done = job.run("rollback")
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == three[1]
    assert heroku.writes() == ["POST /apps/hello/releases"]
    assert "the rollback to v3 also restores the config vars of that release" in done.output
    assert f"verified: hello runs {three[1][:7]}, 1 of 1" in done.output
    done = job.run("rollback", "v2")
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == three[0]


def test_goes_back_to_a_revision_or_says_that_it_is_there_already(
    heroku: HerokuStandIn, job: Jobs, three: list[str]
) -> None:
    done = job.run("rollback", three[0][:10])
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == three[0]
    assert job.run("rollback", three[0]).report["status"] == "skipped"


def test_config_vars_come_back_with_the_release(heroku: HerokuStandIn, job: Jobs) -> None:
    app = heroku.apps["hello"]
    assert job.run(APP_CONFIG="MODE=old\n").code == 0
    job.checkout.commit("New")
    assert job.run(APP_CONFIG="MODE=new\n").code == 0
    assert app.config["MODE"] == "new"
    done = job.run("rollback", "v3")
    assert done.code == 0, done.output
    assert app.config["MODE"] == "old"


def test_release_of_the_same_code_with_other_config_vars_can_be_gone_back_to(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    app = heroku.apps["hello"]
    assert job.run(APP_CONFIG="MODE=old\n").code == 0
    assert job.run(APP_CONFIG="MODE=bad\n").code == 0
    done = job.run("rollback", "v3")
    assert (done.code, done.report["status"]) == (0, "succeeded"), done.output
    assert app.config["MODE"] == "old"
    assert job.run("rollback", "v3").report["status"] == "skipped", "it is back"


def test_release_whose_release_phase_has_expired_is_passed_over(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    """It was never live; its slug is still there."""
    app = heroku.apps["hello"]
    job.checkout.commit("One", WITH_PHASE)
    one = job.deployed()
    app.behaviour.phase = "expire"
    job.checkout.commit("Two")
    assert job.run().code == 20
    app.behaviour.phase = "succeed"
    job.checkout.commit("Three")
    job.deployed()
    refused = job.run("rollback", "v3")
    assert refused.code == 14
    assert "v3 was never live: its release phase took too long." in refused.output
    done = job.run("rollback")
    assert done.code == 0, done.output
    assert job.runs("hello", one)


@pytest.mark.parametrize("wanted", ["", "revision"])
def test_slug_that_has_expired_is_refused_in_clear_words(
    heroku: HerokuStandIn, job: Jobs, three: list[str], wanted: str, golden: Golden
) -> None:
    slug = heroku.apps["hello"].releases[2].slug
    assert slug is not None
    slug.gone = True
    words = [three[1]] if wanted else []
    done = job.run("rollback", *words)
    assert done.code == 14, done.output
    golden(f"heroku/slug has expired{wanted and ', '}{wanted}", done.output)
    assert "the slug of v3" in done.output
    assert "has expired, or Heroku does not know its commit" in done.output
    assert heroku.writes() == []
    assert heroku.apps["hello"].running_revision == three[2]


def test_slug_that_goes_in_the_very_moment_is_told_in_herokus_words(
    heroku: HerokuStandIn, job: Jobs, three: list[str]
) -> None:
    words = {"id": "invalid_params", "message": "Cannot roll back to v3: its slug is gone."}
    heroku.faults(Fault("POST /apps/hello/releases$", 422, body=words))
    done = job.run("rollback")
    assert done.code == 20
    assert "Cannot roll back to v3: its slug is gone." in done.output
    assert heroku.apps["hello"].running_revision == three[2]


@pytest.mark.parametrize("wanted", ["v99", "v4"])
def test_release_that_was_never_live_before_is_refused(
    heroku: HerokuStandIn, job: Jobs, three: list[str], wanted: str
) -> None:
    done = job.run("rollback", wanted)
    assert done.code in {2, 14}, done.output
    assert heroku.writes() == []


def test_nothing_to_go_back_to(job: Jobs) -> None:
    job.deployed()
    done = job.run("rollback")
    assert done.code == 14
    assert "no release of hello with other code was live before the present one" in done.output


def test_release_phase_that_fails_at_a_rollback_is_a_failure(
    heroku: HerokuStandIn, job: Jobs
) -> None:
    """The CLI says "done" here."""
    job.checkout.commit("Old", WITH_PHASE)
    job.deployed()
    job.checkout.commit("New")
    head = job.deployed()
    heroku.apps["hello"].behaviour.phase = "fail"
    done = job.run("rollback")
    assert done.code == 20
    assert "the release phase of v4 failed" in done.output
    assert heroku.apps["hello"].running_revision == head


def test_failed_health_check_brings_the_release_before_back(
    heroku: HerokuStandIn, job: Jobs, golden: Golden
) -> None:
    """With its config vars: those that this run has set went wrong too."""
    assert job.run(APP_CONFIG="MODE=old\n").code == 0
    old = job.checkout.head
    job.checkout.commit("New")
    heroku.faults(Fault("GET /_web/hello/up", 503, times=100))
    health = {"HEALTHCHECK_URL": f"{heroku.url}/_web/hello/up", "HEALTHCHECK_TIMEOUT": "1"}
    done = job.run(APP_CONFIG="MODE=new\n", ROLLBACK_ON_FAILURE="true", settings=health)
    assert done.code == 23, done.output
    golden("heroku/rolled back", done.output)
    assert heroku.apps["hello"].running_revision == old
    assert heroku.apps["hello"].config["MODE"] == "old"


# --- promote ---


@pytest.fixture
def pipeline(heroku: HerokuStandIn, job: Jobs) -> str:
    """`hello` is production, with a second app beside; what its staging runs."""
    heroku.create("hello-staging")
    heroku.create("hello-eu")
    heroku.pipeline("pipe", staging="hello-staging", production="hello")
    [pipe] = heroku.platform.pipelines.values()
    pipe.stages[heroku.apps["hello-eu"].id] = "production"
    return job.deployed("hello-staging")


def test_rollback_to_the_id_of_a_tag(heroku: HerokuStandIn, job: Jobs) -> None:
    """It stands for its commit (faults A2)."""
    old = job.deployed()
    job.checkout.git("tag", "--annotate", "--message", "One", "v1")
    tag = job.checkout.git("rev-parse", "v1")
    job.checkout.commit("New")
    job.deployed()
    done = job.run("rollback", tag)
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == old


def test_promotes_what_staging_runs_without_a_build(
    heroku: HerokuStandIn, job: Jobs, pipeline: str
) -> None:
    done = job.run("promote")
    assert done.code == 0, done.output
    app = heroku.apps["hello"]
    assert app.running_revision == pipeline
    assert app.builds == []
    assert f"hello-staging runs {pipeline[:7]} (v2)" in done.output
    assert done.report["live_revision"] == pipeline
    again = job.run("promote")
    assert again.report["status"] == "skipped"
    assert heroku.writes() == ["POST /pipeline-promotions"]


def test_promotes_without_a_checkout_and_to_several_apps(
    heroku: HerokuStandIn, job: Jobs, pipeline: str
) -> None:
    done = job.run(
        "promote", cwd=job.private.parent, HEROKU_PIPELINE="pipe", HEROKU_PROMOTE_TO="hello-eu"
    )
    (job.private.parent / "deploy-report.json").unlink()
    assert done.code == 0, done.output
    for name in ("hello", "hello-eu"):
        assert heroku.apps[name].running_revision == pipeline
        assert f"verified: {name} runs {pipeline[:7]}" in done.output


@pytest.mark.parametrize("late", ["fail", "warn"])
def test_each_target_is_verified(
    heroku: HerokuStandIn, job: Jobs, pipeline: str, late: str
) -> None:
    """One gets it, the other cannot: Heroku's own CLI was green here for years."""
    heroku.apps["hello-eu"].behaviour.build = "fail"
    done = job.run("promote", HEROKU_PROMOTE_TO="hello-eu", LIVE_BUT_FAILED=late)
    assert done.code == 22, done.output
    assert "hello-eu received no release: the slug could not be copied." in done.output
    assert heroku.apps["hello"].running_revision == pipeline


@pytest.mark.parametrize("files", [FILES, WITH_PHASE], ids=["dynos crash", "release phase fails"])
def test_promotion_that_does_not_run_is_a_failure(
    heroku: HerokuStandIn, job: Jobs, pipeline: str, files: dict[str, str]
) -> None:
    job.checkout.commit("Phase", files)
    head = job.deployed("hello-staging")
    app = heroku.apps["hello"]
    app.behaviour.phase, app.behaviour.boot = "fail", "crash"
    done = job.run("promote", HEROKU_BOOT_TIMEOUT="1")
    crashed = files is FILES
    assert done.code == (22 if crashed else 20), done.output
    assert app.running_revision == (head if crashed else "")


@pytest.mark.parametrize("phase", ["expire", "fail"])
def test_source_whose_newest_release_is_not_what_it_runs_is_refused(
    heroku: HerokuStandIn, job: Jobs, pipeline: str, phase: str
) -> None:
    """Somebody means to promote that one; what runs is the one before."""
    heroku.apps["hello-staging"].behaviour.phase = phase
    job.checkout.commit("Phase", WITH_PHASE)
    job.begun("hello-staging")
    until(lambda: heroku.apps["hello-staging"].releases[-1].version == 3)
    done = job.run("promote")
    assert done.code == 14, done.output
    assert "hello-staging runs v2, but its newest release v3 is " in done.output
    assert heroku.writes() == []


def test_review_app_gets_a_release_too(heroku: HerokuStandIn, job: Jobs, pipeline: str) -> None:
    """It is at no stage that has one before, so the source is named."""
    [pipe] = heroku.platform.pipelines.values()
    pipe.stages[heroku.apps["hello"].id] = "review"
    done = job.run("promote", HEROKU_PROMOTE_FROM="hello-staging")
    assert done.code == 0, done.output
    assert job.runs("hello", pipeline)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HEROKU_PIPELINE": "other"}, "is in the pipeline `pipe`, not `other`"),
        ({"HEROKU_PROMOTE_TO": "nobody"}, "`nobody` is not a development, staging or"),
        ({"APP_NAME": "hello-staging"}, "no apps of the pipeline could be the source"),
        ({"APP_NAME": "alone"}, "alone is not in a pipeline"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_pipeline_that_does_not_fit(
    heroku: HerokuStandIn, job: Jobs, pipeline: str, settings: dict[str, str], words: str
) -> None:
    heroku.create("alone")
    done = job.run("promote", settings=settings)
    assert done.code == 2
    assert words in done.output
    assert heroku.writes() == []


def test_plan_of_a_promotion_and_of_a_rollback(
    heroku: HerokuStandIn, job: Jobs, pipeline: str
) -> None:
    done = job.run("plan", "promote")
    assert done.code == 0, done.output
    assert f"promote {pipeline[:7]} from hello-staging to hello" in done.output
    job.deployed()
    job.checkout.commit("New")
    job.deployed()
    done = job.run("plan", "rollback")
    assert done.code == 0, done.output
    assert "roll back hello to v2" in done.output
    assert heroku.writes() == []
