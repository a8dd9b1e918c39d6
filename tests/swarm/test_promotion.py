"""`promote` on a swarm: what staging's stack runs goes to production's, by digest."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from standins.dockerhosts import PASSWORD, USER
from standins.support import Done, Run
from tests.swarm.app import App


class Production:
    """Another stack of the same swarm."""

    def __init__(self, app: App) -> None:
        self.name = f"{app.name}p"
        self._app = app

        self._settings = {"STACK_NAME": self.name, "PROMOTE_FROM": app.name, "DEPLOY_TAG": ""}

    def run(self, *words: str, **more: str) -> Done:
        """A command there; PROMOTE_FROM is staging."""
        return self._app.run(*words, **{**self._settings, **more})

    def start(self) -> Run:
        """Begin a promotion."""
        return self._app.start_command("promote", **self._settings)

    @property
    def running(self) -> list[str]:
        """The image of each task that runs and is meant to, by its digest."""
        form = ["--filter", "desired-state=running", "--format", "{{.CurrentState}}|{{.Image}}"]
        listing = ["service", "ps", "--no-trunc", *form, f"{self.name}_app"]
        lines = self._app.docker(*listing, check=False).splitlines()
        return [line.rpartition("|")[2] for line in lines if line.startswith("Running")]

    @property
    def image(self) -> str:
        """What the service has; empty when there is none."""
        form = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
        words = ["service", "inspect", "-f", form, f"{self.name}_app"]
        return self._app.docker(*words, check=False).strip()

    def remove(self) -> None:
        """Leave nothing behind."""
        docker = self._app.docker
        docker("stack", "rm", self.name, check=False)
        label = f"label=com.ci-deploy.stack={self.name}"
        kept = docker("config", "ls", "--filter", label, "--format", "{{.Name}}").split()
        if kept:
            docker("config", "rm", *kept, check=False)


@pytest.fixture
def production(app: App) -> Iterator[Production]:
    made = Production(app)
    yield made
    made.remove()


def push(app: App, tag: str, name: str) -> None:
    """Let a tag mean another image."""
    image, host = app.registry.image, app.hosts[0]
    login = f"docker login -u {USER} --password-stdin {app.registry.address}"
    script = (
        f"export DOCKER_CONFIG=/tmp/pushing; {login} >/dev/null 2>&1 && "
        f"docker pull -q {image}:{tag} "
        f"&& docker tag {image}:{tag} {image}:{name} && docker push -q {image}:{name}; "
        "rm -rf /tmp/pushing"
    )
    host.root("sh", "-c", script, stdin=PASSWORD)


def test_what_staging_has_proven_runs_in_production_whatever_its_tag_means_now(
    app: App, production: Production
) -> None:
    tag = f"moving-{app.name}"
    push(app, "good1", tag)
    assert app.deploy(tag).code == 0
    staged = app.service()["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    app.checkout.commit("Not in staging yet")
    push(app, "good2", tag)

    planned = production.run("plan", "promote")
    assert planned.code == 0, planned.output
    assert f"the stack {app.name} on " in planned.output
    assert f"app: {staged}" in planned.output
    assert production.image == ""

    done = production.run("promote")
    assert done.code == 0, done.output
    assert production.image == staged
    assert done.report["revision"] != app.checkout.head, "the commit after it stays away"
    assert production.run("promote").report["status"] == "skipped"

    assert app.deploy("good2").code == 0
    brought = production.run("promote")
    assert brought.code == 0, brought.output
    assert "commit: " in brought.output
    assert production.image != staged
    back = production.run("rollback")
    assert back.code == 0, back.output
    assert production.image == staged


def test_source_that_is_not_proven_or_not_there_is_refused(
    live: App, production: Production
) -> None:
    for given, said in (
        ("", "PROMOTE_FROM: is required"),
        ("host:22", "does not end with a directory, stack or app"),
        ("nowhere", "there is no stack nowhere on "),
        (production.name, f"names {production.name}, to which this run deploys"),
    ):
        done = production.run("promote", PROMOTE_FROM=given)
        assert done.code == 2, done.output
        assert said in done.output
    live.write(live.file(action="pause"))
    assert live.deploy("bad1").code == 20
    done = production.run("promote")
    assert done.code == 14, done.output
    assert "is not fully up" in done.output
    assert production.image == ""


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kills_at_random_moments_end_in_the_right_state(live: App, production: Production) -> None:
    """The next promotion brings what staging runs, and staging is not touched."""
    choose, ends = random.Random(20261130), Counter[str]()
    whole = production.run("promote")
    assert whole.code == 0, whole.output
    for number in range(30):
        tag = f"good{2 - number % 2}"
        assert live.deploy(tag).code == 0
        staged = live.service()["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        running = production.start()
        time.sleep(choose.uniform(0.1, whole.seconds))
        running.signal(signal.SIGKILL)
        running.done()
        ends["new" if production.image == staged else "old"] += 1
        done = production.run("promote")
        assert done.code == 0, done.output
        assert production.running == [staged]
        assert production.image == staged
        assert live.tags() == [tag]
    print(f"30 kills of promotions on a swarm: {dict(ends)} wanted; all healed", file=sys.stderr)
