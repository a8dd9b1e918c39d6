"""The interface of a CI platform (`CI`): the facts of the job (`CIContext`), log commands and
output files."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ci_deploy import files

if TYPE_CHECKING:
    from ci_deploy.report.outputs import Report

REPORT_FILE = "deploy-report.json"


class CIContext(NamedTuple):
    """The facts of this job, from the platform's variables. An unknown text is empty."""

    revision: str = ""  # the commit to deploy: full SHA; empty: the checkout's HEAD
    checked_out: str = ""  # the commit that the platform checks out for this job
    detached: bool = False  # the job has checkouts switched off, so HEAD may be any commit
    ref: str = ""  # branch or tag
    tag: str = ""  # the tag again, if `ref` is one
    default_branch: str = ""
    environment: str = ""  # the name of the job's environment, like `review/topic`
    tier: str = ""  # the environment's tier (GitLab), like `production`
    actor: str = ""  # the user who started the job
    event: str = ""  # the platform's name for it: push, merge_request_event, schedule
    job_url: str = ""  # the page of this job or workflow run
    project_url: str = ""  # the page of the repository
    commit_path: str = "/commit/"  # between `project_url` and a revision
    compare_path: str = "/compare/"  # between `project_url` and `OLD...NEW`
    change: str = ""  # number of the merge or pull request that the job belongs to
    change_url: str = ""  # its page
    discussion: str = ""  # number of the merge or pull request to comment on, if any
    api_url: str = ""  # the API of the platform that has the code
    project_id: str = ""  # the project's name in that API: `acme/web` or `42`
    fork: bool = False  # the code comes from a fork
    dependabot: bool = False  # Dependabot's pull request, which usually gets no secrets either
    untrusted: bool = False  # code perhaps not merged, or not ours, in a job with our secrets
    doubt: str = ""  # a sentence: why it is unknown whether this code may have our secrets
    anyones: bool = False  # anybody can start the job, and whose code it runs is unknown
    astray: str = ""  # a clause: why `ref` is not the branch of a merge or pull request
    closed: bool = False  # the merge or pull request is closed
    unasked: bool = False  # a job that stops an environment, but was started automatically
    tests: str = ""  # the result of the workflow run that this job follows, if known
    build: str = ""  # the platform's number of the pipeline or run, for DEPLOY_TAG
    fetch_url: str = ""  # the URL from which the platform has cloned
    workspace: Path = Path()  # the directory into which the platform checks out
    protected: bool | None = None  # whether this ref gets protected variables; None: unknown
    freeze: bool = False  # GitLab's deploy freeze is on
    seconds_left: float | None = None  # seconds that the run may take; None: no limit is known
    debug: bool = False  # the platform's debug logging is on
    traced: bool = False  # the runner itself prints all variables

    @property
    def branch(self) -> str:
        """The branch; empty for a tag, or when `ref` is unknown."""
        return "" if self.tag else self.ref

    @property
    def of_a_change(self) -> bool:
        """Whether the job is about a review app: its environment's name begins with `review`, or it
        has no environment and belongs to a merge or pull request."""
        if self.environment:
            return self.environment.lower().startswith("review")
        return bool(self.change)

    @property
    def deploy_tag(self) -> str:
        """The default of DEPLOY_TAG: build number and short revision, like `75_db4b44b`; empty if
        either is unknown."""
        return f"{self.build}_{self.revision[:7]}" if self.build and self.revision else ""

    def commit_url(self, revision: str) -> str:
        """The URL of a commit's page; empty when the project's URL is unknown."""
        return f"{self.project_url}{self.commit_path}{revision}" if self.project_url else ""

    def compare_url(self, old: str, new: str) -> str:
        """The URL of the page that compares two revisions; empty when there is none, or nothing to
        compare."""
        if not (self.project_url and old and new) or old == new:
            return ""
        return f"{self.project_url}{self.compare_path}{old}...{new}"


class Output(NamedTuple):
    """A file that `CI.write` writes at the start and the end of a run."""

    path: Path
    data: bytes  # its content
    added: bool = False  # append to the file instead of replacing it


class CI(ABC):
    """A CI platform: its variables, its log commands, its output files. One instance, made by
    `ci.detect`, stands for the job of this process; `context` has the job's facts."""

    name: ClassVar[str]  # as in settings and code
    title: ClassVar[str]  # as in messages
    inputs: ClassVar[bool] = False  # whether users set settings as inputs
    colour: ClassVar[bool] = True  # the log shows colours although it is not a terminal
    # What to do in the job: if the history is shallow, if a secret is missing although it exists,
    # if the commit to deploy is not in the checkout.
    shallow_hint: ClassVar[str] = "Fetch the whole history: `git fetch --unshallow`."
    missing_hint: ClassVar[str] = ""
    commit_hint: ClassVar[str] = "Fetch it, or check it out."

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.context = self.read(environ)

    @classmethod
    @abstractmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:
        """Whether the process with the variables `environ` runs on the platform: decided by
        variables, never by paths."""

    @abstractmethod
    def read(self, environ: Mapping[str, str]) -> CIContext:
        """The facts of this job, from the platform's variables `environ` and from files that they
        name. What is missing there is empty; nothing is raised for it."""

    def section_start(self, name: str, title: str) -> str:  # noqa: ARG002
        """The text that opens a section of the log: a log command, or only the title."""
        return title

    def section_end(self, name: str) -> str:  # noqa: ARG002
        """The log command that closes a section; empty if the platform has none."""
        return ""

    def shield(self) -> tuple[str, str]:
        """(before, after): the log commands that switch log commands off before a child's output,
        and on again after it; both empty if the platform has none."""
        return "", ""

    def mask(self, values: Iterable[str]) -> Iterable[str]:  # noqa: ARG002
        """The log commands, one per value, that tell the platform to hide `values`; none if the
        platform has no such command."""
        return ()

    def annotate(self, level: str, title: str, message: str) -> str:  # noqa: ARG002
        """The log command that shows a message on the platform's overview; empty if the platform
        has none. `level`: `error`, `warning` or `notice`."""
        return ""

    def outputs(self, report: Report) -> list[Output]:
        """The files to write, in this order: here deploy-report.json in the workspace; a platform
        adds its own."""
        text = json.dumps(report.as_json(), indent=2) + "\n"
        return [Output(self.context.workspace / REPORT_FILE, text.encode())]

    def write(self, report: Report) -> None:
        """Write all `outputs`, even when one fails. Raises OSError that names the files that could
        not be written, with the reasons; callers only warn."""
        failed: dict[str, list[str]] = {}
        for output in self.outputs(report):
            try:
                (files.append if output.added else files.write)(output.path, output.data)
            except OSError as error:
                failed.setdefault(error.strerror or str(error), []).append(output.path.name)
        if failed:
            reasons = "; ".join(f"{', '.join(names)}: {why}" for why, names in failed.items())
            raise OSError(reasons)
