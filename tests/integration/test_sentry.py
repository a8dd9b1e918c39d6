"""The real sentry-cli against a strict stand-in: what it tells, when, and what a failure costs."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.sentry import ORG, TOKEN, SentryStandIn, Trouble, sentry
from standins.support import Checkout, Done, Run, settings_for

PROJECT = "https://gitlab.example.com/acme/web"


@pytest.fixture
def server() -> Iterator[SentryStandIn]:
    """A strict Sentry."""
    with sentry() as state:
        yield state


class Deploys:
    """Deploys of a checkout with Sentry on."""

    def __init__(self, dokku: DokkuStandIn, server: SentryStandIn, checkout: Checkout) -> None:
        self.checkout, self.server = checkout, server
        self.env = settings_for(
            dokku,
            SENTRY_AUTH_TOKEN=TOKEN,
            SENTRY_URL=server.url,
            SENTRY_ORG=ORG,
            SENTRY_PROJECT="web api",
            DEPLOY_ENVIRONMENT="staging",
            GITLAB_CI="true",
            CI_PROJECT_URL=PROJECT,
            CI_PIPELINE_IID="75",
        )

    def start(self, command: str = "deploy", **more: str) -> Run:
        facts = {"CI_PROJECT_DIR": str(self.checkout.path), "CI_COMMIT_SHA": self.checkout.head}
        env = {**self.env, **facts, **more}
        return Run("ci-deploy", *command.split(), cwd=self.checkout.path, env=env)

    def __call__(self, command: str = "deploy", **more: str) -> Done:
        return self.start(command, **more).done()


@pytest.fixture
def deploy(dokku: DokkuStandIn, server: SentryStandIn, checkout: Checkout) -> Deploys:
    return Deploys(dokku, server, checkout)


# --- what it is told ---


def test_linked_repository_is_told_from_where_to_where(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout
) -> None:
    server.link("acme / web", PROJECT)
    first = checkout.head
    assert deploy().code == 0
    [ref] = server.releases[first]["refs"]
    assert ref == {"repository": "acme / web", "commit": first, "previousCommit": None}
    second = checkout.commit("Second")
    server.calls.clear()
    began = datetime.now(UTC) - timedelta(seconds=1)
    done = deploy()
    assert done.code == 0, done.output
    assert server.short == [
        "GET repos/",
        "POST releases/",
        "GET repos/",  # these three are `releases set-commits`
        "POST releases/",
        f"PUT releases/{second}/",
        f"PUT releases/{second}/",
        f"POST releases/{second}/deploys/",
    ]
    release = server.releases[second]
    assert release["projects"] == ["web", "api"]
    [ref] = release["refs"]
    assert ref == {"repository": "acme / web", "commit": second, "previousCommit": first}
    record = server.deploys[-1]
    assert (record["environment"], record["name"]) == ("staging", "pipeline 75")
    assert record["projects"] == ["web", "api"]
    started, finished = map(datetime.fromisoformat, (record["dateStarted"], record["dateFinished"]))
    assert began < started <= finished < datetime.now(UTC)
    assert (finished - started).total_seconds() <= done.seconds + 1
    assert release["dateReleased"]
    assert done.report["warnings"] == []


def test_record_comes_after_the_verification_and_the_release_before_the_push(
    deploy: Deploys,
) -> None:
    done = deploy()
    order = [
        "→ Sentry: create the release",
        "→ Sentry: set the commits",
        "→ push",
        "verified: hello runs",
        "→ Sentry: finalize the release",
        "→ Sentry: record the deploy",
    ]
    assert sorted(order, key=done.output.index) == order


def test_environment_without_a_name_is_production_with_a_warning(
    server: SentryStandIn, deploy: Deploys
) -> None:
    done = deploy(DEPLOY_ENVIRONMENT="")
    assert done.code == 0, done.output
    assert server.deploys[-1]["environment"] == "production"
    told = (
        "Sentry records the environment `production`, since the job names none: set "
        "DEPLOY_ENVIRONMENT."
    )
    assert done.report["warnings"] == [told]


def test_unlinked_repository_gets_the_commits_of_this_environment_from_git(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout
) -> None:
    assert deploy().code == 0
    wanted = [
        checkout.commit("Two\n\nwith a body", {"a file": "1"}),
        checkout.commit("Three", {"a file": "2"}),
    ]
    # another environment has deployed in between; its release does not cut ours short
    server.releases[wanted[0]] = {"version": wanted[0], "projects": ["web"]}
    done = deploy()
    assert done.code == 0, done.output
    told = server.releases[checkout.head]["commits"]
    assert [commit["id"] for commit in told] == wanted[::-1]
    assert told[1]["message"] == "Two\n\nwith a body"
    assert {"path": "a file", "type": "A"} in told[1]["patch_set"]
    assert told[0]["patch_set"] == [{"path": "a file", "type": "M"}]
    assert told[0]["repository"] == "acme/web"
    assert told[0]["author_email"] == "jane@example.com"
    assert not any("previous-with-commits" in call for call in server.short)


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_clone_of_depth_1_that_cannot_be_deepened(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout, tmp_path: Path, linked: bool
) -> None:
    if linked:
        server.link("acme / web", PROJECT)
    first = checkout.head
    assert deploy().code == 0
    checkout.commit("Second")
    head = checkout.commit("Third")
    shallow = tmp_path / "shallow"
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", str(shallow))
    checkout.path = shallow
    checkout.git("remote", "set-url", "origin", "file:///nowhere")
    done = deploy()
    assert done.code == 0, done.output
    release = server.releases[head]
    if linked:
        assert release["refs"][0]["previousCommit"] == first
    else:
        assert [commit["id"] for commit in release["commits"]] == [head]
        assert "only the newest commits (1) are reported" in done.output


def test_release_may_have_the_name_of_any_tag(server: SentryStandIn, deploy: Deploys) -> None:
    done = deploy(SENTRY_RELEASE="release/2026 11.20")
    assert done.code == 0, done.output
    assert list(server.releases) == ["release-2026-11.20"]
    assert server.deploys[0]["release"] == "release-2026-11.20"


def test_sourcemaps_are_uploaded_to_every_project_before_the_traffic(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout
) -> None:
    dist = checkout.path / "dist"
    dist.mkdir()
    (dist / "a.js").write_text("console.log(1)\n//# sourceMappingURL=a.js.map\n")
    mapped = {"version": 3, "sources": ["a.ts"], "names": [], "mappings": "AAAA"}
    (dist / "a.js.map").write_text(json.dumps(mapped))
    before = (dist / "a.js").read_bytes()
    done = deploy(SENTRY_SOURCEMAPS="dist", SENTRY_URL_PREFIX="~/assets")
    assert done.code == 0, done.output
    assert done.report["warnings"] == []
    assert {tuple(bundle["projects"]) for bundle in server.bundles} == {("web",), ("api",)}
    assert {bundle["version"] for bundle in server.bundles} == {checkout.head}
    assert done.output.index("upload sourcemaps") < done.output.index("→ push")
    assert (dist / "a.js").read_bytes() == before


def test_missing_sourcemaps_are_a_warning_and_the_rest_is_told(
    server: SentryStandIn, deploy: Deploys
) -> None:
    done = deploy(SENTRY_SOURCEMAPS="dist")
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert "dist does not exist; was it built in this job?" in warning
    assert len(server.deploys) == 1


def test_rollback_is_recorded_as_a_deploy_of_the_older_release(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout
) -> None:
    first = checkout.head
    assert deploy().code == 0
    checkout.commit("Second")
    assert deploy().code == 0
    assert deploy("rollback").code == 0
    assert [record["release"] for record in server.deploys] == [first, checkout.head, first]


def test_failed_deploy_is_neither_recorded_nor_finalized(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout
) -> None:
    checkout.commit("Broken", {"Procfile": "release: false\nworker: sleep 600\n"})
    assert deploy().code == 20
    assert server.deploys == []
    assert "dateReleased" not in server.releases[checkout.head]


def test_revision_that_is_live_although_a_later_step_failed_is_recorded(
    server: SentryStandIn, deploy: Deploys
) -> None:
    assert deploy(POST_DEPLOY_COMMAND="false").code == 22
    assert len(server.deploys) == 1


def test_skipped_deploy_only_asks(server: SentryStandIn, deploy: Deploys) -> None:
    assert deploy().code == 0
    server.calls.clear()
    assert deploy().report["status"] == "skipped"
    assert server.short == [f"GET releases/{deploy.checkout.head}/deploys/"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_deploy_whose_run_was_ended_after_it_was_live_is_told_by_the_next(
    server: SentryStandIn, deploy: Deploys, how: signal.Signals
) -> None:
    asleep = deploy.start(POST_DEPLOY_COMMAND="sleep 20")
    asleep.wait_for("→ run sleep 20")
    asleep.signal(how)
    asleep.done()
    server.calls.clear()
    done = deploy()
    assert (done.code, done.report["status"]) == (0, "skipped"), done.output
    [record] = server.deploys
    assert (record["release"], record["environment"]) == (deploy.checkout.head, "staging")
    assert server.releases[deploy.checkout.head]["dateReleased"]
    # (a run that is cancelled has the time for it, if it is not slow)
    told_late = any(each.startswith("POST") and "/deploys/" in each for each in server.short)
    assert ("but no deploy of it to" in done.output) == told_late
    assert told_late or how is signal.SIGTERM


def test_what_was_live_before_there_was_sentry_is_not_told(
    server: SentryStandIn, deploy: Deploys
) -> None:
    assert deploy(SENTRY_PROJECT="").code == 0
    assert deploy().report["status"] == "skipped"
    assert server.short == [f"GET releases/{deploy.checkout.head}/deploys/"]


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_same_revision_deployed_again_keeps_its_commits(
    server: SentryStandIn, deploy: Deploys, linked: bool
) -> None:
    if linked:
        server.link("acme / web", PROJECT)
    assert deploy().code == 0
    server.calls.clear()
    done = deploy(REDEPLOY="true")
    assert done.code == 0, done.output
    assert "Sentry: no new commits to report." in done.output
    puts = [call for call in server.calls if call.short.startswith("PUT")]
    assert [call.body for call in puts if {"refs", "commits"} & call.body.keys()] == []
    assert len(server.deploys) == 2


def test_plan_names_all_that_sentry_would_be_told_and_only_asks(
    server: SentryStandIn, deploy: Deploys
) -> None:
    plan = deploy("plan")
    assert plan.code == 0
    assert server.short == ["GET repos/"]
    done = deploy()
    told = [change for change in done.report["changes"] if change.startswith("Sentry")]
    assert told == [change for change in plan.report["changes"] if change.startswith("Sentry")]
    assert len(told) == 4


def test_organization_token_names_its_organization(server: SentryStandIn, deploy: Deploys) -> None:
    said = {"iat": 1.5, "url": server.url, "region_url": server.url, "org": ORG}
    code = base64.b64encode(json.dumps(said).encode()).decode().rstrip("=")
    server.token = f"sntrys_{code}_{'x' * 43}"
    done = deploy(SENTRY_AUTH_TOKEN=server.token, SENTRY_ORG="", SENTRY_URL="")
    assert done.code == 0, done.output
    assert f"the token belongs to {server.url}" in done.output
    assert len(server.deploys) == 1


def test_nothing_of_the_workspace_or_of_the_job_reaches_sentry_cli(
    server: SentryStandIn, deploy: Deploys, checkout: Checkout
) -> None:
    """A .sentryclirc could name a proxy that reads the token."""
    hostile = "[http]\nproxy_url = http://127.0.0.1:9\n[auth]\ntoken = other\n"
    (checkout.path / ".sentryclirc").write_text(hostile)
    (checkout.path / ".env").write_text("SENTRY_URL=http://127.0.0.1:9\nSENTRY_ORG=evil\n")
    done = deploy(SENTRY_ALLOW_FAILURE="1", SENTRY_LOG_LEVEL="debug")
    assert done.code == 0
    assert len(server.deploys) == 1
    assert all("sentry-cli/" in c.agent or "ci-deploy/" in c.agent for c in server.calls)
    assert TOKEN not in done.output + done.errors


def test_missing_organization_is_told_before_anything_is_touched(deploy: Deploys) -> None:
    done = deploy(SENTRY_ORG="", SENTRY_AUTH_TOKEN="")
    assert done.code == 2
    assert "SENTRY_AUTH_TOKEN: is required" in done.output
    done = deploy(SENTRY_ORG="")
    assert done.code == 2
    assert "SENTRY_ORG: is required, since the token does not contain it." in done.output


# --- what a failure costs ---

MODES = {
    "401": (Trouble("", 401), "Sentry rejects SENTRY_AUTH_TOKEN (401"),
    "403": (Trouble("POST releases/", 403), "it needs project:releases and org:read"),
    "404": (Trouble("", 404), "Sentry does not know this organization or project"),
    "429": (Trouble("POST releases/", 429), "Sentry answers 429"),
    "500": (Trouble("POST releases/", 500), "Sentry answers 500"),
    "502": (Trouble("", 502), "Sentry answers 502"),
    "reset": (Trouble("POST releases/", "reset"), "Failure when receiving data from the peer"),
    "drop": (Trouble("POST releases/", "drop"), "Server returned nothing"),
    "hang": (Trouble("POST releases/", "hang"), "sentry-cli did not finish within"),
}


@pytest.mark.parametrize("mode", MODES)
def test_failing_sentry_is_one_warning_and_nothing_else(
    server: SentryStandIn, deploy: Deploys, mode: str
) -> None:
    trouble, words = MODES[mode]
    server.troubles.append(trouble)
    done = deploy(SENTRY_TIMEOUT="9")
    assert (done.code, done.report["status"]) == (0, "succeeded"), done.output
    [warning] = done.report["warnings"]
    assert words in warning, warning
    assert warning.endswith("The deployment continues without Sentry.")
    assert TOKEN not in done.output
    assert done.seconds < 9 + 15  # the rest is a deploy on a busy machine


@pytest.mark.long
def test_hanging_sentry_holds_up_a_deploy_by_no_more_than_half_a_minute(
    server: SentryStandIn, deploy: Deploys
) -> None:
    """Takes half a minute: that is how long it waits, and it has to be no longer."""
    server.troubles += [Trouble("PUT releases/", "hang"), Trouble("/deploys/", "hang")]
    started = time.monotonic()
    done = deploy()
    assert time.monotonic() - started < 30 + 5
    assert done.code == 0
    assert len(done.report["warnings"]) == 1


@pytest.mark.parametrize("how", [429, 500, 502, "reset", "drop"])
def test_trouble_that_passes_is_tried_again(
    server: SentryStandIn, deploy: Deploys, how: int | str
) -> None:
    for match in ("POST releases/", "PUT releases/", "/deploys/", "GET repos/"):
        server.troubles.append(Trouble(match, how, times=1))
    done = deploy()
    assert done.code == 0
    assert done.report["warnings"] == [], done.output
    assert len(server.deploys) == 1
    told = [change for change in done.report["changes"] if change.startswith("Sentry")]
    assert len(told) == 4  # announced once, however often it was tried


def test_record_that_arrived_in_spite_of_an_error_is_not_made_twice(
    server: SentryStandIn, deploy: Deploys
) -> None:
    server.troubles.append(Trouble("POST releases/", 0))
    server.troubles.append(Trouble("/deploys/", "reset", times=1, after=True))
    done = deploy()
    assert done.report["warnings"] == []
    assert len(server.deploys) == 1


def test_commits_that_are_refused_leave_the_record_as_it_is(
    server: SentryStandIn, deploy: Deploys
) -> None:
    server.troubles.append(Trouble("PUT releases/", 400, times=1))
    done = deploy()
    assert done.code == 0
    [warning] = done.report["warnings"]
    assert "cannot set the commits: Sentry answers 400: as told." in warning
    assert len(server.deploys) == 1


def test_strict_mode_fails_before_anything_is_changed(
    server: SentryStandIn, deploy: Deploys, dokku: DokkuStandIn
) -> None:
    server.troubles.append(Trouble("", 401))
    done = deploy(SENTRY_STRICT="true")
    assert done.code == 12
    assert "Sentry rejects SENTRY_AUTH_TOKEN" in done.output
    assert dokku.app("hello").running_revision == ""


def test_strict_mode_after_the_deploy_is_live_but_failed(
    server: SentryStandIn, deploy: Deploys, dokku: DokkuStandIn, checkout: Checkout
) -> None:
    server.troubles.append(Trouble("/deploys/", 403))
    done = deploy(SENTRY_STRICT="true")
    assert done.code == 22, done.output
    assert dokku.app("hello").running_revision == checkout.head
