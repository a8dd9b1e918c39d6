"""GitHub: variables and event payload become facts; commands and files cannot be forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ci_deploy import ci
from ci_deploy.ci.base import CIContext
from ci_deploy.ci.github import SUMMARY_LIMIT, GitHub
from ci_deploy.report.outputs import OUTPUTS, Report

PUSH = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_WORKSPACE": "/github/workspace",
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_REPOSITORY": "acme/web",
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_RUN_ID": "99",
    "GITHUB_RUN_NUMBER": "75",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_ACTOR": "jane",
}
HEAD = "b" * 40


def pull(full_name: str | None = "acme/web") -> dict[str, Any]:
    repository = None if full_name is None else {"full_name": full_name}
    head = {"sha": HEAD, "repo": repository}
    url = "https://github.example.com/acme/web/pull/5"
    return {"pull_request": {"number": 5, "html_url": url, "head": head}}


class Job:
    """A job with an event payload in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def facts(self, event: str, payload: object, **more: str) -> CIContext:
        self.path.write_text(payload if isinstance(payload, str) else json.dumps(payload))
        environ = {**PUSH, "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(self.path), **more}
        return GitHub(environ).context


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "event.json")


def test_push(job: Job) -> None:
    found = job.facts("push", {"repository": {"default_branch": "trunk"}})
    assert (found.revision, found.ref, found.tag) == ("a" * 40, "main", "")
    assert (found.default_branch, found.actor, found.build) == ("trunk", "jane", "75")
    assert found.job_url == "https://github.example.com/acme/web/actions/runs/99"
    assert found.fetch_url == "https://github.example.com/acme/web.git"
    assert found.compare_url("a", "b") == "https://github.example.com/acme/web/compare/a...b"
    assert found.commit_url("a") == "https://github.example.com/acme/web/commit/a"
    assert (found.fork, found.untrusted, found.debug) == (False, False, False)
    assert found.workspace == Path("/github/workspace")


def test_tag(job: Job) -> None:
    found = job.facts("push", {}, GITHUB_REF_TYPE="tag", GITHUB_REF_NAME="v1")
    assert (found.tag, found.ref, found.branch) == ("v1", "v1", "")


def test_pull_request_deploys_its_head_and_not_the_merge(job: Job) -> None:
    found = job.facts("pull_request", pull(), GITHUB_HEAD_REF="feature", GITHUB_REF_NAME="5/merge")
    assert (found.revision, found.ref) == (HEAD, "feature")
    assert (found.change, found.change_url[-7:]) == ("5", "/pull/5")
    assert (found.discussion, found.project_id) == ("5", "acme/web")
    assert (found.fork, found.untrusted) == (False, False)


def test_merged_pull_request_deploys_the_merge_commit(job: Job) -> None:
    """`closed` of one that was not merged is about its head still; its branch names the app."""
    payload = pull()
    payload["pull_request"]["merged"] = True
    found = job.facts("pull_request", payload, GITHUB_HEAD_REF="feature")
    assert (found.revision, found.ref) == ("a" * 40, "feature")
    payload["pull_request"]["merged"] = False
    assert job.facts("pull_request", payload).revision == HEAD


@pytest.mark.parametrize(("kind", "branch", "tag"), [("branch", "old", ""), ("tag", "", "old")])
def test_deleted_branch_and_not_the_default_one_names_the_review_app(
    job: Job, kind: str, branch: str, tag: str
) -> None:
    found = job.facts("delete", {"ref": "old", "ref_type": kind})
    assert (found.ref, found.branch, found.tag) == ("old", branch, tag)


def test_run_is_credited_to_whoever_has_started_it_again(job: Job) -> None:
    assert job.facts("push", {}, GITHUB_TRIGGERING_ACTOR="joe").actor == "joe"


@pytest.mark.parametrize(
    ("event", "actor", "is_it"),
    [
        ("pull_request", "dependabot[bot]", True),
        ("pull_request", "jane", False),
        ("push", "dependabot[bot]", False),
    ],
)
def test_pull_requests_of_dependabot(job: Job, event: str, actor: str, is_it: bool) -> None:
    """A re-run by a person gets no secrets either."""
    found = job.facts(event, pull(), GITHUB_ACTOR=actor, GITHUB_TRIGGERING_ACTOR="jane")
    assert (found.dependabot, found.fork) == (is_it, False)


@pytest.mark.parametrize("repository", ["stranger/web", None])
def test_pull_request_of_a_fork_even_of_a_deleted_one_is_one(
    job: Job, repository: str | None
) -> None:
    found = job.facts("pull_request", pull(repository))
    assert (found.fork, found.untrusted) == (True, False)


