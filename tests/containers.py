"""The built image, and a stand-in Dokku in a container of its own (pytest-docker).

A plugin of pytest: tests/conftest.py names it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from standins.dokku import recording
from standins.dokku.state import Store
from standins.dokku.view import AppView
from standins.engine import build_image, docker, need_docker
from standins.support import ROOT, Checkout


@dataclass
class Container:
    """The stand-in in its container: how our image reaches it, and what it says."""

    network: str
    name: str
    state: Path

    def settings(self, **more: str) -> dict[str, str]:
        """What a deploy to it needs."""
        keys = self.state / "ssh"
        lines = [
            f"dokku {' '.join((keys / f'host_{kind}.pub').read_text().split()[:2])}"
            for kind in ("ed25519", "ecdsa", "rsa")
        ]
        return {
            "APP_NAME": "hello",
            "DOKKU_HOST": "root@dokku",
            "DOKKU_CREATE_APP": "true",
            "SSH_PRIVATE_KEY": (keys / "client").read_text(),
            "SSH_SERVER_HOSTKEYS": "\n".join(lines),
            **more,
        }

    def running(self, app: str) -> str:
        """The revision that an app runs; empty when there is no such app."""
        view = AppView(Store(self.state), app)
        return view.running_revision if view.exists else ""

    def config(self, app: str) -> dict[str, str]:
        """The config of an app."""
        return AppView(Store(self.state), app).config

    def pushes(self, app: str) -> list[float]:
        """When code was pushed to it so far (seconds, as of `time.time`)."""
        calls = recording.read(self.state)
        mine = [c for c in calls if c.argv[:1] == ["git-receive-pack"] and app in c.raw]
        return [call.time for call in mine]

    def curl(self, app: str, path: str = "/health") -> str:
        """Ask the running app, inside the container."""
        code = (
            "import json, urllib.request as u; from pathlib import Path; "
            "from standins.dokku.state import Store; "
            "from standins.dokku.view import AppView; "
            f"url = AppView(Store(Path('/state')), {app!r}).url + {path!r}; "
            "print(u.urlopen(url).read().decode())"
        )
        return docker("exec", "-w", "/source", self.name, "python3", "-c", code).stdout


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the target `dokku`, built from this tree."""
    return build_image("dokku")


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    """Compose v2, as tests/machine/tools.sh has put it there."""
    return str(ROOT / ".tools/bin/docker-compose")


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(ROOT / "tests/integration/compose.yml")


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down -v --timeout 2"]


@pytest.fixture(scope="session")
def dokku_container(
    tmp_path_factory: pytest.TempPathFactory,
    docker_compose_project_name: str,
    request: pytest.FixtureRequest,
) -> Container:
    """Started once; each test uses an app of its own."""
    need_docker()
    build_image("dokku")
    state = tmp_path_factory.mktemp("state")
    os.environ["STATE"], os.environ["STANDINS"] = str(state), str(ROOT / "standins")
    services: Any = request.getfixturevalue("docker_services")
    name = f"{docker_compose_project_name}-dokku-1"
    services.wait_until_responsive(
        check=lambda: "known_hosts:" in docker("logs", name, check=False).stdout,
        timeout=120.0,
        pause=0.2,
    )
    return Container(f"{docker_compose_project_name}_default", name, state)


@pytest.fixture
def app(tmp_path: Path) -> Checkout:
    """The hello app."""
    return Checkout(tmp_path / "app")
