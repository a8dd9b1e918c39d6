"""The pipeline files that `init` writes: one module for each CI platform. PIPELINES: platform →
(path of the file, function that makes its text)."""

from __future__ import annotations

from collections.abc import Callable

from ci_deploy.commands.pipelines.circleci import circleci
from ci_deploy.commands.pipelines.common import ON_DOCKER, Wish
from ci_deploy.commands.pipelines.github import github
from ci_deploy.commands.pipelines.gitlab import gitlab

PIPELINES: dict[str, tuple[str, Callable[[Wish], str]]] = {
    "gitlab": (".gitlab-ci.yml", gitlab),
    "github": (".github/workflows/deploy.yml", github),
    "circleci": (".circleci/config.yml", circleci),
}


def path_of(wish: Wish) -> str:
    """The path of the pipeline file, relative to the repository's root; for Gitea and Forgejo in
    their own directory (`Wish.workflows`), if there is one."""
    return f"{wish.workflows}/deploy.yml" if wish.ci == "github" else PIPELINES[wish.ci][0]


__all__ = ["ON_DOCKER", "PIPELINES", "Wish", "path_of"]
