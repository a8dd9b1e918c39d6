"""What a CI platform tells us, and how we talk to it."""

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
    """The facts of this job, read from the platform's variables. Unknown texts are empty."""

    revision: str = ""  # what is to be deployed: full SHA, or empty for the checkout's HEAD
    checked_out: str = ""  # what the platform checks out for it, where that is another commit
    detached: bool = False  # the checkout's HEAD says nothing: the job has switched that off
    ref: str = ""  # branch or tag
    tag: str = ""
    default_branch: str = ""
    environment: str = ""
    tier: str = ""  # of the environment, where the platform has such a thing
    actor: str = ""
    event: str = ""  # the platform's own word: push, merge_request_event, pull_request, schedule
    job_url: str = ""
    project_url: str = ""
    commit_path: str = "/commit/"
    compare_path: str = "/compare/"
    change: str = ""  # number of the merge or pull request
    change_url: str = ""
    discussion: str = ""  # the number under which the job's commits are discussed, if any
    api_url: str = ""  # of the platform that has the code
    project_id: str = ""  # how that API names the project: `acme/web` or `42`
    fork: bool = False  # the code comes from a fork
    dependabot: bool = False  # its pull requests get no secrets either
    untrusted: bool = False  # a stranger's code or nobody's yet, with our secrets at hand
    doubt: str = ""  # why it cannot be known whether this code may have our secrets
    anyones: bool = False  # anybody can start it, and it does not say whose code is checked out
    astray: str = ""  # why `ref` is not the branch of a change
    closed: bool = False  # the merge or pull request is
    unasked: bool = False  # it is to stop an environment, but nobody and nothing has started it
    tests: str = ""  # how the pipeline ended that this job follows, if it says so
    build: str = ""  # the number in DEPLOY_TAG
    fetch_url: str = ""  # where the checkout came from, when the platform says so
    workspace: Path = Path()
    protected: bool | None = None  # may this ref see protected variables?
    freeze: bool = False
    seconds_left: float | None = None  # until the platform kills the job
    debug: bool = False
    traced: bool = False  # the runner itself prints all variables

    @property
    def branch(self) -> str:
        """The branch, when it is not a tag."""
        return "" if self.tag else self.ref

    @property
    def of_a_change(self) -> bool:
        """Whether the job is about a merge or pull request, or a review environment."""
        if self.environment:
            return self.environment.lower().startswith("review")
        return bool(self.change)

    @property
    def deploy_tag(self) -> str:
        """`75_db4b44b`: build number and short revision; empty when the CI does not tell both."""
        return f"{self.build}_{self.revision[:7]}" if self.build and self.revision else ""

    def commit_url(self, revision: str) -> str:
        """The page of a commit, where the platform has one."""
        return f"{self.project_url}{self.commit_path}{revision}" if self.project_url else ""

    def compare_url(self, old: str, new: str) -> str:
        """The page that compares two revisions."""
        if not (self.project_url and old and new) or old == new:
            return ""
        return f"{self.project_url}{self.compare_path}{old}...{new}"


class Output(NamedTuple):
    """A file for other jobs and for people; `added` to what is there, as the platform wants it."""

    path: Path
    data: bytes
    added: bool = False


class CI(ABC):
    """One platform: its variables, its log commands, its files."""

    name: ClassVar[str]
    title: ClassVar[str]
    inputs: ClassVar[bool] = False  # settings are spelled as inputs
    colour: ClassVar[bool] = True  # the log shows colours although it is not a terminal
    shallow_hint: ClassVar[str] = "Fetch the whole history: `git fetch --unshallow`."
    missing_hint: ClassVar[str] = ""  # why a secret that is set somewhere may be missing here
    commit_hint: ClassVar[str] = "Fetch it, or check it out."

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.context = self.read(environ)

    @classmethod
    @abstractmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:
        """Whether this is where we run: by the presence of variables, never by paths."""

    @abstractmethod
    def read(self, environ: Mapping[str, str]) -> CIContext:
        """The facts of this job."""

    def section_start(self, name: str, title: str) -> str:  # noqa: ARG002
        """The line that opens a section of the log."""
        return title

    def section_end(self, name: str) -> str:  # noqa: ARG002
        """The line that closes it; empty for none."""
        return ""

    def shield(self) -> tuple[str, str]:
        """Lines before and after a child's output that switch log commands off and on."""
        return "", ""

    def mask(self, values: Iterable[str]) -> Iterable[str]:  # noqa: ARG002
        """Lines that tell the platform what to hide."""
        return ()

    def annotate(self, level: str, title: str, message: str) -> str:  # noqa: ARG002
        """A line that the platform shows on its overview; empty where it has none."""
        return ""

    def outputs(self, report: Report) -> list[Output]:
        """The files to write, in this order."""
        text = json.dumps(report.as_json(), indent=2) + "\n"
        return [Output(self.context.workspace / REPORT_FILE, text.encode())]

    def write(self, report: Report) -> None:
        """Write the outputs, each whatever becomes of the others. Raises OSError that names those
        that could not be written, which is only a warning to the caller."""
        failed: dict[str, list[str]] = {}
        for output in self.outputs(report):
            try:
                (files.append if output.added else files.write)(output.path, output.data)
            except OSError as error:
                failed.setdefault(error.strerror or str(error), []).append(output.path.name)
        if failed:
            reasons = "; ".join(f"{', '.join(names)}: {why}" for why, names in failed.items())
            raise OSError(reasons)
