"""Every job of the files that `init` writes, on real runners: deploys, rollback, plan, review app
and its end, against the stand-ins and real Docker hosts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from standins.compose.app import SMALL, versions
from standins.dockerhosts import PASSWORD, USER, Fleet, swarm_of
from standins.engine import build_image, docker
from standins.heroku.server import HerokuStandIn
from tests.containers import Container
from tests.runners.examples import Reached
from tests.runners.written import CircleCIJobs, GitHubJobs, GitLabJobs, Jobs, live_through
from tests.swarm.app import stack_file

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

RUNNERS: list[type[Jobs]] = [GitLabJobs, GitHubJobs, CircleCIJobs]
WISHES = ("--environments", "staging production", "--review")


@pytest.mark.long
@pytest.mark.parametrize("kind", RUNNERS)
def test_jobs_of_a_dokku_app(
    kind: type[Jobs], image: str, dokku_container: Container, tmp_path: Path
) -> None:
    """Takes a minute: six pipelines, and each of their jobs is a container."""
    app = f"init-{kind.ci}"
    known = dokku_container.settings()
    settings = {name: known[name] for name in ("SSH_SERVER_HOSTKEYS", "DOKKU_CREATE_APP")}
    key = {"SSH_PRIVATE_KEY": known["SSH_PRIVATE_KEY"]}
    server = Reached(dokku_container.network, key, settings)
    flags = ("--provider", "dokku", "--host", "root@dokku", "--app", app)
    jobs = kind(tmp_path / "project", server, image, *flags, *WISHES)
    live_through(jobs, app, dokku_container.running, jobs.commit)


@pytest.mark.soak
@pytest.mark.parametrize("kind", RUNNERS)
def test_jobs_of_a_heroku_app(kind: type[Jobs], heroku: HerokuStandIn, tmp_path: Path) -> None:
    def running(name: str) -> str:
        return heroku.apps[name].running_revision if name in heroku.apps else ""

    flags = ("--provider", "heroku", "--app", "hello", *WISHES)
    trusted = {"ca.pem": heroku.ca.read_text()}
    jobs = kind(tmp_path / "project", heroku, build_image("heroku"), *flags, **trusted)
    live_through(jobs, "hello", running, jobs.commit)


@pytest.mark.soak
@pytest.mark.parametrize("kind", RUNNERS)
def test_jobs_of_a_compose_app(kind: type[Jobs], docker_fleet: Fleet, tmp_path: Path) -> None:
    (host, *_), registry = docker_fleet
    app = f"init{kind.ci}{secrets.token_hex(3)}"
    host.sh(f"mkdir -p {app}-staging {app}")  # as the first steps say

    def running(name: str) -> str:
        label = f"label=com.docker.compose.project={name}"
        ids = host.root("docker", "ps", "-q", "--filter", label).split()
        return " ".join(versions(json.loads(host.root("docker", "inspect", *ids)) if ids else []))

    text = SMALL.format(image=registry.image).replace("    env_file: .env\n", "")
    _jobs_on_docker(kind, docker_fleet, tmp_path, ("compose", app, text), running)


@pytest.mark.soak
@pytest.mark.parametrize("kind", RUNNERS)
def test_jobs_of_a_swarm_app(kind: type[Jobs], docker_fleet: Fleet, tmp_path: Path) -> None:
    (host, *_), registry = docker_fleet
    app = f"init{kind.ci}{secrets.token_hex(3)}"

    def running(name: str) -> str:
        shown = ["{{.CurrentState}}|{{.Image}}", "--filter", "desired-state=running"]
        lines = host.root("docker", "stack", "ps", "--format", *shown, name, check=False)
        up = (line for line in lines.splitlines() if line.startswith("Running"))
        return " ".join(line.rpartition(":")[2].partition("@")[0] for line in up)

    with swarm_of(docker_fleet):
        text = stack_file(registry.image)
        _jobs_on_docker(kind, docker_fleet, tmp_path, ("swarm", app, text), running)


def _jobs_on_docker(
    kind: type[Jobs],
    fleet: Fleet,
    path: Path,
    wanted: tuple[str, str, str],
    running: Callable[[str], str],
) -> None:
    """`wanted`: provider, app, and the compose file's text."""
    (host, *_), _ = fleet
    provider, app, text = wanted
    # A variable of GitLab is text with other variables in it, unless somebody says that it is none.
    password = PASSWORD.replace("$", "$$") if kind is GitLabJobs else PASSWORD
    key = {"SSH_PRIVATE_KEY": host.key, "DOCKER_USER": USER, "DOCKER_PASS": password}
    settings = {"SSH_SERVER_HOSTKEYS": host.known_hosts, "DEPLOY_TAG": ""}
    shown = docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", host.container).stdout
    server = Reached(next(iter(json.loads(shown))), key, settings)
    flags = ("--provider", provider, "--host", f"deploy@{host.address}", "--app", app)
    tags = iter(("good1", "good2"))

    def tagged() -> str:
        jobs.commit()
        settings["DEPLOY_TAG"] = next(tags)
        return settings["DEPLOY_TAG"]

    files = {"deploy/compose.yml": text}
    jobs = kind(path / "project", server, build_image(provider), *flags, *WISHES, **files)
    live_through(jobs, app, running, tagged)
