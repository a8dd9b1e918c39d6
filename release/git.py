"""What a release asks of git, and the commit and the tags that it makes.

Both are made of nothing but the tree, the notes and the date of the commit before: made again, they
are the same objects, so that a release that broke off can go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from release.project import Project, Refused, run, variable


def head(project: Project) -> str:
    """The commit that is checked out."""
    return run(project, "git", "rev-parse", "HEAD").strip()


def commit_date(project: Project) -> datetime:
    """When it was made."""
    return datetime.fromtimestamp(
        int(run(project, "git", "log", "-1", "--format=%ct", "HEAD")), tz=UTC
    )


def changes(project: Project) -> list[str]:
    """What differs from that commit."""
    return run(project, "git", "status", "--porcelain").splitlines()


def default_branch(project: Project) -> str:
    """The full name of the branch that people get."""
    said = run(project, "git", "ls-remote", "--symref", project.repository, "HEAD")
    match = re.match(r"ref: (\S+)\tHEAD", said)
    if not match:
        raise Refused(f"{project.repository} has no default branch")
    return match[1]


def tip(project: Project) -> str:
    """The newest commit of that branch."""
    return run(project, "git", "ls-remote", project.repository, "HEAD").split()[0]


def tags(project: Project, url: str) -> dict[str, str]:
    """The tags of a remote → the objects they name."""
    lines = run(project, "git", "ls-remote", "--tags", "--refs", url).splitlines()
    found = (line.split("\t") for line in lines)
    return {name.removeprefix("refs/tags/"): sha for sha, name in found}


def commit(project: Project, message: str) -> str:
    """Commit all changes of known files."""
    run(project, "git", "commit", "--quiet", "--all", f"--message={message}", env=_dated(project))
    return head(project)


def tag(project: Project, name: str, message: str) -> None:
    """Make an annotated tag of the commit, or make it again."""
    # Verbatim: a line of the notes that begins with `#` is a heading and no comment.
    how = ("--annotate", "--force", "--cleanup=verbatim", "--file=-")
    run(project, "git", "tag", *how, name, stdin=message, env=_dated(project))


def push(project: Project, url: str, user: str, token: str, *references: str) -> None:
    """Push all of these references or none, with a token that is in no argument and in no file."""
    helper = '!f() { echo "username=$PUSH_USER"; echo "password=$PUSH_TOKEN"; }; f'
    env = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": "",  # forget the ones before
        "GIT_CONFIG_KEY_1": "credential.helper",
        "GIT_CONFIG_VALUE_1": helper,
        "PUSH_USER": user,
        "PUSH_TOKEN": variable(token),
    }
    run(project, "git", "push", "--quiet", "--atomic", url, *references, env=env)


def _dated(project: Project) -> Mapping[str, str]:
    when = commit_date(project).isoformat()
    what = {"NAME": "ci-deploy release", "EMAIL": "release@ci-deploy.invalid", "DATE": when}
    return {f"GIT_{who}_{key}": what[key] for who in ("AUTHOR", "COMMITTER") for key in what}
