"""Docker in tests: whether it is there, our image, and containers that are cleaned up by label."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from standins import reaper
from standins.support import ROOT

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


def inside(
    container: str, *words: str, check: bool = True, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """A command in a container (its whole id), as `docker exec -i` runs it; where the engine is on
    this machine and we are root without the engine, which takes a twentieth of the processor time.
    """
    nsenter, process = shutil.which("nsenter"), _first_process(container)
    if not nsenter or not process:
        return docker("exec", "-i", container, *words, check=check, stdin=stdin)
    argv = [nsenter, f"--target={process}", *NAMESPACES, "--", *words]
    env = _environ(container)
    done = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
_processes: dict[str, int] = {}


def _first_process(container: str) -> int:
    """The number of a container's first process, which may have been started anew; 0 when it does
    not run or cannot be entered from here."""
    if os.geteuid() != 0:
        return 0
    if not _belongs(_processes.get(container, 0), container):
        asked = docker("inspect", "-f", "{{.State.Pid}}", container, check=False)
        _processes[container] = int(asked.stdout.strip() or 0)
    process = _processes[container]
    return process if _belongs(process, container) else 0


def _belongs(process: int, container: str) -> bool:
    try:
        return bool(process) and container in Path(f"/proc/{process}/cgroup").read_text()
    except OSError:
        return False


@cache
def _environ(container: str) -> dict[str, str]:
    config = json.loads(docker("inspect", "-f", "{{json .Config}}", container).stdout)
    own = dict(pair.split("=", 1) for pair in config["Env"])
    return {"HOME": "/root", "HOSTNAME": config["Hostname"], **own}


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


@contextmanager
def loopback_registry(*options: str) -> Iterator[str]:
    """An empty registry that engines use without TLS; its address. Images of it that are here are
    removed with it. `options`: of `docker run`."""
    started = ["run", "--detach", f"--label={LABEL}", "--publish=127.0.0.1::5000", *options]
    name = docker(*started, "ci-deploy-test/registry").stdout.strip()
    address = "localhost:" + docker("port", name, "5000/tcp").stdout.strip().rpartition(":")[2]
    try:
        yield address
    finally:
        docker("rm", "--force", "--volumes", name)
        form = ("--format", "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}")
        listed = docker("image", "ls", "--digests", *form).stdout.split()
        left = [each for each in listed if each.startswith(f"{address}/") and "<none>" not in each]
        docker("image", "rm", "--force", *left, check=False)
