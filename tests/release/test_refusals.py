"""What a release refuses, before anything leaves the machine."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from release import __main__ as release
from release import checks, git, images, pins
from release.project import PLATFORMS, Refused, load
from standins.support import ROOT
from tests.release.fork import GITHUB, GITLAB, TOKENS, VERSION, Fork

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def source(fork: Fork) -> Path:
    return fork.folder / "source"


def _edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.M)
    assert count, pattern
    path.write_text(text)


@pytest.fixture
def problems(fork: Fork, source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What speaks against a release; in this process, which is quicker."""
    for name, value in fork.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(source / "entrypoint"))
    return lambda: list(checks.problems(load(source)))


def test_the_newest_commit_can_be_released(fork: Fork, source: Path) -> None:
    done = fork.release(source, "check")
    assert (done.returncode, done.stdout) == (0, f"{VERSION} can be released\n"), done.stderr
    _dirty(fork, source)
    done = fork.release(source, "check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("release check: - the tree is not clean: README.md, new\n")


UNPINNED: dict[str, tuple[str, str, str, str]] = {
    "action by version": (
        ".github/workflows/test.yml", "checkout@.*", "checkout@v6", "'actions/checkout@v6'",
    ),
    "action by SHA of what?": (
        ".github/workflows/test.yml", " # v6.*", "", "needs the SHA of a commit and the version",
    ),
    "image of the pipeline": (
        ".gitlab-ci.yml", "(cli:v[0-9.]+)@.*", r"\1", "gitlab-org/cli:v1.114.0' has no digest",
    ),
    "base": ("pyproject.toml", "(trixie-slim)@[^\"]*", r"\1", "the pin base = 'debian:"),
    "stage of a foreign image": (
        "Dockerfile", "^FROM scratch AS base$", "FROM alpine:3 AS base", "'alpine:3' is not pinned",
    ),
    "syntax": ("Dockerfile", r"\A", "# syntax=docker/dockerfile:1\n", "'# syntax=' pulls"),
    "package": (
        "requirements/runtime.txt", r"^(requests==\S+) \\\n(?: +--hash=\S+(?: \\)?\n)+", r"\1\n",
        "runtime.txt: 'requests==",
    ),
    "npm package": (
        "requirements/heroku/package-lock.json", '"integrity": "[^"]*"', '"x": ""', "no integrity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNPINNED)
def test_something_is_not_pinned(name: str, tmp_path: Path) -> None:
    for each in ("Dockerfile", "pyproject.toml", ".gitlab-ci.yml"):
        shutil.copy(ROOT / each, tmp_path)
    for each in (".github", "requirements", "entrypoint/ci_deploy/__init__.py"):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy
        copy(ROOT / each, tmp_path / each)
    assert list(pins.problems(load(tmp_path))) == []
    file, pattern, replacement, message = UNPINNED[name]
    _edit(tmp_path / file, pattern, replacement)
    assert message in "\n".join(pins.problems(load(tmp_path)))


def test_a_pin_that_its_registry_does_not_have(
    fork: Fork, problems: Callable[[], list[str]]
) -> None:
    del fork.facts["known"][fork.facts["pins"]["sbom"]]
    fork.say()
    (problem,) = problems()
    assert f"{fork.facts['pins']['sbom']}` ended with" in problem


def _dirty(_: Fork, source: Path) -> None:
    (source / "README.md").write_text("changed")
    (source / "new").touch()


def _older(fork: Fork, _: Path) -> None:
    fork.git("source", "commit", "--quiet", "--allow-empty", "--message", "one more")
    fork.git("source", "push", "--quiet", GITHUB, "HEAD:main")
    fork.git("source", "reset", "--quiet", "--hard", "HEAD^")


def _tagged(url: str, name: str) -> Callable[[Fork, Path], None]:
    def make(fork: Fork, _: Path) -> None:
        fork.git("source", "push", "--quiet", url, f"HEAD:refs/tags/{name}")

    return make


def _edited(file: str, pattern: str, replacement: str) -> Callable[[Fork, Path], None]:
    def make(fork: Fork, source: Path) -> None:
        _edit(source / file, pattern, replacement)
        fork.commit(source, "edited")

    return make


REFUSED: dict[str, tuple[Callable[[Fork, Path], None], str]] = {
    "not the newest": (_older, "this is not the newest commit of refs/heads/main"),
    "tag on GitHub": (_tagged(GITHUB, f"v{VERSION}"), f"the tag v{VERSION} exists at {GITHUB}"),
    "tag on GitLab": (_tagged(GITLAB, VERSION), f"the tag {VERSION} exists at {GITLAB}"),
    "older than a release": (_tagged(GITHUB, "v7.2.0"), "has v7.2.0, which is newer than 7.1.0"),
    "empty section": (
        _edited("CHANGELOG.md", "^- Something.*$", ""),
        f"the section of {VERSION} in CHANGELOG.md says nothing",
    ),
    "no section": (
        _edited("CHANGELOG.md", rf"^## \[{VERSION}\].*$", "## [7.0.9] - 2026-11-01"),
        f"CHANGELOG.md has no section '## [{VERSION}] - YYYY-MM-DD'",
    ),
    "unreleased changes": (
        _edited("CHANGELOG.md", r"^## \[Unreleased\]$", "## [Unreleased]\n\n- A late one"),
        f"this commit has changes that the notes of {VERSION} do not name: - A late one",
    ),
    "another version": (
        _edited("entrypoint/ci_deploy/__init__.py", VERSION, "7.3.0"),
        "CHANGELOG.md has no section '## [7.3.0] - YYYY-MM-DD'",
    ),
    "generated files differ": (
        _edited("README.md", rf"@v{VERSION}$", "@v7.0.0"),
        "tooling.manifest --check` ended with 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_check_refuses(
    fork: Fork, source: Path, problems: Callable[[], list[str]], name: str
) -> None:
    spoil, message = REFUSED[name]
    spoil(fork, source)
    assert message in "\n".join(problems())


def test_prepare_refuses(fork: Fork, source: Path, problems: Callable[[], list[str]]) -> None:
    for version, message in {
        "7.2": "'7.2' is not a version like 1.2.3",
        "v7.2.0": "'v7.2.0' is not a version like 1.2.3",
        "7.0.0": "7.0.0 is older than 7.1.0",
        "7.2.0": "nothing stands under [Unreleased]",
    }.items():
        with pytest.raises(Refused, match=re.escape(message)):
            release.prepare(load(source), version)
    assert fork.git("source", "status", "--porcelain") == ""


def test_notes_of_any_version(fork: Fork, source: Path) -> None:
    assert "- Something `$(new)`" in fork.release(source, "notes").stdout
    assert fork.release(source, "notes", "0.0.1").stdout.startswith("### Added")
    assert "has no section '## [9.9.9]" in fork.release(source, "notes", "9.9.9").stderr


def test_digests_that_are_missing_are_not_tagged(fork: Fork, source: Path) -> None:
    """The tree without `pin`, and a digest that is none."""
    tokens = {
        **TOKENS,
        "GITHUB_ACTOR": "octocat",
        "STANDIN_JOB": '{"permissions": {"packages": "read"}}',
    }
    done = fork.release(source, "tag", **tokens)
    assert "there is no digest of the image dokku" in done.stderr
    (source / "d.json").write_text(
        json.dumps(dict.fromkeys(("dokku", "compose", "swarm", "heroku", "full"), "sha256:1"))
    )
    assert fork.release(source, "pin", "d.json").returncode == 0
    assert "digests already" in fork.release(source, "pin", "d.json").stderr
    done = fork.release(source, "tag", **tokens)
    assert "there is no digest of the image dokku" in done.stderr


def _index(*platforms: str) -> dict[str, list[dict[str, Any]]]:
    """What a registry has: images, each with an attestation."""
    manifests: list[dict[str, Any]] = []
    for each in platforms:
        system, _, architecture = each.partition("/")
        runs = {"os": system, "architecture": architecture}
        manifests.append({"digest": f"image-{architecture}", "platform": runs})
        notes = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": f"image-{architecture}",
        }
        manifests.append({"digest": f"about-{architecture}", "annotations": notes})
    return {"manifests": manifests}


SBOM, PROVENANCE = "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"


@pytest.mark.parametrize(
    ("platforms", "stated", "message"),
    [
        (PLATFORMS, [SBOM, PROVENANCE], ""),
        (PLATFORMS[:1], [SBOM, PROVENANCE], "x is for linux/amd64$"),
        (PLATFORMS, [PROVENANCE], "x for linux/amd64 has no SBOM"),
        (PLATFORMS, [SBOM], "x for linux/amd64 has no provenance"),
        ((), [], "x is for no platform"),
    ],
)
def test_an_image_that_lacks_something(
    platforms: tuple[str, ...], stated: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [{"annotations": {"in-toto.io/predicate-type": each}} for each in stated]
    monkeypatch.setattr(images, "_raw", lambda *_: json.dumps({"layers": layers}))
    with pytest.raises(Refused, match=message) if message else contextlib.nullcontext():
        images._verify_platforms(load(ROOT), "x", _index(*platforms))


def test_refresh_writes_the_digest_of_today(fork: Fork, source: Path) -> None:
    for image in list(fork.facts["known"]):
        fork.facts["known"][image.partition("@")[0]] = DIGEST
    fork.say()
    done = fork.release(source, "refresh")
    assert done.returncode == 0, done.stderr
    changed = {line.partition("@")[0] for line in done.stdout.splitlines()}
    assert ".gitlab-ci.yml: registry.gitlab.com/gitlab-org/cli:v1.114.0" in changed
    assert "pyproject.toml: debian:trixie-slim" in changed
    assert set(load(source).pins.values()) == {
        f"{image.partition('@')[0]}@{DIGEST}" for image in fork.facts["pins"].values()
    }


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A git server that asks who is there, and lets nobody in."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(404 if seen[-1] else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.git", seen
    server.shutdown()
    server.server_close()


def test_a_push_names_its_token_and_nobody_elses(
    source: Path, asked: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, seen = asked
    monkeypatch.setenv("GITLAB_TOKEN", "s3cret")
    with pytest.raises(Refused) as refused:
        git.push(load(source), url, "release", "GITLAB_TOKEN", "HEAD")
    assert seen == ["", f"Basic {base64.b64encode(b'release:s3cret').decode()}"]
    assert "s3cret" not in str(refused.value)
