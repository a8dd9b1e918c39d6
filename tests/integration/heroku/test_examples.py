"""The examples for Heroku: what they hand to ci-deploy deploys, with no other setting."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from standins.heroku.server import HerokuStandIn
from standins.support import ROOT, Done
from tests.contract.test_manifest import documents, rendered
from tests.integration.heroku.conftest import Jobs


@pytest.fixture
def apps(heroku: HerokuStandIn) -> HerokuStandIn:
    heroku.create("hello-staging")
    return heroku


def _gitlab(name: str) -> dict[str, str]:
    """The variables of the job `name`, as GitLab renders our component for the example."""
    [example] = documents("examples/gitlab/heroku.gitlab-ci.yml")
    for include in example["include"]:
        ours = r"\$CI_SERVER_FQDN/ci-deploy/ci-deploy/(\w+)@.+"
        component = re.fullmatch(ours, include["component"])
        assert component
        jobs = rendered(f"templates/{component[1]}.yml", **include["inputs"])
        if name in jobs:
            given = {key: str(value) for key, value in jobs[name]["variables"].items()}
            return {key: value for key, value in given.items() if "{" not in value}
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "app", "facts"),
    [
        ("staging", "hello-staging", {"CI_COMMIT_REF_NAME": "main"}),
        ("production", "hello", {"CI_COMMIT_TAG": "v1.0.0", "CI_COMMIT_REF_NAME": "v1.0.0"}),
    ],
)
def test_gitlab(apps: HerokuStandIn, job: Jobs, name: str, app: str, facts: dict[str, str]) -> None:
    del job.env["APP_NAME"]
    given = {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(job.checkout.path),
        "CI_COMMIT_SHA": job.checkout.head,
        "CI_ENVIRONMENT_NAME": name,
        **facts,
        **{key: value for key, value in _gitlab(name).items() if value},
    }
    done = job.run(settings=given)
    assert done.code == 0, done.output
    assert f"deploy {app} to {name}" in done.output
    assert apps.apps[app].running_revision == job.checkout.head
    closed = [call for call in apps.calls if call.name == f"PATCH /apps/{app}"]
    assert len(closed) == (2 if name == "production" else 0), "maintenance mode on and off"


def test_rollback_on_gitlab(heroku: HerokuStandIn, job: Jobs) -> None:
    first = job.deployed()
    job.checkout.commit("More")
    job.deployed()
    del job.env["APP_NAME"]
    given = {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(job.checkout.path),
        "CI_COMMIT_SHA": job.checkout.head,
        "CI_COMMIT_TAG": "v2",
        "CI_COMMIT_REF_NAME": "v2",
        **{key: value for key, value in _gitlab("rollback").items() if value},
    }
    done = job.run("rollback", settings=given)
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == first


def test_rollback_on_github(heroku: HerokuStandIn, job: Jobs) -> None:
    first = job.deployed()
    job.checkout.commit("More")
    job.deployed()
    chosen = {"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_REF": "refs/heads/main"}
    done = _run_github(job, "rollback", "production", chosen)
    assert done.code == 0, done.output
    assert heroku.apps["hello"].running_revision == first


@pytest.mark.parametrize(("kind", "app"), [("branch", "hello-staging"), ("tag", "hello")])
def test_github(apps: HerokuStandIn, job: Jobs, kind: str, app: str) -> None:
    ref = "refs/heads/main" if kind == "branch" else "refs/tags/v1.0.0"
    done = _run_github(job, "deploy", kind, {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": ref})
    assert done.code == 0, done.output
    assert apps.apps[app].running_revision == job.checkout.head


def _run_github(job: Jobs, name: str, kind: str, facts: dict[str, str]) -> Done:
    """Run the job `name` with the inputs that GitHub makes of the example's expressions."""
    text = (ROOT / "examples/github/heroku.yml").read_text()
    example = YAML(typ="safe", pure=True).load(text)
    [step] = [s for s in example["jobs"][name]["steps"] if "ci-deploy" in s.get("uses", "")]
    known = documents("action.yml")[0]["inputs"]
    assert step["with"].keys() <= known.keys()
    key = job.env.pop("HEROKU_API_KEY")
    inputs = {name: _expression(value, kind, key) for name, value in step["with"].items()}
    given = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(job.checkout.path),
        "GITHUB_SHA": job.checkout.head,
        **facts,
        **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
    }
    del job.env["APP_NAME"]
    return job.run(step["with"].get("command", "deploy"), settings=given)


def _expression(value: Any, kind: str, key: str) -> str:
    """What GitHub makes of the few expressions that the example has; `kind` is the ref's, or what
    was chosen as environment."""
    if value == "${{ inputs.environment }}":
        return kind
    choice = re.fullmatch(
        r"\$\{\{ (?:github.ref_type|inputs.environment) == '(\w+)' && '([\w-]+)'"
        r" \|\| '([\w-]+)' \}\}",
        value,
    )
    if choice:
        return choice[2] if kind == choice[1] else choice[3]
    return key if value == "${{ secrets.HEROKU_API_KEY }}" else str(value)
