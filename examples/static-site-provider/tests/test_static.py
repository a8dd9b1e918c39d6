"""Deploys to a real sshd on loopback: `python -m pytest` in this directory, with ci-deploy
installed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parents[1]
ENTRY = "from ci_deploy.__main__ import main; raise SystemExit(main())"


def command(*argv: str, cwd: Path | None = None) -> str:
    """Run a program; returns its stripped stdout."""
    done = subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Host(NamedTuple):
    """A host with sshd: the settings that reach it, and the site's directory on it."""

    settings: dict[str, str]
    site: Path

    @property
    def shown(self) -> str:
        """The page that a visitor sees."""
        return (self.site / "current/index.html").read_text()

    @property
    def releases(self) -> list[str]:
        """The names of the releases, oldest first."""
        return sorted(each.name for each in (self.site / "releases").iterdir())


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run sshd on a free port; yields the settings that reach it."""
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "client"):
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/client.pub",
        "StrictModes no",
        "KexAlgorithms curve25519-sha256",  # what is default takes a client ten times as long
        f"PidFile {folder}/pid",
    ]
    (folder / "config").write_text("\n".join(lines))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    server = subprocess.Popen([program, "-D", "-f", str(folder / "config")])
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        kind, key = (folder / "host.pub").read_text().split()[:2]
        yield {
            "STATIC_HOST": f"{command('id', '-un')}@127.0.0.1:{port}",
            "SSH_PRIVATE_KEY": (folder / "client").read_text(),
            "SSH_SERVER_HOSTKEYS": f"[127.0.0.1]:{port} {kind} {key}",
        }
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def host(sshd: dict[str, str], tmp_path: Path) -> Host:
    """A host without a site yet."""
    site = tmp_path / "srv"
    more = {"APP_NAME": "site", "STATIC_PATH": str(site), "APP_DIR": "public"}
    return Host({**sshd, **more}, site)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a site in public/."""
    folder = tmp_path / "checkout"
    (folder / "public/css").mkdir(parents=True)
    (folder / "public/css/site.css").write_text("p {}")
    (folder / "secret.txt").write_text("not for visitors")
    command("git", "init", "-q", "-b", "main", str(folder))
    commit(folder, "one")
    return folder


def commit(checkout: Path, text: str) -> str:
    """Commit another version of the page; returns the full SHA."""
    (checkout / "public/index.html").write_text(text)
    command("git", "add", "--all", cwd=checkout)
    who = ["-c", "user.name=Jane", "-c", "user.email=jane@example.com"]
    command("git", *who, "commit", "-q", "-m", text, cwd=checkout)
    return command("git", "rev-parse", "HEAD", cwd=checkout)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for sys.path in which the provider looks like an installed package."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "ci_deploy_static.py").symlink_to(HERE / "ci_deploy_static.py")
    info = folder / "ci_deploy_static-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ci-deploy-static\nVersion: 1.0.0\n"
    )
    (info / "entry_points.txt").write_text("[ci_deploy.layers]\nstatic = ci_deploy_static:Static\n")
    return folder


class Deploy:
    """`ci-deploy COMMAND` in the checkout."""

    def __init__(self, host: Host, checkout: Path, installed: Path) -> None:
        self._host, self._checkout, self._installed = host, checkout, installed

    def __call__(self, *words: str, code: int = 0, **more: str) -> str:
        path = [str(self._installed), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, *words],
            cwd=self._checkout,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(filter(None, path)),
                **self._host.settings,
                **more,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    @property
    def report(self) -> dict[str, Any]:
        """The content of deploy-report.json of the last run."""
        found: dict[str, Any] = json.loads((self._checkout / "deploy-report.json").read_text())
        return found


@pytest.fixture
def deploy(host: Host, checkout: Path, installed: Path) -> Deploy:
    """Runs ci-deploy against the host."""
    return Deploy(host, checkout, installed)


def test_site_is_there_and_nothing_else_of_the_repository(deploy: Deploy, host: Host) -> None:
    said = deploy("deploy")
    assert host.shown == "one"
    assert (host.site / "current/css/site.css").read_text() == "p {}"
    assert not (host.site / "current/secret.txt").exists()
    assert f"verified: site runs {host.releases[0]}" in said
    assert deploy.report["status"] == "succeeded"
    assert "already runs" in deploy("deploy")
    assert deploy.report["status"] == "skipped"
    assert len(host.releases) == 1


def test_plan_names_what_a_deploy_does_and_does_nothing(deploy: Deploy, host: Host) -> None:
    said = deploy("plan")
    assert "→ unpack public of" in said
    assert "→ switch site to" in said
    assert not host.site.exists()


def test_rollback_and_back_again(deploy: Deploy, host: Host, checkout: Path) -> None:
    first = command("git", "rev-parse", "HEAD", cwd=checkout)
    deploy("deploy")
    second = commit(checkout, "two")
    deploy("deploy")
    assert host.shown == "two"
    deploy("rollback")
    assert host.shown == "one"
    assert deploy.report["revision"] == first
    deploy("rollback", second[:10])
    assert host.shown == "two"
    deploy("rollback", "abcdef0", code=14)
    lines = deploy("history").splitlines()
    assert [second in lines[0], first in lines[1], lines[0].endswith("live")] == [True] * 3


def test_last_five_releases_and_the_live_one_are_kept(
    deploy: Deploy, host: Host, checkout: Path
) -> None:
    old = host.site / "releases"
    old.mkdir(parents=True)
    for number in range(7):
        (old / f"2020010{number + 1}T000000Z-{str(number) * 40}").mkdir()
    (host.site / "current").symlink_to(f"releases/20200101T000000Z-{'0' * 40}")
    deploy("deploy")
    assert len(host.releases) == 5
    assert host.releases[-1].endswith(command("git", "rev-parse", "HEAD", cwd=checkout))


def test_release_that_does_not_answer_is_rolled_back(
    deploy: Deploy, host: Host, checkout: Path
) -> None:
    deploy("deploy")
    commit(checkout, "two")
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        health = {"HEALTHCHECK_URL": url, "HEALTHCHECK_TIMEOUT": "1"}
        deploy("deploy", code=23, ROLLBACK_ON_FAILURE="true", **health)
    assert host.shown == "one"


def test_archive_that_cannot_be_unpacked_is_never_live(
    deploy: Deploy, host: Host, checkout: Path
) -> None:
    deploy("deploy")
    commit(checkout, "two")
    releases, kept = host.site / "releases", host.site / "kept"
    releases.rename(kept)
    releases.write_text("a file is in the way")
    try:
        deploy("deploy", code=20)
    finally:
        releases.unlink()
        kept.rename(releases)
    assert host.shown == "one"


def test_command_runs_in_the_site_with_its_own_exit_code(deploy: Deploy) -> None:
    deploy("deploy")
    assert deploy("run", "--", "cat", "index.html").strip() == "one"
    deploy("run", "--", "sh", "-c", "exit 7", code=7)


def test_what_it_cannot_do_is_refused(deploy: Deploy, host: Host) -> None:
    deploy("deploy", code=14, APP_CONFIG="A=1")
    deploy("logs", code=14)
    deploy("deploy", code=2, STATIC_PATH="srv", STATIC_HOST="ftp://x")
    assert not host.site.exists()


def test_doctor_and_status_change_nothing(deploy: Deploy, host: Host) -> None:
    assert "live: no known release" in deploy("doctor")
    assert not host.site.exists()
    deploy("deploy")
    assert "site runs" in deploy("status")
