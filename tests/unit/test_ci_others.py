"""CircleCI's variables, and no CI at all; each platform is recognised by its variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci_deploy import ci
from ci_deploy.ci.local import Local
from ci_deploy.report.outputs import Report

CIRCLE = {
    "CIRCLECI": "true",
    "CIRCLE_SHA1": "a" * 40,
    "CIRCLE_BRANCH": "main",
    "CIRCLE_BUILD_NUM": "75",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/web/75",
    "CIRCLE_REPOSITORY_URL": "git@github.com:acme/web.git",
    "CIRCLE_USERNAME": "jane",
    "CIRCLE_WORKING_DIRECTORY": "~/project",
    "HOME": "/home/circleci",
}


def test_circleci_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/circleci")
    found = ci.detect(CIRCLE).context
    assert (found.revision, found.ref, found.tag, found.build) == ("a" * 40, "main", "", "75")
    assert (found.actor, found.event, found.fork) == ("jane", "push", False)
    assert found.workspace == Path("/home/circleci/project")
    assert found.compare_url("a", "b") == "https://github.com/acme/web/compare/a...b"


def test_circleci_tag_and_pull_request() -> None:
    assert ci.detect({**CIRCLE, "CIRCLE_TAG": "v1", "CIRCLE_BRANCH": ""}).context.tag == "v1"
    url = "https://github.com/acme/web/pull/5"
    found = ci.detect({**CIRCLE, "CIRCLE_PULL_REQUEST": url}).context
    assert (found.change, found.change_url, found.event) == ("5", url, "pull_request")
    assert (found.discussion, found.project_id) == ("5", "acme/web")
    assert found.api_url == "https://api.github.com"
    assert not found.fork
    assert ci.detect({**CIRCLE, "CIRCLE_PR_USERNAME": "stranger"}).context.fork


@pytest.mark.parametrize(
    ("repository", "project"),
    [
        ("git@bitbucket.org:acme/web.git", "https://bitbucket.org/acme/web"),
        ("https://github.com/acme/web", "https://github.com/acme/web"),
        ("https://github.com/acme/web.git/", "https://github.com/acme/web"),
        ("", ""),
        ("/srv/git/web", ""),
    ],
)
def test_circleci_project_url(repository: str, project: str) -> None:
    found = ci.detect({**CIRCLE, "CIRCLE_REPOSITORY_URL": repository}).context
    assert found.project_url == project


def test_no_ci_at_all() -> None:
    platform = ci.detect({"USER": "jane", "CI": "true"})
    assert platform.name == "local"
    assert (platform.context.actor, platform.context.event) == ("jane", "local")
    assert (platform.inputs, platform.colour) == (False, False)
    assert platform.context.seconds_left is None


def test_platforms_without_log_commands_print_plain_text() -> None:
    for platform in (ci.detect({}), ci.detect(CIRCLE)):
        assert platform.section_start("x", "title") == "title"
        assert platform.section_end("x") == ""
        assert platform.annotate("error", "a", "b") == ""
        assert platform.shield() == ("", "")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"GITHUB_ACTIONS": "true"}, "github"),
        ({"GITHUB_ACTIONS": "true", "GITLAB_CI": "true"}, "github"),
        ({"GITLAB_CI": "true"}, "gitlab"),
        ({"CIRCLECI": "true"}, "circleci"),
        ({}, "local"),
    ],
)
def test_detection_is_by_presence(environ: dict[str, str], name: str) -> None:
    assert ci.detect(environ).name == name


def test_everywhere_a_report_is_left_in_the_workspace(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    ci.detect({}).write(Report(command="deploy", status="succeeded", lines=("é",)))
    found = json.loads((workspace / "deploy-report.json").read_text())
    assert (found["schema"], found["status"], found["lines"]) == (1, "succeeded", ["é"])


@pytest.mark.parametrize(
    ("environ", "fork"),
    [
        ({}, False),
        ({"TRAVIS_PULL_REQUEST_SLUG": "eve/web", "TRAVIS_REPO_SLUG": "acme/web"}, True),
        ({"TRAVIS_PULL_REQUEST_SLUG": "acme/web", "TRAVIS_REPO_SLUG": "acme/web"}, False),
        ({"TRAVIS_PULL_REQUEST_SLUG": "", "TRAVIS_REPO_SLUG": "acme/web"}, False),
        (
            {
                "BUILDKITE_PULL_REQUEST_REPO": "git://github.com/eve/web.git",
                "BUILDKITE_REPO": "git@github.com:acme/web.git",
            },
            True,
        ),
        (
            {
                "BUILDKITE_PULL_REQUEST_REPO": "https://github.com/acme/web.git",
                "BUILDKITE_REPO": "git@github.com:acme/web.git",
            },
            False,
        ),
        ({"SYSTEM_PULLREQUEST_ISFORK": "True"}, True),
        ({"SYSTEM_PULLREQUEST_ISFORK": "False"}, False),
        ({"CHANGE_FORK": "eve"}, True),
    ],
)
def test_fork_on_ci_that_is_not_known_is_seen(environ: dict[str, str], fork: bool) -> None:
    """By the variables of Travis, Buildkite, Azure, Jenkins and others (faults G2)."""
    assert Local(environ).context.fork is fork


@pytest.mark.parametrize("name", ["DRONE_PULL_REQUEST", "CI_COMMIT_PULL_REQUEST", "CIRRUS_PR"])
def test_pull_request_of_which_it_is_not_told_whose_it_is_is_doubted(name: str) -> None:
    """What cannot be known is refused (faults G2)."""
    assert name in Local({name: "7"}).context.doubt
    assert not Local({}).context.doubt
