"""The built image deploys to a stand-in Dokku in another container, started in all three ways."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from standins.engine import LABEL, build_image, docker
from standins.support import ROOT, Checkout, until
from tests.containers import Container

pytestmark = pytest.mark.docker


def _run(
    image: str,
    *command: str,
    env: Mapping[str, str],
    network: str = "none",
    workspace: Path | None = None,
    options: tuple[str, ...] = (),
) -> tuple[int, str]:
    """`docker run`, with settings by name only so that no value is in an argv."""
    names = [f"--env={name}" for name in env]
    mount = [f"--volume={workspace}:/w", "--workdir=/w"] if workspace else []
    argv = ["run", "--rm", f"--label={LABEL}", f"--network={network}"]
    old = dict(os.environ)
    os.environ.update(env)
    try:
        done = docker(*argv, *names, *mount, *options, image, *command, check=False)
    finally:
        os.environ.clear()
        os.environ.update(old)
    return done.returncode, done.stdout + done.stderr


def test_docker_run_deploys(image: str, dokku_container: Container, app: Checkout) -> None:
    env = dokku_container.settings(APP_NAME="by-hand")
    code, output = _run(
        image, "deploy", env=env, network=dokku_container.network, workspace=app.path
    )
    assert code == 0, output
    assert json.loads(dokku_container.curl("by-hand"))["revision"] == app.head
    assert json.loads((app.path / "deploy-report.json").read_text())["status"] == "succeeded"


def test_read_only_container_with_an_unknown_user_deploys(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    env = dokku_container.settings(APP_NAME="unknown-user")
    for folder in (app.path, *app.path.rglob("*")):
        os.chown(folder, 12345, 12345)
    code, output = _run(
        image,
        "deploy",
        env=env,
        network=dokku_container.network,
        workspace=app.path,
        options=("--read-only", "--tmpfs=/tmp", "--user=12345"),
    )
    assert code == 0, output
    assert json.loads(dokku_container.curl("unknown-user"))["revision"] == app.head


def test_unwritable_workspace_is_a_warning_and_not_a_failure(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    env = dokku_container.settings(APP_NAME="unwritable")
    code, output = _run(
        image,
        "deploy",
        env=env,
        network=dokku_container.network,
        options=(f"--volume={app.path}:/w:ro", "--workdir=/w"),
    )
    assert code == 0, output
    assert "an output could not be written" in output


def test_gitlab_way_shell_in_the_container_and_script_by_stdin(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    env = dokku_container.settings(
        APP_NAME="gitlab-way",
        GITLAB_CI="true",
        CI_PROJECT_DIR="/w",
        CI_COMMIT_SHA=app.head,
        CI_COMMIT_REF_NAME="main",
        CI_ENVIRONMENT_NAME="staging",
    )
    code, output = _run(
        image,
        "sh",
        "-c",
        "if grep --version >/dev/null && sh -lc 'deploy'; then exit 0; else exit $?; fi",
        env=env,
        network=dokku_container.network,
        workspace=app.path,
    )
    assert code == 0, output
    assert "DEPLOYED_STATUS=succeeded" in (app.path / "deploy.env").read_text()


def test_github_way_without_arguments_and_with_inputs(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    for folder in (app.path, *app.path.rglob("*")):
        os.chown(folder, 1001, 1001)
    settings = dokku_container.settings(APP_NAME="github-way")
    env = {f"INPUT_{name.replace('_', '-')}": value for name, value in settings.items()}
    env |= {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": "/w",
        "GITHUB_SHA": app.head,
        "GITHUB_OUTPUT": "/files/output",
        "GITHUB_STEP_SUMMARY": "/files/summary",
        "HOME": "/github/home",
    }
    code, output = _run(
        image,
        env=env,
        network=dokku_container.network,
        workspace=app.path,
        options=("--entrypoint=ci-deploy", f"--volume={tmp_path}:/files"),
    )
    assert code == 0, output
    assert "succeeded" in (tmp_path / "output").read_text()
    assert f"github-way runs {app.head[:7]}" in (tmp_path / "summary").read_text()


def test_circleci_way_the_example_with_the_image_as_executor(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    example = YAML(typ="safe").load(ROOT / "examples/circleci/config.yml")
    job = example["jobs"]["deploy"]
    settings = dokku_container.settings(APP_NAME="circleci-way")
    env = {
        **job["environment"],
        **settings,
        "SSH_PRIVATE_KEY": base64.b64encode(settings["SSH_PRIVATE_KEY"].encode()).decode(),
        "CIRCLECI": "true",
        "CIRCLE_SHA1": app.head,
        "CIRCLE_BRANCH": "main",
        "CIRCLE_BUILD_NUM": "75",
        "CIRCLE_REPOSITORY_URL": "git@github.com:acme/hello.git",
        "CIRCLE_WORKING_DIRECTORY": "/w",
    }
    [script] = [step["run"] for step in job["steps"] if "run" in step]
    choice, network = example["parameters"]["command"], dokku_container.network

    def pipeline(command: str) -> None:
        assert command in choice["enum"]
        line = script.replace("<< pipeline.parameters.command >>", command)
        argv = ("bash", "-eo", "pipefail", "-c", line)
        env["CIRCLE_SHA1"] = app.head
        code, output = _run(image, *argv, env=env, network=network, workspace=app.path)
        assert code == 0, output

    pipeline(choice["default"])
    report = json.loads((app.path / "deploy-report.json").read_text())
    assert report["commit_url"] == f"https://github.com/acme/hello/commit/{app.head}"
    _, output = _run(image, "ci-deploy", "tag", env=env, workspace=app.path)
    assert output == f"75_{app.head[:7]}\n"
    first, second = app.head, app.commit("More")
    pipeline("deploy")
    assert dokku_container.running("circleci-way") == second
    pipeline("rollback")
    assert dokku_container.running("circleci-way") == first


@pytest.mark.parametrize("target", ["dokku", "heroku", "full"])
def test_versions_of_all_tools_are_listed(target: str) -> None:
    """What a target has can be started in it; what it has not is said so."""
    code, output = _run(build_image(target), "ci-deploy", "version", env={})
    assert code == 0, output
    versions = dict(line.split(maxsplit=1) for line in output.splitlines())
    assert list(versions) == ["ci-deploy", "git", "ssh", "sentry-cli", "heroku"]
    assert versions["git"].startswith("2.")
    assert versions["ssh"].startswith("OpenSSH")
    pinned = json.loads((ROOT / "requirements/heroku/package.json").read_text())["dependencies"]
    wanted = "not installed" if target == "dokku" else f"heroku/{pinned['heroku']}"
    assert versions["heroku"] == wanted


def test_image_without_a_command_shows_the_help(image: str) -> None:
    code, output = _run(image, env={})
    assert code == 0
    assert "usage: ci-deploy COMMAND" in output


def test_provider_is_baked_in(image: str) -> None:
    code, output = _run(image, "deploy", env={})
    assert code == 2
    assert "DOKKU_HOST: is required" in output
    assert "DEPLOY_PROVIDER" not in output


@pytest.mark.parametrize(("signum", "code"), [("TERM", 143), ("INT", 130)])
def test_python_as_pid_1_handles_signals(
    image: str, dokku_container: Container, app: Checkout, signum: str, code: int
) -> None:
    env = dokku_container.settings(APP_NAME=f"pid1-{signum.lower()}")
    slow = {"Procfile": "release: sleep 30\nweb: python3 app.py\n"}
    app.commit("Slow", slow)
    name = f"ci-deploy-test-{os.getpid()}-{signum}"
    argv = ["run", "--detach", f"--name={name}", f"--label={LABEL}"]
    argv += [f"--network={dokku_container.network}", f"--volume={app.path}:/w", "--workdir=/w"]
    argv += [f"--env={key}={value}" for key, value in env.items() if key != "SSH_PRIVATE_KEY"]
    old = os.environ.get("SSH_PRIVATE_KEY")
    os.environ["SSH_PRIVATE_KEY"] = env["SSH_PRIVATE_KEY"]
    try:
        docker(*argv, "--env=SSH_PRIVATE_KEY", image, "deploy")
        until(lambda: "release task" in docker("logs", name).stdout)
        started = time.monotonic()
        docker("kill", f"--signal={signum}", name)
        assert int(docker("wait", name).stdout) == code
        assert time.monotonic() - started < 6
        output = docker("logs", name).stdout
        assert "cancelled" in output
    finally:
        docker("rm", "--force", name, check=False)
        os.environ.pop("SSH_PRIVATE_KEY")
        if old is not None:
            os.environ["SSH_PRIVATE_KEY"] = old
