"""The built image on a stand-in Heroku: its own git, its own heroku CLI, its own Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from standins.engine import LABEL, build_image
from standins.heroku.server import HerokuStandIn
from tests.integration.heroku.conftest import Jobs, shallow

pytestmark = pytest.mark.docker
NAMES = ("APP_NAME", "HEROKU_API_KEY", "HEROKU_API_URL", "HEROKU_GIT_URL", "HEROKU_BOOT_TIMEOUT")
ANYBODY = ("--user=12345", "--read-only", "--tmpfs=/tmp")


@pytest.fixture(scope="session", params=["heroku", "full"])
def heroku_image(request: pytest.FixtureRequest) -> str:
    """The image of a target that has the CLI, built from this tree."""
    return build_image(request.param)


def _run(
    image: str,
    job: Jobs,
    *words: str,
    workspace: Path | None = None,
    options: tuple[str, ...] = (),
) -> tuple[int, str]:
    """`docker run` beside the stand-in; settings by name only, so that no value is in an argv."""
    argv = ["docker", "run", "--rm", f"--label={LABEL}", "--network=host", "--workdir=/w"]
    argv += [f"--volume={workspace or job.checkout.path}:/w"]
    argv += [f"--volume={job.server.ca}:/ca.pem:ro"]
    argv += ["--env=CA_BUNDLE=/ca.pem", *(f"--env={name}" for name in NAMES), *options]
    env = {**os.environ, **{name: job.env[name] for name in NAMES}}
    done = subprocess.run(
        [*argv, image, *words], env=env, capture_output=True, text=True, check=False
    )
    job.outputs += [done.stdout, done.stderr]
    return done.returncode, done.stdout + done.stderr


def test_deploys_and_runs_a_command_with_its_true_exit_code(
    heroku_image: str, heroku: HerokuStandIn, job: Jobs
) -> None:
    code, output = _run(heroku_image, job, "deploy")
    assert code == 0, output
    assert heroku.apps["hello"].running_revision == job.checkout.head
    report = json.loads((job.checkout.path / "deploy-report.json").read_text())
    assert report["status"] == "succeeded"

    script = ("sh", "-c", "echo first; echo last; exit 17")
    code, output = _run(heroku_image, job, "ci-deploy", "run", "--", *script, options=ANYBODY)
    assert code == 17, output
    assert "first\nlast\n" in output
    assert heroku.rendezvous.alive == []


def test_archive_of_a_shallow_checkout_from_a_read_only_container(
    heroku_image: str, heroku: HerokuStandIn, job: Jobs, tmp_path: Path
) -> None:
    """As a job that belongs to somebody else, with a clone of one commit and nobody to ask."""
    job.checkout.commit("Second")
    clone = shallow(job.checkout, tmp_path / "shallow")
    code, output = _run(heroku_image, job, "deploy", workspace=clone, options=ANYBODY)
    assert code == 0, output
    assert heroku.apps["hello"].running_revision == job.checkout.head
    assert heroku.pushes() == 0
