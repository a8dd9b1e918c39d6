"""The build job of each file that `init` writes, with a real engine, BuildKit and registry."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci_deploy import __version__
from ci_deploy.commands.published import IMAGES
from standins.engine import build_image, docker, loopback_registry
from standins.support import ROOT, Checkout, run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

USER, PASSWORD = "builder", "p4ss word'$1"
FROM = "FROM debian:trixie-slim AS base\nENV VERSION=1\n"
COMPOSE = """services:
  web:
    image: REGISTRY/acme/shop:${DEPLOY_TAG}
    build: .
  worker:
    image: REGISTRY/acme/worker:${DEPLOY_TAG}
    build: {context: jobs, dockerfile: Worker, target: run}
"""
WORKER = f"{FROM}FROM base AS run\nENV VERSION=2\nFROM base AS other\n"
# Of each CI: its file, what it tells a job, and the shell of a job there.
CIS = {
    "gitlab": (".gitlab-ci.yml", ["sh", "-e"], {"GITLAB_CI": "true", "CI_PIPELINE_IID": "12"}),
    "github": (
        ".github/workflows/deploy.yml",
        ["bash", "-eo", "pipefail"],
        {"GITHUB_ACTIONS": "true", "GITHUB_RUN_NUMBER": "12"},
    ),
    "circleci": (
        ".circleci/config.yml",
        ["bash", "-eo", "pipefail"],
        {"CIRCLECI": "true", "CIRCLE_BUILD_NUM": "12"},
    ),
}


@pytest.fixture
def registry() -> Iterator[str]:
    """With a login, as registries of teams have it."""
    build_image("compose")  # and with it the images of this machine
    login = ("-e", f"REGISTRY_USER={USER}", "-e", f"REGISTRY_PASSWORD={PASSWORD}")
    with loopback_registry(*login) as address:
        yield address


def scripts(data: Any) -> Iterator[str]:
    """The shell text that builds, wherever a CI has it in its file."""
    if isinstance(data, dict):
        lines = data.get("script", ())
        if "docker build" in str(lines):
            yield "\n".join(lines)
        data = [each for each in data.values() if each is not lines]
    if isinstance(data, list):
        for each in data:
            yield from scripts(each)
    elif isinstance(data, str) and "docker build" in data:
        yield data


def tags(registry: str, name: str) -> list[str]:
    """Those of an image, as the registry lists them."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    url = f"http://{registry}/v2/acme/{name}/tags/list"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request) as answer:
        return list(json.load(answer)["tags"])


@pytest.mark.parametrize("ci", CIS)
def test_each_image_is_built_as_the_compose_file_says_and_has_the_tag_of_the_deploy(
    ci: str, registry: str, tmp_path: Path
) -> None:
    files = {"compose.yml": COMPOSE.replace("REGISTRY", registry), "Dockerfile": FROM}
    made = Checkout(tmp_path / "shop", {**files, "jobs/Worker": WORKER})
    flags = ["--ci", ci, "--provider", "compose", "--host", "deploy@h.example.com", "--app", "shop"]
    done = run("ci-deploy", "init", "--yes", *flags, "--review", cwd=made.path, env={})
    assert done.code == 0, done.output
    file, shell, facts = CIS[ci]
    text = (made.path / file).read_text()
    text = text.replace(f"{IMAGES}/compose:{__version__}", build_image("compose"))
    sha = {"GITLAB_CI": "CI_COMMIT_SHA", "GITHUB_ACTIONS": "SHA", "CIRCLECI": "CIRCLE_SHA1"}
    facts = {**facts, sha[next(iter(facts))]: made.head}
    (tmp_path / "docker/cli-plugins").mkdir(parents=True)
    plugin = ROOT / ".tools/docker/cli-plugins/docker-buildx"
    (tmp_path / "docker/cli-plugins/docker-buildx").symlink_to(plugin)
    env = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(tmp_path / "docker"), **facts}
    env |= {"DOCKER_USER": USER, "DOCKER_PASS": PASSWORD}
    found = list(dict.fromkeys(scripts(yaml.safe_load(text))))
    assert found
    for script in found:
        ran = subprocess.run(
            [*shell, "-c", script], cwd=made.path, env=env, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr

    told = run("ci-deploy", "tag", cwd=made.path, env={**facts, "GITHUB_SHA": made.head})
    tag = told.output.strip()
    assert re.fullmatch(rf"12_{made.head[:7]}\w*", tag)
    assert tags(registry, "shop") == tags(registry, "worker") == [tag]
    shown = docker("inspect", "-f", "{{.Config.Env}}", f"{registry}/acme/worker:{tag}").stdout
    assert "VERSION=2" in shown, "the wanted target"
