"""The GitHub Action on a real runner: act runs the example workflows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.containers import Container
from tests.runners.examples import EXAMPLES, act, action
from tests.runners.test_gitlab_ci_local import running
from tests.support import BIN, ROOT, Checkout

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def _project(path: Path, workflow: str, app: str) -> Checkout:
    made = Checkout(path, {"Procfile": "worker: sleep 600\n"})
    text = (EXAMPLES / "github" / workflow).read_text()
    text = text.replace("dokku@dokku.example.com", "root@dokku")
    text = text.replace(
        "          dokku-host", "          dokku-create-app: true\n          dokku-host"
    )
    text = text.replace("hello", app)
    text = text.replace("name: ", f"name: {app} ", 1)  # act calls its containers after it
    made.commit("Workflow", {f".github/workflows/{workflow}": text})
    made.git("remote", "add", "origin", "https://github.com/acme/hello.git")
    return made


def test_push_to_main_deploys_to_staging(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    made = _project(tmp_path / "project", "deploy.yml", "act")
    released = action(tmp_path / "action", image)
    payload = {"ref": "refs/heads/main", "after": made.head}
    done = act(made, dokku_container, released, "push", payload=payload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert running(dokku_container, "act-staging") == made.head
    assert "deploy act-staging to staging" in done.stdout


def test_tag_deploys_to_production(image: str, dokku_container: Container, tmp_path: Path) -> None:
    made = _project(tmp_path / "project", "deploy.yml", "acttag")
    made.git("tag", "v1.0.0")
    released = action(tmp_path / "action", image)
    payload = {"ref": "refs/tags/v1.0.0", "after": made.head}
    done = act(made, dokku_container, released, "push", payload=payload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert running(dokku_container, "acttag") == made.head


def test_pull_request_makes_a_review_app_and_closing_it_removes_it(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    made = _project(tmp_path / "project", "review-apps.yml", "actpull")
    released = action(tmp_path / "action", image)
    pull = {
        "number": 7,
        "html_url": "https://github.com/acme/hello/pull/7",
        "head": {"sha": made.head, "ref": "feature-x", "repo": {"full_name": "acme/hello"}},
        "base": {"sha": made.head, "ref": "main", "repo": {"full_name": "acme/hello"}},
    }
    for kind, expected in (("opened", made.head), ("closed", "")):
        payload = {"action": kind, "number": 7, "pull_request": pull}
        done = act(made, dokku_container, released, "pull_request", payload=payload)
        assert done.returncode == 0, done.stdout + done.stderr
        assert running(dokku_container, "actpull-feature-x") == expected


@pytest.mark.parametrize("workflow", ["deploy.yml", "review-apps.yml"])
def test_workflows_follow_the_schema_and_zizmor_finds_nothing(
    tmp_path: Path, workflow: str
) -> None:
    path = EXAMPLES / "github" / workflow
    for argv in (
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)],
        ["zizmor", "--offline", "--no-progress", "--min-severity", "medium", "--config",
         str(ROOT / "tests/runners/zizmor.yml"), str(path)],
    ):  # fmt: skip
        checked = subprocess.run(
            [BIN / argv[0], *argv[1:]], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_action_follows_the_schema_and_zizmor_finds_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "action.yml", tmp_path)
    for argv in (
        ["check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml"],
        ["zizmor", "--offline", "--no-progress", "action.yml"],
    ):
        checked = subprocess.run(
            [BIN / argv[0], *argv[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
