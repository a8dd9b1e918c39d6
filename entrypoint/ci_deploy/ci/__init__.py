"""The CI platforms, and the detection of the one that this process runs on."""

from __future__ import annotations

from collections.abc import Mapping

from ci_deploy.ci.base import CI, CIContext
from ci_deploy.ci.circleci import CircleCI
from ci_deploy.ci.github import GitHub
from ci_deploy.ci.gitlab import GitLab
from ci_deploy.ci.local import Local

PLATFORMS: tuple[type[CI], ...] = (GitHub, GitLab, CircleCI, Local)

__all__ = ["CI", "PLATFORMS", "CIContext", "detect"]


def detect(environ: Mapping[str, str]) -> CI:
    """Make the platform that this process runs on, recognised by the names in `environ`, the
    process's variables; `Local` if none is recognised."""
    return next(platform for platform in PLATFORMS if platform.detect(environ))(environ)