def test_pull_request_target_of_a_fork_is_untrusted(job: Job) -> None:
    found = job.facts("pull_request_target", pull("stranger/web"))
    assert (found.fork, found.untrusted, found.revision) == (True, True, HEAD)
    found = job.facts("pull_request_target", pull())
    assert (found.fork, found.untrusted) == (False, False)


@pytest.mark.parametrize(("repository", "fork"), [("acme/web", False), ("stranger/web", True)])
def test_workflow_run_looks_at_where_the_run_came_from(
    job: Job, repository: str, fork: bool
) -> None:
    payload = {"workflow_run": {"head_repository": {"full_name": repository}}}
    found = job.facts("workflow_run", payload)
    assert (found.fork, found.untrusted) == (fork, fork)


def test_workflow_run_deploys_what_was_tested_and_not_the_default_branch(job: Job) -> None:
    tested = {"head_sha": HEAD, "head_branch": "feature", "conclusion": "failure"}
    found = job.facts("workflow_run", {"workflow_run": tested}, GITHUB_REF_NAME="main")
    assert (found.revision, found.ref, found.tests) == (HEAD, "feature", "failure")


@pytest.mark.parametrize(
    ("event", "untrusted"),
    [("push", False), ("pull_request", True), ("pull_request_target", True), ("schedule", False)],
)
def test_workflow_run_after_a_pull_request_of_our_own_is_untrusted_too(
    job: Job, event: str, untrusted: bool
) -> None:
    run = {"head_repository": {"full_name": "acme/web"}, "event": event, "head_sha": HEAD}
    found = job.facts("workflow_run", {"workflow_run": run})
    assert (found.fork, found.untrusted) == (False, untrusted)


@pytest.mark.parametrize(
    ("event", "name", "tag"),
    [
        ("push", "v1.2.3", "v1.2.3"),
        ("push", "2026.11-rc.1", "2026.11-rc.1"),
        ("release", "gold", "gold"),
        ("push", "main", ""),
        ("push", "v2-rewrite", ""),
        ("schedule", "v1.2.3", ""),
    ],
)
def test_workflow_run_after_a_tag_knows_it(job: Job, event: str, name: str, tag: str) -> None:
    run = {"head_branch": name, "event": event}
    found = job.facts("workflow_run", {"workflow_run": run}, GITHUB_REF_NAME="main")
    assert (found.ref, found.tag) == (name, tag)


@pytest.mark.parametrize("payload", ["", "{", "[]", "null", '{"pull_request": null}'])
def test_broken_payload_is_no_reason_to_fail(job: Job, payload: str) -> None:
    found = job.facts("pull_request", payload)
    assert (found.revision, found.fork) == ("a" * 40, False)


def test_act_and_a_runner_without_variables_are_fine() -> None:
    found = ci.detect({"GITHUB_ACTIONS": "true", "ACT": "true"}).context
    assert (found.project_url, found.job_url, found.fetch_url) == ("", "", "")
    assert found.workspace == Path.cwd()


def test_debug_run_is_seen(job: Job) -> None:
    assert job.facts("push", {}, RUNNER_DEBUG="1").debug


# --- log commands ---


def test_annotations_escape_what_would_end_them() -> None:
    line = GitHub(PUSH).annotate("error", "a:b,c%\n", "50% of\r\nlines ::error::x")
    assert line == "::error title=a%3Ab%2Cc%25%0A::50%25 of%0D%0Alines ::error::x"


def test_groups_and_masks_are_single_lines() -> None:
    platform = GitHub(PUSH)
    assert platform.section_start("x", "a\nb") == "::group::a%0Ab"
    assert platform.section_end("x") == "::endgroup::"
    assert list(platform.mask(["100%", "a"])) == ["::add-mask::100%25", "::add-mask::a"]


def test_shield_has_a_new_long_token_each_time() -> None:
    shields = {GitHub(PUSH).shield() for _ in range(20)}
    assert len(shields) == 20
    for stop, resume in shields:
        token = stop.removeprefix("::stop-commands::")
        assert len(token) == 32
        assert resume == f"::{token}::"


# --- files ---


