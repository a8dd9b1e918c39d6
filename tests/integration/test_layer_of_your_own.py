"""The example layer: tested, built as a wheel, copied into a derived image, and used there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ci_deploy import __version__
from standins.dokku.server import DokkuStandIn
from standins.engine import LABEL, MACHINE, docker
from standins.support import ROOT, Checkout, settings_for
from standins.webhooks import webhooks

EXAMPLE = ROOT / "examples/discord-layer"
DOCS = (ROOT / "docs/writing-a-layer.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel; building leaves nothing in the source."""
    folder = tmp_path_factory.mktemp("discord")
    shutil.copytree(EXAMPLE, folder / "source")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    argv = [sys.executable, "-m", "pip", "wheel", "-q", *options, "-w", str(folder)]
    done = subprocess.run([*argv, str(folder / "source")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [found] = folder.glob("*.whl")
    return found


@pytest.mark.long
@pytest.mark.parametrize("name", ["discord-layer", "static-site-provider"])
def test_its_own_tests_pass(name: str) -> None:
    """Takes a minute: the provider's are against a real sshd, and deploy some twenty times."""
    example = ROOT / "examples" / name
    path = os.pathsep.join([str(example), str(ROOT / "entrypoint")])
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    done = subprocess.run(
        [*argv, "--rootdir", str(example), str(example / "tests")],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_page_shows_what_the_example_is() -> None:
    dockerfile = (EXAMPLE / "Dockerfile").read_text(encoding="utf-8")
    assert f"```dockerfile\n{dockerfile}```" in DOCS
    assert len(dockerfile.splitlines()) == 2
    assert dockerfile.splitlines()[0].endswith(f":{__version__}")
    source = (EXAMPLE / "ci_deploy_discord.py").read_text(encoding="utf-8")
    [shown] = re.findall(r"```python\n(@settings\n.*?)```", DOCS, re.S)
    assert [line for line in shown.splitlines() if line.strip() not in source] == [
        "    Settings = DiscordSettings"
    ]
    for line in re.findall(r"```toml\n(.*?)```", DOCS, re.S)[0].splitlines():
        assert line in (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")


def test_provider_of_the_example_is_short() -> None:
    """What makes it long is what the base class does wrong."""
    source = ROOT / "examples/static-site-provider/ci_deploy_static.py"
    assert len(source.read_text(encoding="utf-8").splitlines()) < 200


@pytest.mark.docker
def test_derived_image_tells_discord(
    image: str, wheel: Path, dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    base = (EXAMPLE / "Dockerfile").read_text(encoding="utf-8").split()[1]
    shutil.copy(wheel, tmp_path)
    shutil.copy(EXAMPLE / "Dockerfile", tmp_path)
    tag = "ci-deploy-test/discord"
    docker("tag", image, base)
    try:
        build = [str(MACHINE / "docker-build.sh"), "-q", "-t", tag, str(tmp_path)]
        done = subprocess.run(build, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with webhooks() as hook:
            hook.answer = 204
            settings = settings_for(dokku, DISCORD_WEBHOOK_URL=hook.url, DISCORD_USERNAME="Ship")
            names = [f"--env={name}" for name in settings]
            argv = ["docker", "run", "--rm", f"--label={LABEL}", "--network=host", *names]
            argv += [f"--volume={checkout.path}:/w", "--workdir=/w", tag, "deploy"]
            done = subprocess.run(
                argv, env={**os.environ, **settings}, capture_output=True, text=True
            )
        assert done.returncode == 0, done.stdout + done.stderr
        assert dokku.app("hello").running_revision == checkout.head
        titles = [payload["embeds"][0]["title"] for payload in hook.payloads]
        assert titles == [
            f"hello: {word} {checkout.head[:7]}" for word in ("deploying", "deployed")
        ]
        assert {payload["username"] for payload in hook.payloads} == {"Ship"}
        report = json.loads((checkout.path / "deploy-report.json").read_text())
        assert report["warnings"] == []
        listed = docker("run", "--rm", f"--label={LABEL}", tag, "ci-deploy", "version")
        assert listed.stdout.startswith(f"ci-deploy {__version__}")
    finally:
        docker("rmi", base, tag, check=False)
