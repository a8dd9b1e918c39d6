"""Many jobs that deploy at once, each an app of its own: all end right, and nothing is mixed up.

Deploys of one app that are started together are in tests/integration/test_dokku_many_at_once.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from standins.compose.app import App
from standins.dockerhosts import DockerHost, Registry
from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Done, Run, settings_for
from tests.hostile.tally import Kind, Record

TIMEOUT = 900  # seconds; two processors share fifty deploys
JOB = {"GITLAB_CI": "true", "DEPLOY_TIMEOUT": str(TIMEOUT)}
COUNTS = FEW, MANY = 5, 50  # apps on Dokku
PROJECTS = 10  # on a Docker host


def _mixed(
    done: Done, name: str, head: str, names: Sequence[str], heads: Sequence[str]
) -> list[str]:
    """What is wrong with how a job ended, and what it says that belongs to another job."""
    if done.code:
        return [f"{name}: exit code {done.code}\n{done.output}{done.errors}"]
    report, outputs = done.report, done.outputs()
    said = f"{done.output}{done.errors}{report}{outputs}"
    told = (report.get("app"), report.get("live_revision"), outputs["DEPLOYED_REVISION"])
    foreign = [each for each in names if each != name and each in said]
    foreign += [each for each in heads if each != head and each[:7] in said]
    found = [f"{name}: it names {each}\n{said}" for each in foreign]
    return [*found, f"{name}: it reports {told}"] if told != (name, head, head) else found


@pytest.mark.timeout(TIMEOUT + 300)
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.hostile)])
def test_as_many_apps_of_dokku(tmp_path: Path, record_property: Record, count: int) -> None:
    """sshd as it is by default: it drops connections when more than ten are not yet let in."""
    names = [f"many-{number:02}" for number in range(count)]
    checkouts = [
        Checkout(tmp_path / name, {"Procfile": f"release: echo mark {name}\nworker: sleep 600\n"})
        for name in names
    ]
    heads = [checkout.head for checkout in checkouts]
    with DokkuStandIn(
        tmp_path / "dokku", delay=0.0, checks_wait=0.0, max_startups="10:30:100", max_sessions=10
    ) as dokku:
        client = Client(dokku, tmp_path / "home", multiplex=False)
        for name in names:
            client.dokku(f"apps:create {name}")
        running = []
        for name, checkout in zip(names, checkouts, strict=True):
            path, head = str(checkout.path), checkout.head
            job = {**JOB, "CI_PROJECT_DIR": path, "CI_COMMIT_SHA": head, "APP_NAME": name}
            env = settings_for(dokku, **job)
            running.append(Run("deploy", cwd=checkout.path, env=env))
        lost = list[str]()
        for name, head, each in zip(names, heads, running, strict=True):
            done, app = each.done(timeout=TIMEOUT), dokku.app(name)
            lost += _mixed(done, name, head, names, heads)
            if app.running_revision != head or app.locked or len(app.builds) != 1:
                runs = app.running_revision[:7]
                lost.append(f"{name}: {runs} runs after {len(app.builds)} builds, not {head[:7]}")
            if set(re.findall(r"(?m)mark (many-\d\d)\s*$", done.output)) != {name}:
                lost.append(f"{name}: its log has other lines\n{done.output}")
    record_property("hostile", [Kind.MANY.name, count, len(lost)])
    assert not lost, "\n\n".join(lost)


@pytest.fixture
def projects(
    docker_hosts: list[DockerHost], registry: Registry, tmp_path: Path
) -> Iterator[list[App]]:
    """Apps on one host, each with a line of its own in its .env."""
    made = list[App]()
    for number in range(PROJECTS):
        (tmp_path / f"{number}").mkdir()
        app = App(docker_hosts, registry, tmp_path / f"{number}")
        made.append(app)
        docker_hosts[0].sh(f"echo MARK={app.name} >{app.name}/.env")
        app.checkout.commit(f"Commit of {app.name}")
    yield made
    for app in made:
        app.remove()


@pytest.mark.hostile
@pytest.mark.timeout(TIMEOUT + 300)
def test_as_many_projects_on_a_docker_host(projects: list[App], record_property: Record) -> None:
    """One engine, and one sshd that drops connections like that of a Dokku."""
    tags = [f"good{1 + number % 4}" for number in range(PROJECTS)]
    names, heads = [app.name for app in projects], [app.checkout.head for app in projects]
    jobs = []
    for app, tag in zip(projects, tags, strict=True):
        path, head = str(app.checkout.path), app.checkout.head
        jobs.append(app.start(tag, **{**JOB, "CI_PROJECT_DIR": path, "CI_COMMIT_SHA": head}))
    lost = list[str]()
    for app, job, tag in zip(projects, jobs, tags, strict=True):
        lost += _mixed(job.done(timeout=TIMEOUT), app.name, app.checkout.head, names, heads)
        ended = [(each["revision"], each["outcome"]) for each in app.audit()][-1:]
        found = (app.versions(), ended, app.environ().get("MARK"))
        if found != ([tag], [(app.checkout.head, "live")], app.name):
            lost.append(f"{app.name}: {found}, not {tag}")
    record_property("hostile", [Kind.MANY.name, PROJECTS, len(lost)])
    assert not lost, "\n\n".join(lost)
