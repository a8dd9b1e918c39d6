"""Whether this commit may be released: asked before anything is built."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from release import changelog, git, pins
from release.project import Project, Refused, run


def problems(project: Project) -> Iterator[str]:
    """Everything that speaks against it."""
    if changes := git.changes(project):
        yield f"the tree is not clean: {', '.join(line[3:] for line in changes)}"
    if git.head(project) != git.tip(project):
        yield f"this is not the newest commit of {git.default_branch(project)}"
    yield from _notes(project)
    for url, tag in ((project.repository, project.tag), (project.gitlab, project.version)):
        existing = git.tags(project, url)
        if tag in existing:
            yield f"the tag {tag} exists at {url}: releases do not change, take the next number"
        newer = [each for each in existing if number(each) > number(project.version)]
        if newer:
            yield f"{url} has {', '.join(sorted(newer))}, which is newer than {project.version}"
    if project.digests:
        yield "pyproject.toml has digests: they are for the commit that a release makes"
    yield from pins.problems(project)
    yield from pins.unknown(project)
    try:
        manifest(project, "--check")
    except Refused as error:
        yield str(error)


def _notes(project: Project) -> Iterator[str]:
    try:
        changelog.notes(project, project.version)
    except Refused as error:
        yield str(error)
    if left := changelog.unreleased(project):
        yield f"this commit has changes that the notes of {project.version} do not name: {left[0]}"


def number(version: str) -> tuple[int, ...]:
    """A version to compare with; what is none is older than all."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in match.groups()) if match else ()


def manifest(project: Project, *options: str) -> None:
    """Write the generated files, in a process of its own: it has to read the version anew."""
    run(project, sys.executable, "-m", "tooling.manifest", *options)
