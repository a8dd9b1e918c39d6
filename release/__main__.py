"""`python -m release COMMAND`: the steps of a release, in the order of the commands.

A person runs `prepare`; .github/workflows/release.yml runs the rest. Every step can be run again.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from release import changelog, checks, git, images, pins
from release.project import Project, Refused, load, run, set_version, variable, write_digests

NEXT = """Ready. Look at `git diff`, bring it to the default branch as "Release {version}", then run
the workflow "release" there."""


def prepare(project: Project, version: str) -> None:
    """give [Unreleased] a number and a date, and write the version everywhere"""
    if not checks.number(version) or version.startswith("v"):
        raise Refused(f"'{version}' is not a version like 1.2.3")
    if checks.number(version) < checks.number(project.version):
        raise Refused(f"{version} is older than {project.version}")
    if changes := git.changes(project):
        raise Refused(f"the tree is not clean: {', '.join(line[3:] for line in changes)}")
    changelog.cut(project, version, datetime.now(UTC).date())
    set_version(project, version)
    checks.manifest(project)
    _say(NEXT.format(version=version))


def check(project: Project) -> None:
    """refuse what must not be released, before anything is built"""
    if found := list(checks.problems(project)):
        raise Refused("\n".join(f"- {problem}" for problem in found))
    _say(f"{project.version} can be released")


def notes(project: Project, version: str = "") -> None:
    """print what CHANGELOG.md says of it"""
    _say(changelog.notes(project, version or project.version).rstrip())


def build(project: Project, platform: str, file: str) -> None:
    """build and push all images for one platform, write their digests"""
    _write(file, images.build(project, platform))


def publish(project: Project, file: str, *builds: str) -> None:
    """join what was built, copy to the other registry, sign, write the digests"""
    _write(file, images.publish(project, [_read(each) for each in builds]))


def pin(project: Project, file: str) -> None:
    """write the digests into action.yml and the templates"""
    write_digests(project, _read(file))
    checks.manifest(project)


def tag(project: Project) -> None:
    """commit what `pin` has written, tag it for both platforms, push, release"""
    for registry in project.registries:
        images.login(project, registry)
    images.verify(project, project.digests)
    checks.manifest(project, "--check")
    text = changelog.notes(project, project.version)
    branch, base = git.default_branch(project), git.head(project)
    released = git.commit(project, f"Release {project.version}")
    git.tag(project, project.tag, f"{project.version}\n\n{text}")
    git.tag(project, project.version, text)

    major = project.tag.partition(".")[0]
    _push(project, project.repository, project.tag, f"+{released}:refs/tags/{major}")
    _release(project, text)
    # GitLab's pipeline for this tag makes the release in its catalog; see .gitlab-ci.yml.
    _push(project, project.gitlab, project.version, f"{base}:{branch}")
    _say(f"{project.version} is released: {project.repository}/releases/tag/{project.tag}")


def _push(project: Project, url: str, name: str, *more: str) -> None:
    ours = run(project, "git", "rev-parse", f"refs/tags/{name}").strip()
    theirs = git.tags(project, url).get(name)
    if theirs == ours:
        return  # by an earlier attempt
    if theirs:
        raise Refused(f"the tag {name} at {url} is another one: releases do not change")
    user, token = ("release", "GITLAB_TOKEN")
    if url == project.repository:
        user, token = ("x-access-token", "GITHUB_TOKEN")
    git.push(project, url, user, token, f"refs/tags/{name}", *more)


def _release(project: Project, text: str) -> None:
    where = ("--repo", project.repository)
    env = {"GH_TOKEN": variable("GITHUB_TOKEN")}
    said = run(project, "gh", "release", "list", *where, "--json", "tagName", env=env)
    if project.tag in {each["tagName"] for each in json.loads(said)}:
        return  # by an earlier attempt
    how = ("--verify-tag", "--title", project.version, "--notes-file", "-")
    run(project, "gh", "release", "create", project.tag, *where, *how, stdin=text, env=env)


def refresh(project: Project) -> None:
    """write the newest digest of every pinned image"""
    for change in pins.refresh(project):
        _say(change)


COMMANDS: Mapping[str, Callable[..., None]] = {
    each.__name__: each for each in (prepare, check, notes, build, publish, pin, tag, refresh)
}


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        for each in list(inspect.signature(function).parameters.values())[1:]:
            optional = "?" if each.default == "" else None
            command.add_argument(
                each.name, nargs="+" if each.kind is each.VAR_POSITIONAL else optional
            )
    given = vars(parser.parse_args())
    function = COMMANDS[given.pop("command")]
    many = given.pop("builds", [])
    try:
        function(load(Path.cwd()), *given.values(), *many)
    except Refused as error:
        sys.stderr.write(f"release {function.__name__}: {error}\n")
        return 1
    return 0


def _read(file: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(Path(file).read_text(encoding="utf-8"))
    return found


def _write(file: str, digests: Mapping[str, str]) -> None:
    Path(file).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
