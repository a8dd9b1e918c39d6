"""examples/compose: what its pipelines build is what its compose file runs; the logs survive."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ci_deploy import __version__
from standins.compose.app import App
from standins.dockerhosts import PASSWORD, USER
from standins.host_app import FILE
from standins.support import BIN, ROOT
from tests.contract.test_docs import Block, blocks
from tests.contract.test_manifest import check_schema

EXAMPLE = ROOT / "examples/compose"
MATRIX = ["gitlab/many-apps.gitlab-ci.yml", "github/many-apps.yml"]
# Variables of each platform for one pipeline, and the tag that follows from them.
REVISION = "db4b44b0c0ffee00000000000000000000000000"
PLATFORMS = {
    "gitlab-ci.yml": {"GITLAB_CI": "true", "CI_PIPELINE_IID": "75", "CI_COMMIT_SHA": REVISION},
    "github-workflow.yml": {
        "GITHUB_ACTIONS": "true", "GITHUB_RUN_NUMBER": "75", "GITHUB_SHA": REVISION,
    },
    "circleci-config.yml": {
        "CIRCLECI": "true", "CIRCLE_BUILD_NUM": "75", "CIRCLE_SHA1": REVISION,
    },
}  # fmt: skip
SCHEMAS = {
    "gitlab-ci.yml": ("vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
    "github-workflow.yml": ("vendor.github-workflows",),
    "circleci-config.yml": ("vendor.circle-ci",),
    FILE: ("vendor.compose-spec",),
}
# In place of docker: `docker run … ci-deploy tag` is the real command, the rest is written down.
DOCKER = """#!/bin/sh
if [ "$1" = run ]; then exec {bin}/ci-deploy tag; fi
if [ "$1" = login ]; then cat >/dev/null; fi
echo "$*" >>"$CALLS"
"""


def _load(path: Path) -> Any:
    return _load_text(path.read_text(encoding="utf-8"))


def _load_text(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_file_follows_its_schema(name: str) -> None:
    assert check_schema("--builtin-schema", *SCHEMAS[name], str(EXAMPLE / name)) == ""


@pytest.mark.parametrize("name", [*(f"compose/{each}" for each in PLATFORMS), *MATRIX])
def test_inputs_and_versions_exist(name: str) -> None:
    text = (ROOT / "examples" / name).read_text()
    assert set(re.findall(r"ci-deploy/[\w/-]+[@:]v?(\d[\d.]*)", text)) == {__version__}
    if "gitlab" in name:
        known = _load(ROOT / "action.yml")["inputs"] | {
            "job-name": "",
            "image": "",
            "environment": "",
        }
        for included in _load(ROOT / "examples" / name)["include"]:
            assert set(included["inputs"]) <= set(known)
    for step in re.findall(r"uses: ci-deploy/.*\n +with:\n((?: {10}\S.*\n)+)", text):
        inputs = _load(ROOT / "action.yml")["inputs"]
        assert {line.split(":")[0].strip() for line in step.splitlines()} <= set(inputs)


SNIPPETS = [
    block
    for block in blocks("yaml")
    if block.page.stem in {"gitlab", "github", "circleci"} and "docker build" in block.text
]


def _script(found: Any) -> str:
    """The shell text that builds and pushes."""
    if "include" in found:
        return "\n".join(found["build"]["script"])
    job = found["jobs"].get("build") or found["jobs"]["deploy"]
    [text] = [
        run
        for step in job["steps"]
        if isinstance(step, dict) and "docker build" in (run := str(step.get("run", "")))
    ]
    return text


@pytest.mark.parametrize("name", PLATFORMS)
def test_pipeline_builds_and_pushes_the_images_of_the_compose_file(
    name: str, tmp_path: Path
) -> None:
    registry, calls = _pushed(name, _load(EXAMPLE / name), tmp_path)
    pushed = set(re.findall(r"--target (\w+) --tag (\S+)", calls))
    images = {
        service: entry["image"]
        .replace("${DOCKER_REGISTRY}", registry)
        .replace("${DEPLOY_TAG}", f"75_{REVISION[:7]}")
        for service, entry in _load(EXAMPLE / FILE)["services"].items()
        if "DEPLOY_TAG" in entry["image"]
    }
    assert pushed == set(images.items())


def test_pages_have_a_snippet_for_compose_and_one_for_swarm() -> None:
    pages = [block.page.stem for block in SNIPPETS]
    assert sorted(pages) == ["circleci"] * 2 + ["github"] * 2 + ["gitlab"] * 2


@pytest.mark.parametrize("block", SNIPPETS, ids=str)
def test_snippet_of_a_page_pushes_the_image_that_the_page_names(
    block: Block, tmp_path: Path
) -> None:
    """`${DOCKER_REGISTRY}/acme/my-project:${DEPLOY_TAG}` in the compose file."""
    [platform] = [name for name in PLATFORMS if name.startswith(block.page.stem)]
    registry, calls = _pushed(platform, _load_text(block.text), tmp_path, "my-project")
    [pushed] = re.findall(r"--push --tag (\S+)", calls)
    assert pushed == f"{registry}/acme/my-project:75_{REVISION[:7]}"
    assert "${DOCKER_REGISTRY}/acme/my-project:${DEPLOY_TAG}" in block.page.read_text()


def _pushed(name: str, found: Any, tmp_path: Path, project: str = "shop") -> tuple[str, str]:
    """Run the build of a pipeline with a docker that only notes what it is asked: the registry,
    and the calls."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(bin=BIN))
    program.chmod(0o755)
    registry = "ghcr.io" if name == "github-workflow.yml" else "registry.example.com"
    env = {
        "PATH": f"{program.parent}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls"),
        "CI_REGISTRY": registry, "CI_REGISTRY_IMAGE": f"{registry}/acme/{project}",
        "CI_REGISTRY_USER": "u", "CI_REGISTRY_PASSWORD": "p", "DOCKER_REGISTRY": registry,
        "DOCKER_USER": "u", "DOCKER_PASS": "p", "GITHUB_ACTOR": "u", "TOKEN": "p",
        **_env(found), **PLATFORMS[name],
    }  # fmt: skip
    done = subprocess.run(
        ["sh", "-euc", _script(found)], cwd=tmp_path, env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return registry, (tmp_path / "calls").read_text()


def _env(found: Any) -> dict[str, str]:
    """The environment of a workflow's step, but for expressions."""
    steps = found.get("jobs", {}).get("deploy", {}).get("steps", ())
    envs = [step.get("env", {}) for step in steps if isinstance(step, dict)]
    return {key: text for env in envs for key, text in env.items() if "${{" not in text}


def test_dockerfile_has_a_target_for_each_image() -> None:
    targets = re.findall(r"(?m)^FROM \S+ AS (\w+)$", (EXAMPLE / "Dockerfile").read_text())
    assert targets == ["app", "web"]


def test_compose_file_is_deployed_unchanged_and_the_logs_survive(app: App) -> None:
    """With other images under the same names: the test's app writes a log, and is no Rails."""
    host, registry = app.hosts[0], app.registry
    names = [(f"{registry.address}/acme/shop/{part}", n) for part in ("app", "web") for n in (1, 2)]
    pull = "".join(f"docker pull -q {registry.image}:good{n}\n" for n in (1, 2))
    push = "".join(
        f"docker tag {registry.image}:good{n} {name}:good{n}; docker push -q {name}:good{n}\n"
        for name, n in names
    )
    login = f"docker login -u {USER} --password-stdin {registry.address}\n"
    host.root(
        "sh", "-ec",
        f"export DOCKER_CONFIG=/tmp/pushing\n{login}{pull}{push}rm -rf /tmp/pushing\n"
        f"docker tag {registry.image}:good1 postgres:18",
        stdin=PASSWORD,
    )  # fmt: skip
    text = (EXAMPLE / FILE).read_text()
    # What the stand-ins cannot do: speak HTTP, be asked by pg_isready, have a network or /app.
    check = '["CMD", "test", "-f", "/ok"]'
    for old, new in {
        '["CMD", "curl", "--fail", "--silent", "http://localhost:3000/up"]': check,
        '["CMD", "pg_isready", "--username=postgres"]': check,
        "log:/app/log": "log:/log",
        "interval: 5s": "interval: 200ms",
        'ports: ["80:80"]': "network_mode: none",
        "    restart: unless-stopped\n    volumes": "    network_mode: none\n    volumes",
    }.items():
        assert old in text
        text = text.replace(old, new)
    app.write(text)
    config = {"APP_CONFIG": "SECRET_KEY_BASE=0123456789abcdef\n", "COMPOSE_STEADY_TIME": "1"}
    done = app.deploy("good1", **config)
    assert done.code == 0, done.output
    database = {each["Id"] for each in app.containers(service="db")}
    [running] = app.containers(service="app")
    host.root("docker", "exec", running["Id"], "sh", "-c", "echo hello >/log/production.log")
    app.checkout.commit("Next")
    done = app.deploy("good2", **config)
    assert done.code == 0, done.output
    assert app.versions(service="app") == app.versions(service="web") == ["good2"]
    assert {each["Id"] for each in app.containers(service="db")} == database
    [running] = app.containers(service="app")
    log = host.root("docker", "exec", running["Id"], "cat", "/log/production.log")
    assert log == "hello\n"
    volumes = json.loads(host.root("docker", "inspect", running["Id"]))[0]["Mounts"]
    assert [each["Name"] for each in volumes] == [f"{app.name}_log"]
