"""A fork that is ready to be released."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker import LABEL, build_image, docker, need_docker
from tests.release.fork import Fork


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Fork:
    """Without registries; tests take a copy."""
    return Fork(tmp_path_factory.mktemp("fork") / "prepared").make()


@pytest.fixture
def fork(prepared: Fork, tmp_path: Path) -> Fork:
    """A fork whose newest commit can be released, and nothing to push images to."""
    return prepared.copy(tmp_path / "fork")


@pytest.fixture
def registries() -> Iterator[tuple[str, str]]:
    """Two empty registries."""
    need_docker()
    build_image("dokku")  # and with it the images of this machine
    started = ["run", "--detach", "--rm", f"--label={LABEL}", "--publish=127.0.0.1::5000"]
    names = [docker(*started, "ci-deploy-test/registry").stdout.strip() for _ in range(2)]
    ports = [docker("port", name, "5000/tcp").stdout.strip().rpartition(":")[2] for name in names]
    yield f"localhost:{ports[0]}", f"localhost:{ports[1]}"
    docker("rm", "--force", "--volumes", *names)
    form = ("--format", "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}")
    listed = docker("image", "ls", "--digests", *form).stdout.split()
    ours = tuple(f"localhost:{port}/" for port in ports)
    left = [each for each in listed if each.startswith(ours) and "<none>" not in each]
    docker("image", "rm", "--force", *left, check=False)
