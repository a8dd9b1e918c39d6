"""GitLab: its variables become facts; sections, dotenv, annotations and JUnit are well-formed."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ci_deploy import ci
from ci_deploy.ci.base import CIContext
from ci_deploy.ci.gitlab import DOTENV_LIMIT, GitLab
from ci_deploy.report.outputs import OUTPUTS, EventReport, Report

BRANCH = {
    "GITLAB_CI": "true",
    "CI_PROJECT_DIR": "/builds/acme/web",
    "CI_COMMIT_SHA": "a" * 40,
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_BRANCH": "main",
    "CI_DEFAULT_BRANCH": "main",
    "CI_COMMIT_REF_PROTECTED": "true",
    "CI_ENVIRONMENT_NAME": "staging",
    "CI_JOB_URL": "https://gitlab.example.com/acme/web/-/jobs/7",
    "CI_PIPELINE_IID": "75",
    "CI_PIPELINE_SOURCE": "push",
    "CI_PROJECT_URL": "https://gitlab.example.com/acme/web",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:x@gitlab.example.com/acme/web.git",
    "GITLAB_USER_LOGIN": "jane",
}
MERGE_REQUEST = {
    **{key: value for key, value in BRANCH.items() if key != "CI_COMMIT_BRANCH"},
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_COMMIT_REF_NAME": "refs/merge-requests/5/head",
    "CI_COMMIT_REF_PROTECTED": "false",
    "CI_MERGE_REQUEST_IID": "5",
    "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/x",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "",
    "CI_MERGE_REQUEST_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
}


def facts(*parts: dict[str, str], **more: str) -> CIContext:
    environ = {key: value for part in parts for key, value in part.items()}
    return GitLab({**environ, **more}).context


def test_branch_pipeline() -> None:
    found = facts(BRANCH)
    assert (found.revision, found.ref, found.branch, found.tag) == ("a" * 40, "main", "main", "")
    assert (found.environment, found.actor, found.event) == ("staging", "jane", "push")
    assert (found.build, found.change, found.change_url) == ("75", "", "")
    assert found.protected is True
    assert (found.fork, found.untrusted, found.freeze, found.debug) == (False, False, False, False)
    assert found.workspace == Path("/builds/acme/web")
    assert found.commit_url("abc").endswith("/acme/web/-/commit/abc")
    assert found.compare_url("abc", "def").endswith("/acme/web/-/compare/abc...def")


@pytest.mark.parametrize("pair", [("", "b"), ("a", ""), ("a", "a")])
def test_nothing_is_compared_with_nothing_or_itself(pair: tuple[str, str]) -> None:
    assert facts(BRANCH).compare_url(*pair) == ""


def test_tag_pipeline_has_no_branch() -> None:
    found = facts(BRANCH, CI_COMMIT_TAG="v1", CI_COMMIT_REF_NAME="v1", CI_COMMIT_BRANCH="")
    assert (found.tag, found.ref, found.branch) == ("v1", "v1", "")


@pytest.mark.parametrize(
    ("action", "manual", "source", "unasked"),
    [
        ("stop", "", "push", True),
        ("stop", "", "merge_request_event", True),
        ("stop", "true", "push", False),  # a click, a branch that is gone, a merge request closed
        ("stop", "", "schedule", False),
        ("start", "", "push", False),
        ("", "", "push", False),
    ],
)
def test_stop_job_that_has_started_by_itself(
    action: str, manual: str, source: str, unasked: bool
) -> None:
    given = {"CI_ENVIRONMENT_ACTION": action, "CI_JOB_MANUAL": manual}
    assert facts(BRANCH, given, CI_PIPELINE_SOURCE=source).unasked is unasked
    # gitlab-ci-local never says that a job is manual
    assert not facts(BRANCH, given, CI_PIPELINE_SOURCE=source, GITLAB_CI="false").unasked


def test_merge_request_pipeline_is_about_its_source_branch() -> None:
    found = facts(MERGE_REQUEST)
    assert (found.ref, found.branch, found.revision) == ("feature/x", "feature/x", "a" * 40)
    assert (found.change, found.fork) == ("5", False)
    assert found.change_url == "https://gitlab.example.com/acme/web/-/merge_requests/5"
    assert found.protected is False


@pytest.mark.parametrize("kind", ["merged_result", "merge_train"])
def test_merged_results_deploy_the_branch_and_not_the_merge_that_exists_nowhere_else(
    kind: str,
) -> None:
    merged = {
        "CI_MERGE_REQUEST_EVENT_TYPE": kind,
        "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "b" * 40,
    }
    assert facts(MERGE_REQUEST, merged).revision == "b" * 40
    assert facts(MERGE_REQUEST, merged, CI_MERGE_REQUEST_SOURCE_BRANCH_SHA="").revision == "a" * 40


def test_merge_request_of_a_fork_is_one() -> None:
    assert facts(MERGE_REQUEST, CI_MERGE_REQUEST_SOURCE_PROJECT_ID="2").fork


def test_gitlab_ci_local_is_gitlab_although_it_says_false() -> None:
    assert isinstance(ci.detect({"GITLAB_CI": "false"}), GitLab)
    assert isinstance(ci.detect({"CI_JOB_ID": "1", "CI_PROJECT_DIR": "/x"}), GitLab)
    assert not isinstance(ci.detect({"CI_JOB_ID": "1"}), GitLab)


def test_unset_variables_are_unknown_facts_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    found = facts({"GITLAB_CI": "true"})
    assert found == CIContext(
        commit_path="/-/commit/", compare_path="/-/compare/", workspace=Path.cwd()
    )
    assert found.protected is None
    assert found.commit_url("abc") == ""


def test_freeze_and_trace_are_seen() -> None:
    found = facts(BRANCH, CI_DEPLOY_FREEZE="true", CI_DEBUG_TRACE="true")
    assert found.freeze
    assert found.debug


@pytest.mark.parametrize(
    ("timeout", "age", "left"),
    [("3600", 0, 3540), ("3600", 600, 2940), ("80", 0, 60), ("100", 90, 1)],
)
def test_seconds_left_are_the_jobs_timeout_less_its_age_and_a_minute(
    timeout: str, age: int, left: int
) -> None:
    """Of a short job's time a quarter is kept back (faults D3)."""
    started = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = facts(BRANCH, CI_JOB_TIMEOUT=timeout, CI_JOB_STARTED_AT=started).seconds_left
    assert found == pytest.approx(left, abs=2)


