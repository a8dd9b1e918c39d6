"""Cancels on twins of the real runners, at random moments."""

from __future__ import annotations

import random
import re
import shutil
import time
from pathlib import Path

import pytest

from standins.engine import LABEL, docker
from standins.support import Checkout
from tests.containers import Container
from tests.runners.github_runner import Running, Step
from tests.runners.gitlab_runner import PACE, SCRIPT, GitLabRunner, RunningJob
from tests.runners.twins import github_runner, inputs_for, quick

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


def _check_out(app: Checkout, revision: str) -> None:
    """As both platforms do before a job (GitHub's workspace belongs to another user)."""
    trusted = ["-c", f"safe.directory={app.path}"]
    app.git(*trusted, "checkout", "--quiet", "--detach", revision)


def _empty_run(image: str) -> float:
    """What Docker itself takes to start a container and to remove it, on this machine."""
    started = time.monotonic()
    docker("run", "--rm", f"--label={LABEL}", image, "true")
    return time.monotonic() - started


@pytest.mark.long
@pytest.mark.parametrize("platform", ["github", "gitlab"])
@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.soak)])
def test_cancels_at_random_moments_are_all_clean(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path, platform: str, count: int
) -> None:
    """In five seconds (from the signal that reaches us; on GitHub until the container is gone, less
    what Docker takes for one that does nothing), with the right code, no container left, nothing
    tried again, and what is live told truly: it is what the server says.

    Takes a minute: each of the cancelled jobs is a container with a whole deploy in it."""
    quick(app)
    good = app.head
    name = f"twin-cancel-{platform}-{count}"
    server = dokku_container
    settings = server.settings(APP_NAME=name)
    github = github_runner(image, server, app, tmp_path)
    gitlab = GitLabRunner(image, server.network, app.path)
    variables = {"CI_COMMIT_SHA": good, "CI_COMMIT_REF_NAME": "main"}
    assert gitlab.start(SCRIPT, {**settings, **variables}).done().code == 0
    assert len(server.pushes(name)) == 1
    quick(app, release="sleep 20")
    choose = random.Random(20261120)
    wanted = [app.commit(f"Commit {number}") for number in range(count)]
    told = 0
    for number, revision in enumerate(
        wanted
    ):  # what a cancel came too late for may be live already
        _check_out(app, revision)
        if platform == "github":
            inputs = inputs_for(server, APP_NAME=name)
            running: Running | RunningJob = github.start(inputs, variables={"GITHUB_SHA": revision})
        else:
            variables["CI_COMMIT_SHA"] = revision
            running = gitlab.start(SCRIPT, {**settings, **variables})
        running.wait_for("→ push" if number % 2 else "deploy")  # something is known in half of them
        time.sleep(choose.uniform(0.0, 2.5))
        truths = {server.running(name)}
        ended = running.cancel()
        truths.add(server.running(name))
        log = ended.raw if isinstance(ended, Step) else ended.log
        assert ended.code in {130, 143}, log
        if "cancelled" not in log:  # the runner's ten seconds went to our children: it left us none
            assert platform == "gitlab", log
            assert ended.seconds < 1.0, log
            assert not ended.container_left
            continue
        if found := re.search(r"cancelled: .*? runs ([0-9a-f]{7})", log):
            told += 1
            assert found[1] in {truth[:7] for truth in truths}, log
        else:
            assert "→" not in log or "is unknown" in log, log
        # (one may be on its way until the signal has arrived)
        docker_takes = _empty_run(image)
        arrived = ended.signalled + docker_takes
        later = [when - arrived for when in server.pushes(name) if when > arrived]
        assert len(later) <= 1, "a child that was killed was started again"
        assert all(seconds < 3.0 for seconds in later), log
        most = (
            2 * docker_takes if platform == "github" else PACE
        )  # for signal and removal; to see it
        assert ended.seconds < 5.0 + most, log
        assert not ended.container_left
    assert told >= count // 6, "how often depends on the machine; never would prove nothing"
    shutil.rmtree(tmp_path / "runner", ignore_errors=True)