class Files:
    """The files that a step writes."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.output, self.summary = folder / "output", folder / "summary"

    def write(self, report: Report) -> None:
        environ = {**PUSH, "GITHUB_WORKSPACE": str(self.workspace)}
        environ |= {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary)}
        GitHub(environ).write(report)

    def outputs(self) -> dict[str, str]:
        """Parsed as the runner does it (EnvFileKeyValuePairs)."""
        found: dict[str, str] = {}
        lines = iter(self.output.read_text().splitlines())
        for line in lines:
            name, separator, delimiter = line.partition("<<")
            assert separator, line
            value = []
            while (part := next(lines)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
        return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_outputs_are_those_of_the_contract(files: Files) -> None:
    files.write(
        Report(command="deploy", status="succeeded", app="web", changed=True, finished=True)
    )
    found = files.outputs()
    assert list(found) == list(OUTPUTS)
    assert (found["status"], found["changed"], found["url"]) == ("succeeded", "true", "")


def test_outputs_are_written_at_the_end_only_but_the_report_at_once(files: Files) -> None:
    report = Report(command="deploy")
    files.write(report)
    assert json.loads((files.workspace / "deploy-report.json").read_text())["finished"] is False
    assert not files.output.exists()
    assert not files.summary.exists()


@pytest.mark.parametrize(
    "value", ["a\nstatus<<x\nsucceeded\nx", "EOF\nEOF", "ci_deploy_\n=", "é\r"]
)
def test_no_value_can_add_an_output(files: Files, value: str) -> None:
    report = Report(command="deploy", environment=value, url=value, release=value, finished=True)
    files.write(report)
    found = files.outputs()
    assert list(found) == list(OUTPUTS)
    assert found["status"] == "failed"


def test_what_others_have_written_stays(files: Files) -> None:
    files.output.write_text("other<<x\nvalue\nx\n")
    files.summary.write_text("# Other\n")
    files.write(Report(command="deploy", finished=True))
    assert files.outputs()["other"] == "value"
    assert files.summary.read_text().startswith("# Other\n## ")


def test_output_that_cannot_be_written_keeps_no_other_from_it(files: Files) -> None:
    files.output.mkdir()
    with pytest.raises(OSError, match=r"^output: Is a directory$"):
        files.write(Report(command="deploy", finished=True))
    assert files.summary.read_text().startswith("## ")
    assert json.loads((files.workspace / "deploy-report.json").read_text())["finished"] is True


def test_summary_stays_below_one_mebibyte(files: Files) -> None:
    report = Report(command="deploy", message="é" * SUMMARY_LIMIT, finished=True)
    files.write(report)
    data = files.summary.read_bytes()
    assert len(data) <= SUMMARY_LIMIT
    assert data.decode().endswith("GitHub shows at most 1 MiB._\n")


def test_text_that_is_no_unicode_is_written_all_the_same(files: Files) -> None:
    files.write(Report(command="deploy", environment="a\udcff", actor="\udcff", finished=True))
    assert files.outputs()["environment"] == "a?"
    assert files.summary.read_text()


def test_unwritable_workspace_does_not_cost_the_outputs(files: Files) -> None:
    files.workspace.rmdir()
    with pytest.raises(OSError, match="deploy-report"):
        files.write(Report(command="deploy", status="succeeded", finished=True))
    assert files.outputs()["status"] == "succeeded"


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "workflow_run"])
@pytest.mark.parametrize("payload", ["", "{", "[]", {}])
def test_unreadable_payload_is_no_reason_to_trust_it(job: Job, event: str, payload: object) -> None:
    """(faults J5)"""
    assert "cannot be read" in job.facts(event, payload).doubt
    assert job.facts("push", payload).doubt == ""


@pytest.mark.parametrize(
    ("event", "payload", "doubt"),
    [
        ("merge_group", {}, "not merged yet"),
        ("workflow_run", {"workflow_run": {"event": "merge_group"}}, "follows a `merge_group` run"),
        ("workflow_run", {"workflow_run": {"event": "push"}}, ""),
        ("image_version", {}, "does not know whose code"),
        ("schedule", {}, ""),
        ("issue_comment", {}, ""),
    ],
)
def test_events_are_trusted_by_a_list(job: Job, event: str, payload: object, doubt: str) -> None:
    """(faults J5)"""
    found = job.facts(event, payload).doubt
    assert doubt in found
    assert bool(found) == bool(doubt)


def test_events_that_are_not_about_their_ref_say_so(job: Job) -> None:
    """(faults A13)"""
    for event in ("issue_comment", "merge_group", "delete"):
        assert job.facts(event, {"ref": "old", "ref_type": "branch"}).astray
    assert not job.facts("push", {}).astray
    assert job.facts("pull_request", {**pull(), "action": "closed"}).closed


def test_missing_secret_may_belong_to_an_environment() -> None:
    """(faults E6)"""
    assert "`environment: NAME`" in GitHub.missing_hint