@pytest.mark.parametrize("age", [-7200, 7200, 86400 * 365])
def test_clock_that_is_wrong_leaves_the_job_its_time(age: int) -> None:
    """GitLab says when the job has started; a runner that is two hours ahead had one second for
    its deploys, one that is behind had no limit at all."""
    started = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = facts(BRANCH, CI_JOB_TIMEOUT="3600", CI_JOB_STARTED_AT=started).seconds_left
    assert found == 3540


@pytest.mark.parametrize(
    ("timeout", "started", "left"), [("", "", None), ("1h", "", None), ("600", "yesterday", 540)]
)
def test_odd_timeouts_are_no_limit_and_odd_starts_no_crash(
    timeout: str, started: str, left: float | None
) -> None:
    found = facts(BRANCH, CI_JOB_TIMEOUT=timeout, CI_JOB_STARTED_AT=started).seconds_left
    assert found == (None if left is None else pytest.approx(left, abs=2))


def test_sections_have_the_form_that_gitlab_folds() -> None:
    platform = GitLab(BRANCH)
    now = int(time.time())
    start, end = platform.section_start("deploy", "▸ deploy"), platform.section_end("deploy")
    assert start.startswith("\x1b[0Ksection_start:")
    assert start.endswith(":ci_deploy_deploy\r\x1b[0K▸ deploy")
    assert end.endswith(":ci_deploy_deploy\r\x1b[0K")
    assert abs(int(start.split(":")[1]) - now) <= 1
    assert platform.annotate("error", "a", "b") == ""
    assert list(platform.mask(["secret"])) == []
    assert platform.shield() == ("", "")


# --- files ---


def report(**more: object) -> Report:
    made = Report(command="deploy", status="succeeded", app="web", environment="staging")
    made.url, made.revision, made.duration, made.changed = "https://x", "a" * 40, 12.34, True
    for name, value in more.items():
        setattr(made, name, value)
    return made


def written(workspace: Path, made: Report) -> dict[str, str]:
    """Write the outputs; the lines of the dotenv file."""
    GitLab({**BRANCH, "CI_PROJECT_DIR": str(workspace)}).write(made)
    data = (workspace / "deploy.env").read_bytes()
    assert len(data) < DOTENV_LIMIT, "GitLab refuses a file of exactly this size"
    assert b"\n\n" not in data
    return dict(line.split("=", 1) for line in data.decode().splitlines())


def test_dotenv_has_the_outputs_under_names_that_are_no_settings(workspace: Path) -> None:
    found = written(workspace, report())
    assert found == {
        "DEPLOYED_STATUS": "succeeded",
        "DEPLOYED_APP": "web",
        "DEPLOYED_ENVIRONMENT": "staging",
        "DEPLOYED_URL": "https://x",
        "DEPLOYED_REVISION": "a" * 40,
        "DEPLOYED_CHANGED": "true",
        "DEPLOYED_DURATION": "12.3",
    }
    names = {f"DEPLOYED_{name.upper().replace('-', '_')}" for name in OUTPUTS}
    assert found.keys() <= names


