"""What `init` reads about builds in compose files is what Compose reads in them."""

from __future__ import annotations

import json
import posixpath
import secrets
import shlex
from pathlib import Path

import pytest

from ci_deploy.commands import layout
from ci_deploy.commands.builds import tagged
from ci_deploy.commands.composed import Composed, composed
from standins.dockerhosts import DockerHost
from standins.engine import docker
from tests.unit.composed_files import BUILDS, NOT_COMPOSE, REAL, project

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]
CONFIG = "docker compose {files} config --no-interpolate --no-consistency --format json"


def cases() -> list[tuple[dict[str, str], tuple[str, ...]]]:
    """The files of each project, and the compose files to use."""
    texts = [text for text, _ in BUILDS if not any(each in text for each in NOT_COMPOSE)]
    assert len(texts) > 20
    made = [(project(text), ("compose.yml",)) for text in texts]
    return made + [(real.files, real.use) for real in REAL.values()]


def test_compose_reads_the_same_builds(docker_hosts: list[DockerHost], tmp_path: Path) -> None:
    host, there = docker_hosts[0], f"/tmp/composed-{secrets.token_hex(4)}"
    said: list[Composed] = []
    script = ""
    for number, (files, use) in enumerate(cases()):
        root = tmp_path / str(number)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        said.append(composed(root, "", layout.files(root), use))
        named = " ".join(f"-f {shlex.quote(each)}" for each in said[-1].files)
        script += f"cd {there}/{number} && {CONFIG.format(files=named)} >config.json || exit\n"
        script += "tr -d '\\n' <config.json && echo\n"
    docker("cp", str(tmp_path), f"{host.container}:{there}")
    lines = host.root("sh", "-c", script).splitlines()
    host.root("rm", "-r", there)
    assert len(lines) == len(said)
    for number, (line, ours) in enumerate(zip(lines, said, strict=True)):
        theirs = {}
        for each in json.loads(line)["services"].values():
            if "build" in each and (known := tagged(each)):
                theirs[known] = each["build"]
        assert set(theirs) == {(image.name, image.tag) for image in ours.images}, line
        for image in ours.images:
            build = theirs[image.name, image.tag]
            assert posixpath.relpath(build["context"], f"{there}/{number}") == image.context
            assert image.target == build.get("target", "")
            if not any(doubt.image == image for doubt in ours.doubts):
                wanted = posixpath.normpath(build["dockerfile"])
                assert posixpath.normpath(image.dockerfile or "Dockerfile") == wanted
                given = build.get("args", {})
                pairs = [f"{k}={v}" for k, v in given.items()] if isinstance(given, dict) else given
                assert sorted(pairs) == sorted(image.args)
