"""Outside a known CI: `docker run`, a developer's shell, or another CI system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ci_deploy.ci import checkouts, origin
from ci_deploy.ci.base import CI, CIContext

# On other CI systems: a variable with a pull request's repository, and one with the project's own.
SLUGS = {
    "TRAVIS_PULL_REQUEST_SLUG": "TRAVIS_REPO_SLUG",
    "BUILDKITE_PULL_REQUEST_REPO": "BUILDKITE_REPO",
    "APPVEYOR_PULL_REQUEST_HEAD_REPO_NAME": "APPVEYOR_REPO_NAME",
    "SEMAPHORE_GIT_PR_SLUG": "SEMAPHORE_GIT_REPO_SLUG",
    "BITRISEIO_PULL_REQUEST_REPOSITORY_URL": "GIT_REPOSITORY_URL",
}
PULLS = ("DRONE_PULL_REQUEST", "CI_COMMIT_PULL_REQUEST", "CIRRUS_PR")  # unknown whether of a fork

DOUBT = "this job belongs to a pull request ({}), and it is unknown whether that comes from a fork."


class Local(CI):
    """Outside a known CI: the branch comes from git, the actor from `$USER`. Variables of other CI
    systems only tell whether a pull request comes from a fork."""

    name: ClassVar[str] = "local"
    title: ClassVar[str] = "your machine"
    colour: ClassVar[bool] = False

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:  # noqa: ARG003
        return True

    def read(self, environ: Mapping[str, str]) -> CIContext:
        here = Path.cwd()
        return CIContext(
            ref=checkouts.branch(here),
            fork=_is_fork(environ),
            doubt=next((DOUBT.format(name) for name in PULLS if environ.get(name)), ""),
            actor=environ.get("USER", ""),
            event="local",
            workspace=here,
        )


def _is_fork(environ: Mapping[str, str]) -> bool:
    get = environ.get
    differ = any(
        get(theirs) and origin.repository(get(theirs, "")) != origin.repository(get(ours, ""))
        for theirs, ours in SLUGS.items()
    )
    return differ or get("SYSTEM_PULLREQUEST_ISFORK") == "True" or bool(get("CHANGE_FORK"))
