"""CircleCI: the facts of the job from built-in variables (circleci.com/docs/variables)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ci_deploy.ci.base import CI, CIContext


class CircleCI(CI):
    """A job on CircleCI, which has no log commands; the only output is deploy-report.json."""

    name: ClassVar[str] = "circleci"
    title: ClassVar[str] = "CircleCI"
    shallow_hint: ClassVar[str] = "Use the `checkout` step with `method: full`."

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:
        return "CIRCLECI" in environ

    def read(self, environ: Mapping[str, str]) -> CIContext:
        get = environ.get
        project = _project_url(get("CIRCLE_REPOSITORY_URL", ""))
        pull = get("CIRCLE_PULL_REQUEST", "")
        number = get("CIRCLE_PR_NUMBER", "") or pull.rpartition("/")[2]
        on_github = project.startswith("https://github.com/")
        return CIContext(
            revision=get("CIRCLE_SHA1", ""),
            ref=get("CIRCLE_TAG") or get("CIRCLE_BRANCH", ""),
            tag=get("CIRCLE_TAG", ""),
            actor=get("CIRCLE_USERNAME", ""),
            event="pull_request" if pull else "push",
            job_url=get("CIRCLE_BUILD_URL", ""),
            project_url=project,
            change=number,
            change_url=pull,
            discussion=number,
            api_url="https://api.github.com" if on_github else "",
            project_id=project.removeprefix("https://github.com/") if on_github else "",
            fork=bool(get("CIRCLE_PR_REPONAME") or get("CIRCLE_PR_USERNAME")),
            build=get("CIRCLE_BUILD_NUM", ""),
            workspace=Path(get("CIRCLE_WORKING_DIRECTORY", "") or Path.cwd()).expanduser(),
        )


def _project_url(repository: str) -> str:
    """`git@github.com:acme/web.git` → `https://github.com/acme/web`."""
    match = re.fullmatch(r"(?:git@|https?://)([\w.-]+)[:/](.+?)(?:\.git)?/?", repository)
    return f"https://{match[1]}/{match[2]}" if match else ""
