"""GitHub Deployments: a success is one that was verified, and what is removed leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy import ci
from ci_deploy.errors import DeployFailed
from ci_deploy.layers.notifiers.github_deployments import DeploymentsSettings, GitHubDeployments
from ci_deploy.net.http import Http
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.process.change_log import ChangeLog
from ci_deploy.run.notifications import BAD, GOOD, NEUTRAL, STARTED, WARN, Notice
from standins.forge import GITEA, GITHUB, GITLAB, TOKEN, ForgeStandIn, forge

URL = "https://hello.example.com"
LOG = "https://github.example.com/acme/web/actions/runs/7"
Layer = Callable[..., GitHubDeployments]


def notice(mood: str, event: str, status: str = "", revision: str = "b" * 40) -> Notice:
    facts = {"event": event, "status": status, "url": URL, "revision": revision}
    return Notice(mood, f"web: {status or event}", url=LOG, facts=facts)


BEGUN = notice(STARTED, "pre_deploy", "started")
DONE = notice(GOOD, "deploy_succeeded", "succeeded")
REMOVED = notice(NEUTRAL, "destroy_succeeded", "succeeded", "")


@pytest.fixture
def server() -> Iterator[ForgeStandIn]:
    with forge(GITHUB) as state:
        yield state
        assert state.wrong == []


@pytest.fixture
def layer() -> Layer:
    """Makes the layer of a job."""

    def make(
        server: ForgeStandIn, app: str = "web", *, review: bool = False, environment: str = ""
    ) -> GitHubDeployments:
        platform, cancellation = ci.detect(server.environ()), Cancellation()
        change_log = ChangeLog(lambda _what: None, check=cancellation.check)
        warnings: list[str] = []
        ctx: Any = SimpleNamespace(
            ci=platform,
            facts=platform.context,
            app=app,
            review=review,
            environment=environment,
            redactor=Redactor(),
            http=Http(change_log=change_log, cancellation=cancellation, environ={}, ca=""),
            cancellation=SimpleNamespace(sleep=lambda _seconds: None),
            send_queue=SimpleNamespace(note=lambda _error: None),
            console=SimpleNamespace(warnings=warnings, warning=warnings.append),
        )
        made = GitHubDeployments(ctx, DeploymentsSettings(token=TOKEN))
        made.begin()
        return made

    return make


def states(server: ForgeStandIn) -> list[list[str]]:
    return [[status["state"] for status in each["statuses"]] for each in server.deployments]


def test_a_deploy_is_in_progress_and_a_success_once_it_is_verified(
    server: ForgeStandIn, layer: Layer
) -> None:
    job = layer(server, environment="staging")
    job.send(BEGUN)
    assert states(server) == [["in_progress"]]
    job.send(DONE)
    [made] = server.deployments
    assert (made["ref"], made["environment"], made["task"]) == ("b" * 40, "staging", "deploy:web")
    assert (made["transient_environment"], made["production_environment"]) == (False, False)
    assert states(server) == [["in_progress", "success"]]
    assert [each["auto_inactive"] for each in made["statuses"]] == [False, False]
    assert (made["statuses"][1]["environment_url"], made["statuses"][1]["log_url"]) == (URL, LOG)
    assert "environment_url" not in made["statuses"][0]


@pytest.mark.parametrize(
    ("mood", "status", "state"),
    [
        (BAD, "failed", "failure"),
        (WARN, "live-but-failed", "failure"),
        (WARN, "rolled-back", "failure"),
        (WARN, "cancelled", "error"),
        (NEUTRAL, "skipped", "success"),
    ],
)
def test_what_is_not_wholly_verified_is_no_success(
    server: ForgeStandIn, layer: Layer, mood: str, status: str, state: str
) -> None:
    job = layer(server)
    job.send(BEGUN)
    job.send(notice(mood, "deploy_failed", status))
    assert states(server) == [["in_progress", state]]
    assert server.deployments[0]["environment"] == "production"
    assert server.deployments[0]["production_environment"] is True


def test_what_failed_before_it_began_or_was_skipped_makes_no_record(
    server: ForgeStandIn, layer: Layer
) -> None:
    layer(server).send(notice(BAD, "deploy_failed", "failed"))
    layer(server).send(notice(NEUTRAL, "deploy_skipped", "skipped"))
    assert server.deployments == []


def test_a_success_makes_the_ones_before_inactive_of_this_app_alone(
    server: ForgeStandIn, layer: Layer
) -> None:
    """GitHub's own `auto_inactive` takes every pull request's away, and no transient one."""
    for app in ("web", "api", "web", "web"):
        job = layer(server, app, review=True)
        job.send(BEGUN)
        job.send(DONE)
    assert [each["task"] for each in server.deployments] == [
        f"review:{app}" for app in ("web", "api", "web", "web")
    ]
    assert {each["environment"] for each in server.deployments} == {"review"}
    assert all(each["transient_environment"] for each in server.deployments)
    assert [each[-1] for each in states(server)] == ["inactive", "success", "inactive", "success"]
    server.calls.clear()
    job = layer(server, review=True)
    job.send(BEGUN)
    job.send(DONE)
    assert len(server.calls) <= 8  # however many there were before


def test_one_that_failed_stays_so_and_one_that_was_killed_does_not(
    server: ForgeStandIn, layer: Layer
) -> None:
    failed, killed, good = layer(server), layer(server), layer(server)
    failed.send(BEGUN)
    failed.send(notice(BAD, "deploy_failed", "failed"))
    killed.send(BEGUN)
    good.send(BEGUN)
    good.send(DONE)
    assert [each[-1] for each in states(server)] == ["failure", "inactive", "success"]


def test_a_removed_review_app_leaves_no_deployment(server: ForgeStandIn, layer: Layer) -> None:
    """Elsewhere 1254 environments were left."""
    for app in ("other", *["web"] * 60):
        job = layer(server, app, review=True)
        job.send(BEGUN)
        job.send(DONE)
    server.calls.clear()
    layer(server, review=True).send(REMOVED)
    assert [each["task"] for each in server.deployments] == ["review:other"]
    assert states(server)[0][-1] == "success"
    assert len(server.calls) < 70
    layer(server, review=True).send(REMOVED)  # and again


def test_a_lost_answer_leaves_nothing_active(server: ForgeStandIn, layer: Layer) -> None:
    server.lose = 1
    job = layer(server)
    job.send(BEGUN)
    job.send(DONE)
    assert [each[-1:] for each in states(server)] == [["inactive"], ["success"]]


@pytest.mark.parametrize("rights", ["read", ""])
def test_a_token_that_may_not_write_is_told_once_with_what_it_needs(
    server: ForgeStandIn, layer: Layer, rights: str
) -> None:
    server.rights = rights
    job = layer(server)
    with pytest.raises(DeployFailed, match="the deployment cannot be recorded") as caught:
        job.send(BEGUN)
    assert "`permissions: { deployments: write }`" in str(caught.value)
    job.send(DONE)
    assert len(server.calls) == 1


def test_the_permission_for_comments_is_not_enough(server: ForgeStandIn, layer: Layer) -> None:
    server.lacks = "deployments"
    with pytest.raises(DeployFailed, match=r"403 .*`permissions: \{ deployments: write \}`"):
        layer(server).send(BEGUN)
    server.lacks = "pull-requests"
    layer(server).send(BEGUN)
    assert states(server) == [["in_progress"]]


@pytest.mark.parametrize("kind", [GITLAB, GITEA])
def test_where_there_are_no_deployments_one_warning_says_so(kind: str, layer: Layer) -> None:
    with forge(kind) as server:
        job = layer(server)
        [warning] = job.ctx.console.warnings
        assert "DEPLOYMENTS_TOKEN" in warning or "deployments-token" in warning
        assert "nothing is recorded: this job does not belong" in warning
        job.send(BEGUN)
        assert server.calls == []
        assert job.preview(BEGUN).startswith("nothing is recorded: this job does not belong")


def test_plan_shows_what_would_be_recorded(server: ForgeStandIn, layer: Layer) -> None:
    job = layer(server, "web-x", review=True)
    assert job.preview(BEGUN) == "in_progress: review:web-x in review: web: started"
    assert job.preview(REMOVED) == "remove the deployments of review:web-x in review"


def test_hostile_names_are_data(server: ForgeStandIn, layer: Layer) -> None:
    job = layer(server, environment='a"};--?&task=x/\n@all')
    job.send(BEGUN._replace(title="x" * 500))
    job.send(DONE)
    [made] = server.deployments
    assert made["environment"] == 'a"};--?&task=x/\n@all'
    assert len(made["statuses"][0]["description"]) == 140
