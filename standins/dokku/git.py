"""Git on the server: the deploy branch, the tree of a revision, `git:*` (docs …/methods/git.md)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import apps, versions
from .output import DokkuError, fail, report
from .parsing import parse_report
from .registry import command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .host import Host
    from .model import App


@dataclass(frozen=True)
class Source:
    """What to build: a revision, and how its tree gets into an empty directory."""

    revision: str
    populate: Callable[[Path], None]


def git(repo: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git in a bare repository and return what it prints; a failure is the command's."""
    done = subprocess.run(
        ["git", "--git-dir", repo, *arguments],
        env={**os.environ, **apps.NO_GIT_CONFIG, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DokkuError(done.stderr.strip() or f"git {arguments[0]} failed")
    return done.stdout.strip()


def deploy_branch(host: Host, app: App, default: str = "master") -> str:
    """Return the branch that is deployed: the app's, else the global one, else `master`."""
    return host.property(app, "git.deploy-branch") or default


def head(host: Host, app: App) -> str:
    """Return the revision at the deploy branch; empty when nothing was pushed there."""
    repo, branch = host.store.repo(app.name), deploy_branch(host, app)
    try:
        return git(repo, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
    except DokkuError:
        return ""


def checkout(repo: Path, revision: str) -> Source:
    """Return the tree of a revision; submodules and LFS contents are not fetched."""

    def populate(directory: Path) -> None:
        index = directory.with_suffix(".index")
        env = {"GIT_WORK_TREE": str(directory), "GIT_INDEX_FILE": str(index)}
        git(repo, "read-tree", revision, env=env)
        git(repo, "checkout-index", "--all", f"--prefix={directory}/", env=env)
        index.unlink()

    return Source(revision, populate)


def image_tree(host: Host, image: str, revision: str) -> Source:
    """Return the tree of an image: a directory that the test registered under its name."""

    def populate(directory: Path) -> None:
        subprocess.run(["cp", "-R", f"{host.settings.images[image]}/.", directory], check=True)

    return Source(revision, populate)


def stored_source(host: Host, app: App) -> Source:
    """Return what a rebuild builds: the stored code, whatever is live."""
    revision = head(host, app)
    if not revision:
        branch = deploy_branch(host, app)
        fail(f"Cannot build from '{branch}' as there are no commits stored at that branch.")
    image = app.properties.get("git.source-image", "")
    if image:
        return image_tree(host, image, revision)
    return checkout(host.store.repo(app.name), revision)


def announce_revision(host: Host, name: str, revision: str) -> None:
    """Write `GIT_REV` into the config; Dokku does so before it builds."""
    with host.store.edit_app(name) as app:
        variable = app.properties.get("git.rev-env-var", "GIT_REV")
        if variable:
            app.config[variable] = revision


def note_source(host: Host, name: str, kind: str, metadata: str, image: str = "") -> None:
    """Remember what is deployed; Dokku does so only after success."""
    with host.store.edit_app(name) as app:
        app.properties["apps.deploy-source"] = kind
        app.properties["apps.deploy-source-metadata"] = metadata
        app.properties["git.source-image"] = image


@command("git:initialize")
def initialize(host: Host, words: Sequence[str]) -> None:
    """Make the repository of an app; it has one already."""
    apps.init_repo(host.store.repo(host.first_app(words).name))


@command("git:unlock", until=versions.GIT_UNLOCK_GONE)
def unlock(host: Host, words: Sequence[str]) -> None:
    """Remove a clone that was left behind; there never is one."""
    host.first_app(words)
    host.console.info1("No clone folder exists app already unlocked")


@command("git:report")
def git_report(host: Host, words: Sequence[str]) -> None:
    """Print the git settings of apps; JSON since 0.38."""
    name, flag, as_json = parse_report(words)
    if as_json and not host.since(versions.TRIMMED_REPORT_KEYS):
        fail("Invalid flag passed, valid flags: --git-deploy-branch, --git-sha")
    for app in [host.app(name)] if name else map(host.app, host.store.app_names()):
        values = {**branch_facts(host, app), **facts(host, app)}
        trim = host.since(versions.TRIMMED_REPORT_KEYS)
        report(host.console, "git", app.name, values, flag=flag, as_json=as_json, trim=trim)


def branch_facts(host: Host, app: App) -> dict[str, str]:
    """Return the deploy branch; before 0.38.4 "not set" could not be told from `master`."""
    own = app.properties.get("git.deploy-branch", "")
    server = host.store.globals().properties.get("git.deploy-branch", "")
    if not host.since(versions.COMPUTED_DEPLOY_BRANCH):
        return {
            "--git-deploy-branch": own or "master",
            "--git-global-deploy-branch": server or "master",
        }
    return {
        "--git-computed-deploy-branch": own or server or "master",
        "--git-deploy-branch": own,
        "--git-global-deploy-branch": server,
    }


def facts(host: Host, app: App) -> dict[str, str]:
    """Return the rest; `--git-sha` is about HEAD, which is `master` whatever is deployed.

    For a repository without that branch git prints the literal word `HEAD`.
    """
    repo = host.store.repo(app.name)
    short = () if host.since(versions.LONG_SHA) else ("--short",)
    sha = subprocess.run(
        ["git", "--git-dir", repo, "rev-parse", *short, "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    ref = repo / "refs" / "heads" / deploy_branch(host, app)
    return {
        "--git-keep-git-dir": app.properties.get("git.keep-git-dir", "false"),
        "--git-last-updated-at": str(int(ref.stat().st_mtime)) if ref.exists() else "",
        "--git-rev-env-var": app.properties.get("git.rev-env-var", "GIT_REV"),
        "--git-sha": sha.stdout.strip(),
        "--git-source-image": app.properties.get("git.source-image", ""),
    }