def test_dotenv_values_stay_on_their_line(workspace: Path) -> None:
    found = written(workspace, report(environment="a\nDEPLOYED_STATUS=forged\r\n\tb", release="\n"))
    assert found["DEPLOYED_STATUS"] == "succeeded"
    assert found["DEPLOYED_ENVIRONMENT"] == "a DEPLOYED_STATUS=forged b"
    assert "DEPLOYED_RELEASE" not in found


def test_text_that_is_no_unicode_is_written_all_the_same(workspace: Path) -> None:
    """An environ may hold any bytes; Python gives them as surrogates."""
    assert written(workspace, report(environment="a\udcff"))["DEPLOYED_ENVIRONMENT"] == "a?"


def test_dotenv_of_exactly_the_limit_is_too_big(workspace: Path) -> None:
    written(workspace, report(url=""))
    room = DOTENV_LIMIT - (workspace / "deploy.env").stat().st_size - len("DEPLOYED_URL=\n")
    assert "DEPLOYED_URL" not in written(workspace, report(url="x" * room))
    assert written(workspace, report(url="x" * (room - 1)))["DEPLOYED_URL"]


@pytest.mark.parametrize("text", ["x" * 6000, "é" * 3000])
def test_dotenv_stays_within_gitlabs_limit_leaving_out_the_longest(
    workspace: Path, text: str
) -> None:
    made = report(url=text, release="v42")
    found = written(workspace, made)
    assert "DEPLOYED_URL" not in found
    assert found["DEPLOYED_RELEASE"] == "v42"
    [warning] = made.warnings
    assert warning.startswith("DEPLOYED_URL was left out of deploy.env, which must be smaller")


def test_what_was_left_out_is_told_once_although_outputs_are_written_twice(workspace: Path) -> None:
    made = report(url="x" * 6000)
    written(workspace, made)
    written(workspace, made)
    assert len(made.warnings) == 1


def test_annotations_are_links_of_the_documented_form(workspace: Path) -> None:
    written(workspace, report(commit_url="https://c"))
    assert json.loads((workspace / "deploy-annotations.json").read_text()) == {
        "ci-deploy": [
            {"external_link": {"label": "web (staging)", "url": "https://x"}},
            {"external_link": {"label": "Commit", "url": "https://c"}},
        ]
    }


def test_junit_has_a_case_per_event_and_marks_the_one_that_failed(workspace: Path) -> None:
    events = [EventReport("configure", 1.5), EventReport("deploy", 2.0, "first\nsecond")]
    written(workspace, report(events=events))
    suite = ET.parse(workspace / "deploy-junit.xml").getroot()[0]
    assert [case.get("name") for case in suite] == ["configure", "deploy"]
    assert suite[0].get("time") == "1.500"
    failure = suite[1].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("first", "first\nsecond")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


@pytest.mark.parametrize(
    "error", ["\x1b[31mred\x00\x08\x0b\x1f", "\ufffe\uffff", "lone \udcff half", "]]> & <b>", "\n"]
)
def test_junit_stays_xml_whatever_an_error_says(workspace: Path, error: str) -> None:
    written(workspace, report(events=[EventReport("deploy", 1.0, error)]))
    failure = ET.parse(workspace / "deploy-junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert "]]> & <b>" not in error or failure.text == error


def test_report_file_is_json_with_a_schema(workspace: Path) -> None:
    written(workspace, report(events=[EventReport("deploy", 1.0)]))
    found = json.loads((workspace / "deploy-report.json").read_text())
    assert found["schema"] == 1
    assert found["status"] == "succeeded"
    assert found["events"] == [{"name": "deploy", "seconds": 1.0, "error": ""}]


@pytest.mark.parametrize(
    ("listed", "branch", "number"),
    [
        ("acme/web!5,acme/web!6", "feature/x", "5"),
        ("other/web!7,acme/web!8", "feature/x", "8"),
        ("other/acme/web!7", "feature/x", ""),
        ("acme/web!5", "main", ""),  # main is what is merged elsewhere: its deploys are no review
        ("", "feature/x", ""),
    ],
)
def test_a_branch_is_discussed_in_its_open_merge_request(
    listed: str, branch: str, number: str
) -> None:
    given = {"CI_PROJECT_PATH": "acme/web", "CI_OPEN_MERGE_REQUESTS": listed}
    found = facts(BRANCH, given, CI_COMMIT_BRANCH=branch)
    assert (found.discussion, found.change) == (number, "")


def test_a_merge_request_is_discussed_in_the_project_that_it_goes_to() -> None:
    found = facts(MERGE_REQUEST, CI_PROJECT_ID="9", CI_API_V4_URL="https://gitlab/api/v4")
    assert (found.discussion, found.project_id) == ("5", "1")
    assert found.api_url == "https://gitlab/api/v4"
    assert facts(BRANCH, CI_PROJECT_ID="9").project_id == "9"
