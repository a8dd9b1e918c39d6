"""Docker in tests: whether it is there, our image, and containers that are cleaned up by label."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import reaper
from tests.support import ROOT

LABEL = f"{reaper.LABEL}={reaper.RUN}"
"""What every container and network of a test carries, so that nothing outlives the run."""
MACHINE = ROOT / "tests/machine"


def docker(
    *arguments: str, check: bool = True, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """A docker command."""
    argv = ["docker", *arguments]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def need_docker() -> None:
    """Skip loudly without an engine; in CI nothing may be missing."""
    try:
        there = docker("info", check=False).returncode == 0
    except FileNotFoundError:
        there = False
    if not there:
        reason = "no Docker Engine: the image was not tested (run tests/machine/docker.sh)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One worker of the test run at a time."""
    with Path(f"/tmp/ci-deploy-test-{os.getuid()}-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_image(target: str) -> str:
    """Build a target of our Dockerfile (about a second when only the package has changed)."""
    need_docker()
    tag = f"ci-deploy/{target}:test"
    with _alone("build"):
        subprocess.run([MACHINE / "images.sh"], check=True, capture_output=True)
        subprocess.run(
            [MACHINE / "docker-build.sh", "-q", "--target", target, "-t", tag, str(ROOT)],
            check=True,
            capture_output=True,
        )
    return tag
