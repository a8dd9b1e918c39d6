"""Deploys without a push: `git:from-archive`, `git:from-image`, `git:load-image`, `git:sync`."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import git, versions
from .deploy import build_and_deploy
from .locks import exclusive_deploy
from .output import DokkuError, fail
from .parsing import pick
from .registry import command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .host import Host

AUTHOR = ("Dokku", "automated@dokku.sh")


@contextmanager
def scratch(host: Host) -> Iterator[Path]:
    """Lend an empty directory."""
    with tempfile.TemporaryDirectory(dir=host.root) as directory:
        yield Path(directory)


def deploy_directory(host: Host, name: str, directory: Path, author: Sequence[str]) -> str:
    """Commit the directory's content and deploy it; a failed deploy takes the commit back.

    As `git-from-directory` does: nothing new to commit is a failure. Returns the revision.
    """
    app = host.app(name)
    repo, ref = host.store.repo(name), f"refs/heads/{git.deploy_branch(host, app)}"
    old = git.head(host, app)
    host.console.info1("Updating git repository with specified build context")
    new = _commit(repo, directory, old, author)
    git.git(repo, "update-ref", ref, new)
    try:
        deploy_stored(host, name, new)
    except DokkuError as error:
        if host.since(versions.IMAGE_ROLLBACK) and error.code:
            git.git(repo, "update-ref", *([ref, old] if old else ["-d", ref]))
        raise
    return new


def deploy_stored(host: Host, name: str, revision: str) -> None:
    """Build and deploy what the repository has at its deploy branch."""
    git.announce_revision(host, name, revision)
    build_and_deploy(host, name, git.stored_source(host, host.app(name)))


def _commit(repo: Path, directory: Path, parent: str, author: Sequence[str]) -> str:
    name, email = [*author, "", ""][:2]
    env = {
        "GIT_WORK_TREE": str(directory),
        "GIT_INDEX_FILE": str(directory.with_suffix(".index")),
        **{f"GIT_{role}_NAME": name or AUTHOR[0] for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": email or AUTHOR[1] for role in ("AUTHOR", "COMMITTER")},
    }
    git.git(repo, "add", "--all", env=env)
    tree = git.git(repo, "write-tree", env=env)
    Path(env["GIT_INDEX_FILE"]).unlink()
    if not parent:
        return git.git(repo, "commit-tree", tree, "-m", "Initial commit", env=env)
    if tree == git.git(repo, "rev-parse", f"{parent}^{{tree}}"):
        fail(
            "No changes detected, skipping git commit\n"
            "Call 'ps:rebuild' on app to rebuild the app from existing source"
        )
    message = f"Automated commit @ {int(time.time())}"
    return git.git(repo, "commit-tree", tree, "-p", parent, "-m", message, env=env)


@command("git:from-archive", since=(0, 24))
def from_archive(host: Host, words: Sequence[str]) -> None:
    """Deploy an archive: from an address, or from stdin for `--`."""
    host.console.merge_stderr = host.since(versions.BUILDS)
    arguments, options = pick(words, values=["--archive-type"])
    app = host.first_app(arguments)
    url, *author = arguments[1:] or [""]
    kind = options.get("--archive-type", "tar")
    if not url:
        fail("Please specify an archive url or -- to fetch the archive from stdin")
    if kind not in ("tar", "tar.gz", "zip"):
        fail("Invalid archive type specified, valid archive types include: tar, tar.gz, zip")
    with scratch(host) as directory:
        origin = "stdin" if url == "--" else url
        host.console.info1(f"Fetching {kind} file from {origin}")
        data = _fetch(url)
        host.console.info1("Generating build context")
        tree = directory / "tree"
        unpack(kind, data, tree)
        with exclusive_deploy(host, app.name, "git:from-archive"):
            _use_image(host, app.name, "")
            deploy_directory(host, app.name, strip(tree), author)
            git.note_source(host, app.name, kind, url)


def _fetch(url: str) -> bytes:
    if url == "--":
        return sys.stdin.buffer.read()
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def unpack(kind: str, data: bytes, directory: Path) -> None:
    """Unpack an archive; a broken one fails the command."""
    directory.mkdir()
    try:
        if kind == "zip":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                archive.extractall(directory)
        else:
            mode: str = "r:gz" if kind == "tar.gz" else "r:"
            with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as tar:  # type: ignore[call-overload]
                tar.extractall(directory, filter="tar")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        fail(f"{kind}: {error}")


def strip(directory: Path) -> Path:
    """Leave out what is only a wrapper: as long as there is nothing but one directory."""
    content = list(directory.iterdir())
    return strip(content[0]) if len(content) == 1 and content[0].is_dir() else directory


@command("git:from-image", since=(0, 24))
def from_image(host: Host, words: Sequence[str]) -> None:
    """Deploy an image; a test registers what is in it (`DokkuStandIn.image`)."""
    host.console.merge_stderr = host.since(versions.BUILDS)
    flags = ["--force"] if host.since(versions.FROM_IMAGE_FORCE) else []
    arguments, _ = pick(words, flags=flags, values=["--build-dir"])
    app = host.first_app(arguments)
    if len(arguments) < 2:
        fail("Please specify a docker image")
    if arguments[1] not in host.settings.images:
        fail(f"Failed to pull image: {arguments[1]}")
    _deploy_image(host, app.name, "git:from-image", *arguments[1:])


@command("git:load-image", since=(0, 30))
def load_image(host: Host, words: Sequence[str]) -> None:
    """Deploy an image that arrives on stdin, as `docker save` writes it; see `from_image`."""
    host.console.merge_stderr = host.since(versions.BUILDS)
    arguments, _ = pick(words, values=["--build-dir"])
    app, image = host.first_app(arguments), [*arguments, ""][1]
    data = sys.stdin.buffer.read()
    if not data:
        fail("Expecting tar archive containing docker image on STDIN")
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            manifest = archive.extractfile("manifest.json")
            tags = [
                tag for each in json.load(manifest or io.StringIO("[]")) for tag in each["RepoTags"]
            ]
    except (tarfile.TarError, KeyError, ValueError) as error:
        fail(f"Error processing tar file: {error}")
    if image not in tags or image not in host.settings.images:
        fail(f"Loaded image tarball but the specified docker image was not found: {image}")
    _deploy_image(host, app.name, "git:load-image", *arguments[1:])


def adopt_branch(host: Host, name: str) -> None:
    """Where no deploy branch is set, the one that the commit goes to becomes it."""
    app = host.app(name)
    if not git.deploy_branch(host, app, default=""):
        branch = git.deploy_branch(host, app)
        host.console.verbose(f"Detected branch, setting deploy-branch to {branch}")
        with host.store.edit_app(name) as change:
            change.properties["git.deploy-branch"] = branch


def _deploy_image(host: Host, name: str, source: str, image: str, *author: str) -> None:
    before = host.app(name).properties.get("git.source-image", "")
    with scratch(host) as directory, exclusive_deploy(host, name, source):
        tree = directory / "tree"
        tree.mkdir()
        (tree / "Dockerfile").write_text(f"FROM {image}\n", encoding="utf-8")
        _use_image(host, name, image)
        adopt_branch(host, name)
        try:
            deploy_directory(host, name, tree, author)
        except DokkuError:
            _use_image(host, name, before)
            raise
        git.note_source(host, name, "docker-image", image, image)


def _use_image(host: Host, name: str, image: str) -> None:
    with host.store.edit_app(name) as app:
        app.properties["git.source-image"] = image


@command("git:sync", since=(0, 23))
def sync(host: Host, words: Sequence[str]) -> None:
    """Fetch from a repository; deploy for `--build`, or only what changed."""
    host.console.merge_stderr = host.since(versions.BUILDS)
    flags = ["--build", "--build-if-changes", "--skip-deploy-branch"]
    arguments, options = pick(words, flags=flags)
    app = host.first_app(arguments)
    _, remote, ref = [*arguments, "", "", ""][:3]
    if not remote:
        fail("Missing GIT_REMOTE parameter")
    repo, branch = host.store.repo(app.name), git.deploy_branch(host, app)
    before = git.head(host, app)
    git.git(repo, "fetch", "--quiet", "--force", remote, f"{ref or branch}:refs/heads/{branch}")
    revision = git.head(host, app)
    changed = options.flag("--build-if-changes") and revision != before
    if options.flag("--build") or changed:
        with exclusive_deploy(host, app.name, "git:sync"):
            _use_image(host, app.name, "")
            deploy_stored(host, app.name, revision)
            git.note_source(host, app.name, "git-sync", f"{remote}#{ref or branch}")
