"""GitLab CI: predefined variables, foldable sections, dotenv, annotations and JUnit reports.

Sources: docs.gitlab.com/ci/variables/predefined_variables, /ci/yaml/artifacts_reports (17.0 to
19.0).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ci_deploy.ci.base import CI, CIContext, Output

if TYPE_CHECKING:
    from ci_deploy.report.outputs import Report

DOTENV = "deploy.env"
ANNOTATIONS = "deploy-annotations.json"
JUNIT = "deploy-junit.xml"
DOTENV_LIMIT = 5 * 1024  # bytes; a dotenv report must be smaller (GitLab compares with `<`)
# Characters that XML cannot contain (XML 1.0, section 2.2), but servers print. Compiled only when
# it is used, since that takes longer than the rest of this module.
NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
LOADED = time.time() - time.monotonic()
SPARE_SECONDS = 60.0  # reserved before the job's timeout, which kills without warning


class GitLab(CI):
    """A job on GitLab CI, or in gitlab-ci-local, which runs such jobs locally (and sets
    GITLAB_CI=false: the name of the variable decides)."""

    name: ClassVar[str] = "gitlab"
    title: ClassVar[str] = "GitLab CI"
    shallow_hint: ClassVar[str] = 'Add `variables: { GIT_DEPTH: "0" }` to the job.'
    commit_hint: ClassVar[str] = shallow_hint

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:
        return "GITLAB_CI" in environ or ("CI_JOB_ID" in environ and "CI_PROJECT_DIR" in environ)

    def read(self, environ: Mapping[str, str]) -> CIContext:
        get = environ.get
        merged = get("CI_MERGE_REQUEST_EVENT_TYPE") in {"merged_result", "merge_train"}
        head = get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "") if merged else ""
        project, change = get("CI_PROJECT_URL", ""), get("CI_MERGE_REQUEST_IID", "")
        source = get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "")
        return CIContext(
            revision=head or get("CI_COMMIT_SHA", ""),
            checked_out=get("CI_COMMIT_SHA", ""),
            detached=get("GIT_CHECKOUT", "").lower() in {"false", "0", "f"},
            ref=get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or get("CI_COMMIT_REF_NAME", ""),
            tag=get("CI_COMMIT_TAG", ""),
            default_branch=get("CI_DEFAULT_BRANCH", ""),
            environment=get("CI_ENVIRONMENT_NAME", ""),
            tier=get("CI_ENVIRONMENT_TIER", ""),
            actor=get("GITLAB_USER_LOGIN", ""),
            event=get("CI_PIPELINE_SOURCE", ""),
            job_url=get("CI_JOB_URL", ""),
            project_url=project,
            commit_path="/-/commit/",
            compare_path="/-/compare/",
            change=change,
            change_url=f"{project}/-/merge_requests/{change}" if project and change else "",
            discussion=change or _open_request(environ),
            api_url=get("CI_API_V4_URL", ""),
            project_id=get("CI_MERGE_REQUEST_PROJECT_ID") or get("CI_PROJECT_ID", ""),
            fork=bool(source) and source != get("CI_MERGE_REQUEST_PROJECT_ID", source),
            unasked=_unasked(environ),
            build=get("CI_PIPELINE_IID", ""),
            fetch_url=get("CI_REPOSITORY_URL", ""),
            workspace=Path(get("CI_PROJECT_DIR", "") or Path.cwd()),
            protected={"true": True, "false": False}.get(get("CI_COMMIT_REF_PROTECTED", "")),
            freeze=bool(get("CI_DEPLOY_FREEZE")),
            seconds_left=_seconds_left(get("CI_JOB_TIMEOUT", ""), get("CI_JOB_STARTED_AT", "")),
            debug=get("CI_DEBUG_TRACE", "") == "true",
            traced=get("CI_DEBUG_TRACE", "") == "true",
        )

    def section_start(self, name: str, title: str) -> str:
        return f"\x1b[0Ksection_start:{_now()}:ci_deploy_{name}\r\x1b[0K{title}"

    def section_end(self, name: str) -> str:
        return f"\x1b[0Ksection_end:{_now()}:ci_deploy_{name}\r\x1b[0K"

    def outputs(self, report: Report) -> list[Output]:
        folder = self.context.workspace
        dotenv = _dotenv(report)  # first: it may add a warning to the report
        links = [
            {"external_link": {"label": label, "url": url}} for label, url in report.links.items()
        ]
        return [
            Output(folder / DOTENV, dotenv),
            *super().outputs(report),
            Output(folder / ANNOTATIONS, json.dumps({"ci-deploy": links}).encode()),
            Output(folder / JUNIT, _junit(report)),
        ]


def _open_request(environ: Mapping[str, str]) -> str:
    """The number of this project's merge request for the branch of this pipeline; empty for none,
    and for the default branch, whose merge requests are about other deployments. GitLab lists them
    as `acme/web!5,other/web!7`."""
    get = environ.get
    if get("CI_COMMIT_BRANCH", "") == get("CI_DEFAULT_BRANCH", ""):
        return ""
    ours = f"{get('CI_PROJECT_PATH')}!"
    listed = get("CI_OPEN_MERGE_REQUESTS", "").split(",")
    return next((each.removeprefix(ours) for each in listed if each.startswith(ours)), "")


def _unasked(environ: Mapping[str, str]) -> bool:
    """Whether this is a stop job that was started automatically by a pipeline of code. Manual ones
    are also started by GitLab: when the branch is deleted, the merge request is closed, or the
    environment expires. (gitlab-ci-local never says that a job is manual.)"""
    get = environ.get
    stops = get("CI_ENVIRONMENT_ACTION") == "stop" and get("CI_JOB_MANUAL") != "true"
    by_code = get("CI_PIPELINE_SOURCE") in {"push", "merge_request_event", "parent_pipeline"}
    return stops and by_code and get("GITLAB_CI") == "true"


def _dotenv(report: Report) -> bytes:
    """The dotenv report: `DEPLOYED_…` lines, never a setting's name, since later jobs get them as
    variables. A file that is too large would fail the job after the deploy, so the longest values
    are left out."""
    lines = {
        f"DEPLOYED_{name.upper().replace('-', '_')}": value
        for name, value in report.outputs().items()
        if value
    }
    while sum(len(_line(key, value)) for key, value in lines.items()) >= DOTENV_LIMIT:
        longest = max(lines, key=lambda key: len(lines[key]))
        warning = (
            f"{longest} was left out of {DOTENV}, which must be smaller than 5 KiB: later jobs "
            "do not get this variable."
        )
        if warning not in report.warnings:  # the report is written at the start and at the end
            report.warnings.append(warning)
        del lines[longest]
    return b"".join(_line(key, value) for key, value in lines.items())


def _line(key: str, value: str) -> bytes:
    return f"{key}={value}\n".encode(errors="replace")


def _junit(report: Report) -> bytes:
    """The JUnit report, with one case per event, so that the merge request shows which one
    failed."""
    from xml.etree import ElementTree as ET

    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name="ci-deploy", tests=str(len(report.events)))
    suite.set("failures", str(sum(bool(event.error) for event in report.events)))
    for event in report.events:
        case = ET.SubElement(
            suite, "testcase", classname="ci-deploy", name=event.name, time=f"{event.seconds:.3f}"
        )
        if event.error:
            text = re.sub(NOT_XML, "\ufffd", event.error)
            ET.SubElement(case, "failure", message=text.splitlines()[0]).text = text
    return bytes(ET.tostring(suites, "utf-8", xml_declaration=True))


def _now() -> int:
    """The time in seconds; it never goes back, since GitLab computes durations from it."""
    return int(LOADED + time.monotonic())


def _seconds_left(timeout: str, started: str) -> float | None:
    """Seconds until GitLab kills the job, less a minute or a quarter of its timeout; None if
    unknown."""
    if not timeout.isdecimal():
        return None
    try:
        since = time.time() - datetime.fromisoformat(started).timestamp()
    except ValueError:
        since = 0.0
    if not 0 <= since < int(timeout):  # impossible, so this machine's clock is wrong
        since = 0.0
    spare = min(SPARE_SECONDS, int(timeout) / 4)
    return max(1.0, int(timeout) - since - spare)
