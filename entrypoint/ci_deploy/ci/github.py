"""GitHub Actions: variables and event payload, workflow commands, file commands, job summary.

Sources: docs.github.com/actions/reference (workflow commands, variables), actions/runner's code.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ci_deploy import files
from ci_deploy.ci.base import CI, CIContext, Output
from ci_deploy.settings.lines import from_json

if TYPE_CHECKING:
    from ci_deploy.report.outputs import Report

DEPENDABOT = "dependabot[bot]"
# The payload of a workflow_run does not say whether `head_branch` is a branch or a tag.
VERSION = re.compile(r"v?\d+(\.\d+)+([.+-][\w.+-]*)?")
# Events that run code of a branch or tag, pushed by somebody with write access.
OWN = frozenset({
    "branch_protection_rule", "check_run", "check_suite", "create", "delete", "deployment",
    "deployment_status", "label", "milestone", "page_build", "push", "registry_package", "release",
    "repository_dispatch", "schedule", "status", "workflow_call", "workflow_dispatch",
})  # fmt: skip
# Events that anybody can cause. Their jobs start on the default branch, but often check out the
# code of the pull request that was commented on.
ANYONES = frozenset({
    "discussion", "discussion_comment", "fork", "gollum", "issue_comment", "issues", "public",
    "watch",
})  # fmt: skip
PULLS = frozenset({
    "pull_request", "pull_request_review", "pull_request_review_comment", "pull_request_target",
})  # fmt: skip
# Events whose jobs run on the default branch, whatever caused them.
ASTRAY = ANYONES | {
    "branch_protection_rule", "check_run", "check_suite", "label", "milestone", "page_build",
    "registry_package", "repository_dispatch", "status",
}  # fmt: skip
SUMMARY_LIMIT = 1024 * 1024  # bytes; the runner fails the upload of a bigger one


class GitHub(CI):
    """A job on GitHub Actions, or in what runs such jobs and sets GITHUB_ACTIONS too: Forgejo,
    Gitea, act."""

    name: ClassVar[str] = "github"
    title: ClassVar[str] = "GitHub Actions"
    inputs: ClassVar[bool] = True
    shallow_hint: ClassVar[str] = "Give actions/checkout `with: { fetch-depth: 0 }`."
    commit_hint: ClassVar[str] = (
        "Give actions/checkout `with: { ref: '${{ github.event.pull_request.head.sha || github.sha"
        " }}', fetch-depth: 0 }`."
    )

    missing_hint: ClassVar[str] = (
        "If the secret exists, the workflow must pass it on (`with:` or `env:`); one that belongs "
        "to an environment reaches only a job with `environment: NAME` (in private repositories "
        "only on plans that have environments)."
    )

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:
        return "GITHUB_ACTIONS" in environ

    def read(self, environ: Mapping[str, str]) -> CIContext:
        get = environ.get
        payload = _payload(get("GITHUB_EVENT_PATH", ""))
        event = get("GITHUB_EVENT_NAME", "")
        pull: dict[str, Any] = payload.get("pull_request") or {}
        run: dict[str, Any] = payload.get("workflow_run") or {}
        server, repository = get("GITHUB_SERVER_URL", ""), get("GITHUB_REPOSITORY", "")
        project = f"{server}/{repository}" if server and repository else ""
        head = pull.get("head") or {}
        fork = _is_fork(head.get("repo") or {}, repository) if pull else False
        if run:
            fork = _is_fork(run.get("head_repository") or {}, repository)
        target = event == "pull_request_target"
        unmerged = event == "workflow_run" and str(run.get("event")).startswith("pull_request")
        # For an open pull request GITHUB_SHA is a test merge; for a workflow_run it is the
        # default branch.
        tested = "" if pull.get("merged") else head.get("sha") or run.get("head_sha")
        ref, tag = _ref(event, payload, run, environ)
        return CIContext(
            revision=tested or get("GITHUB_SHA", ""),
            checked_out=get("GITHUB_SHA", ""),
            ref=ref,
            tag=tag,
            default_branch=(payload.get("repository") or {}).get("default_branch", ""),
            actor=get("GITHUB_TRIGGERING_ACTOR") or get("GITHUB_ACTOR", ""),
            event=event,
            job_url=f"{project}/actions/runs/{get('GITHUB_RUN_ID')}" if project else "",
            project_url=project,
            change=str(pull.get("number", "")),
            change_url=pull.get("html_url", ""),
            discussion=str(pull.get("number", "")),
            api_url=get("GITHUB_API_URL", ""),
            project_id=repository,
            fork=fork,
            dependabot=event == "pull_request" and get("GITHUB_ACTOR") == DEPENDABOT,
            tests=run.get("conclusion") or "",
            doubt=_doubt(event, pull, run),
            anyones=event in ANYONES,
            astray=_astray(event),
            closed=payload.get("action") == "closed" or pull.get("state") == "closed",
            untrusted=(fork and (target or event == "workflow_run")) or unmerged,
            build=get("GITHUB_RUN_NUMBER", ""),
            fetch_url=f"{project}.git" if project else "",
            workspace=Path(get("GITHUB_WORKSPACE", "") or Path.cwd()),
            debug=get("RUNNER_DEBUG", "") == "1",
        )

    def section_start(self, name: str, title: str) -> str:  # noqa: ARG002
        return f"::group::{_data(title)}"

    def section_end(self, name: str) -> str:  # noqa: ARG002
        return "::endgroup::"

    def shield(self) -> tuple[str, str]:
        """Return (before, after): the log commands `::stop-commands::TOKEN` and `::TOKEN::`,
        between which the runner obeys no other; the token is random."""
        token = secrets.token_hex(16)
        return f"::stop-commands::{token}", f"::{token}::"

    def mask(self, values: Iterable[str]) -> Iterable[str]:
        return (f"::add-mask::{_data(value)}" for value in values)

    def annotate(self, level: str, title: str, message: str) -> str:
        name = _data(title).replace(":", "%3A").replace(",", "%2C")
        return f"::{level} title={name}::{_data(message)}"

    def outputs(self, report: Report) -> list[Output]:
        found = list[Output]()
        if report.finished and (path := self.environ.get("GITHUB_OUTPUT")):
            entries = "".join(map(_heredoc, report.outputs().items()))
            found.append(Output(Path(path), entries.encode(errors="replace"), added=True))
        if report.finished and (path := self.environ.get("GITHUB_STEP_SUMMARY")):
            summary = _capped(report.summary().encode(errors="replace"))
            found.append(Output(Path(path), summary, added=True))
        return [*found, *super().outputs(report)]


def _payload(path: str) -> dict[str, Any]:
    """The event's JSON object; empty when the file is missing or invalid."""
    try:
        data = from_json(files.read(path, files.EVENT_LIMIT))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _ref(
    event: str, payload: Mapping[str, Any], run: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[str, str]:
    """The branch or tag that the event is about, and its name again if it is a tag (else empty)."""
    name, kind = environ.get("GITHUB_REF_NAME", ""), environ.get("GITHUB_REF_TYPE", "")
    if event == "delete":  # GITHUB_REF is the default branch then
        name, kind = str(payload.get("ref", "")), str(payload.get("ref_type", ""))
    elif run:
        name = run.get("head_branch") or name
        version = run.get("event") == "push" and VERSION.fullmatch(name)
        kind = "tag" if version or run.get("event") == "release" else "branch"
    return environ.get("GITHUB_HEAD_REF") or name, name if kind == "tag" else ""


def _doubt(event: str, pull: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Why it is unknown whose code this is; empty when it is known."""
    known = not event or event in OWN | ANYONES
    if event in PULLS:
        known = bool(pull)
    if event == "merge_group":
        return "a `merge_group` job runs code that is not merged yet."
    if event == "workflow_run":
        before = str(run.get("event") or "")
        if run and before and before not in OWN and not before.startswith("pull_request"):
            return (
                f"this `workflow_run` job follows a `{before}` run, whose code may not be merged."
            )
        known = bool(before)
    if known:
        return ""
    if event in PULLS or event == "workflow_run":
        return (
            f"the payload of this `{event}` event (GITHUB_EVENT_PATH) cannot be read, so "
            "it is unknown whose code this is."
        )
    return f"ci-deploy does not know whose code a job for the event `{event}` runs."


def _astray(event: str) -> str:
    if event in ASTRAY:
        return f"a `{event}` job runs on the default branch, not on the branch of a pull request"
    return {
        "merge_group": "a `merge_group` job runs on a branch of the merge queue",
        "delete": "the branch of this `delete` event is gone",
    }.get(event, "")


def _is_fork(head: Mapping[str, Any], repository: str) -> bool:
    """Whether the head repository is another one. A deleted fork has no name, so it counts as
    one."""
    return bool(head.get("full_name", "") != repository)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _heredoc(output: tuple[str, str]) -> str:
    """An entry of GITHUB_OUTPUT. The delimiter is random, so that no value can add another
    output."""
    name, value = output
    delimiter = f"ci_deploy_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _capped(summary: bytes) -> bytes:
    note = b"\n\n_The summary was cut: GitHub shows at most 1 MiB._\n"
    if len(summary) <= SUMMARY_LIMIT:
        return summary
    return summary[: SUMMARY_LIMIT - len(note)].decode(errors="ignore").encode() + note
