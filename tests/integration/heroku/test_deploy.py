"""`deploy` against the stand-in Heroku: real git, real HTTP, and what the API says afterwards."""

from __future__ import annotations

from tests.integration.heroku.conftest import Jobs
from tests.standins.heroku.server import HerokuStandIn


def test_deploys_by_push_and_reports_what_heroku_reports(heroku: HerokuStandIn, job: Jobs) -> None:
    done = job.run()
    assert done.code == 0, done.output
    head = job.checkout.head
    assert heroku.apps["hello"].running_revision == head
    assert done.report["status"] == "succeeded"
    assert done.report["live_revision"] == head
    assert done.report["release"] == "v2"
    assert done.report["changed"] is True
    assert f"verified: hello runs {head[:7]}, 1 of 1 dynos up" in done.output
