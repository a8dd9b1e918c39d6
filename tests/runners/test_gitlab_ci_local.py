"""The GitLab component on a real runner: gitlab-ci-local includes it with inputs and deploys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.containers import Container
from tests.support import ROOT, Checkout

pytestmark = pytest.mark.docker

PIPELINE = """
stages: [deploy, after]
include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/deploy@$CI_COMMIT_SHA
    inputs:
      image: {image}
      job-name: "deploy:staging"
      environment: staging
      tier: staging
      app-name: gitlab-component
      dokku-host: root@dokku
      dokku-create-app: "true"
after:
  stage: after
  image: ci-deploy-test/helper
  needs: ["deploy:staging"]
  script:
    - echo "status=$DEPLOYED_STATUS revision=$DEPLOYED_REVISION"
"""


def test_component_deploys_and_hands_its_outputs_on(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    project = Checkout(tmp_path / "project")
    shutil.copytree(ROOT / "templates", project.path / "templates")
    (project.path / ".gitlab-ci.yml").write_text(PIPELINE.format(image=image))
    project.commit("Pipeline")
    project.git("remote", "add", "origin", "https://gitlab.com/acme/hello.git")
    project.git("update-ref", "refs/remotes/origin/main", "HEAD")
    project.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")

    done = gitlab_ci_local(project.path, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    revision = json.loads(dokku_container.curl("gitlab-component"))["revision"]
    assert revision == project.head
    assert f"status=succeeded revision={project.head}" in done.stdout
    assert "to staging" in done.stdout


def gitlab_ci_local(
    project: Path, server: Container, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the whole pipeline; secrets are project variables, as on GitLab."""
    settings = server.settings()
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    variables = home / "variables.yml"
    names = ("SSH_PRIVATE_KEY", "SSH_SERVER_HOSTKEYS")
    variables.write_text("".join(f"{name}: {json.dumps(settings[name])}\n" for name in names))
    return subprocess.run(
        [
            ROOT / ".tools/bin/gitlab-ci-local",
            *("--pull-policy", "if-not-present", "--helper-image", "ci-deploy-test/helper"),
            *("--no-color", "--network", server.network, "--variables-file", variables),
            *arguments,
        ],
        cwd=project,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
