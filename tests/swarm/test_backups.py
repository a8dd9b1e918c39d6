"""Databases of stacks: real ones, dumped before migrations on their node and brought back."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import pytest

from ci_deploy.layers.providers.swarm.state import NOWHERE
from standins.dockerhosts import PASSWORD, USER, DockerHost, Registry
from tests.databases import KILLED, MARIADB, MIGRATING, POSTGRES, RAILS, SECRET, Engine, Shop
from tests.swarm.app import App

MORE = """
    configs: [{source: rails, target: /bin/rails, mode: 0755}]
    volumes: ["data:/data"]
  db:
    image: DATABASESERVICE
    deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.role == ROLE]}}
  agent:
    image: APP:${DEPLOY_TAG}
    healthcheck: *check
    command: [sh, -c, "trap 'sleep 2; exit' TERM; touch /ok; while :; do sleep 1; done"]
    stop_grace_period: 5s
    deploy: {mode: global, endpoint_mode: dnsrr, update_config: *update}
volumes: {data: , db: }
configs: {rails: {file: ./rails}}
"""


def _push(host: DockerHost, registry: Registry, engine: Engine) -> str:
    """The image of the database, in the registry."""
    name = f"{registry.address}/{engine.name}:17"
    if name in host.root("docker", "images", "--format", "{{.Repository}}:{{.Tag}}"):
        return name
    host.give(engine.image, engine.folder)
    login = f"docker login -u {USER} --password-stdin {registry.address}"
    push = f"docker tag {engine.image} {name} && docker push -q {name}"
    script = f"export DOCKER_CONFIG=/tmp/pushing; {login} && {push}; rm -rf /tmp/pushing"
    host.root("sh", "-c", script, stdin=PASSWORD)
    return name


class StackShop(Shop):
    """In a swarm."""

    def __init__(
        self,
        app: App,
        host: DockerHost,
        role: str = "manager",
        engine: Engine = POSTGRES,
        **more: str,
    ) -> None:
        super().__init__(app, host)
        self.app, self.engine = app, engine
        image = _push(app.hosts[0], app.registry, engine)
        text = app.file().rstrip() + MORE.replace("DATABASE", image).replace("ROLE", role)
        text = text.replace("APP", app.registry.image).replace("SERVICE", engine.service.rstrip())
        files = {
            "root": SECRET,
            "rails": RAILS,
            "Gemfile.lock": "GEM\n  specs:\n    rails (8.0.0)\n",
        }
        app.checkout.commit("Rails", files)
        app.write(text + engine.top)
        done = app.deploy("good1", **MIGRATING, **more)
        assert done.code == 0, done.output
        self.fill()
        app.checkout.commit("Next")

    def container(self) -> str:
        names = f"name={self.app.name}_db."
        return self.host.root("docker", "ps", "-q", "--filter", names).strip()

    def folder(self) -> str:
        return f"/home/deploy/.ci-deploy/backups/{self.app.name}"

    def running(self) -> list[str]:
        """Of containers that really run: what the engine wants may be ahead of them."""
        words = ["ps", "--filter", f"name={self.app.name}_a", "--format", "{{.Image}}"]
        images = "".join(host.root("docker", *words) for host in self.app.hosts).split()
        return sorted({image.partition("@")[0].rpartition(":")[2] for image in images})

    def runs(self, tag: str) -> None:
        """At the end: what was there before has some seconds to stop."""
        until = time.monotonic() + 20
        while self.running() != [tag] and time.monotonic() < until:
            time.sleep(0.3)
        super().runs(tag)

    def constraints(self) -> list[str]:
        """That keep the service on every node from some."""
        placement = self.app.service("agent")["Spec"]["TaskTemplate"].get("Placement") or {}
        return list(placement.get("Constraints") or [])


@pytest.fixture
def shop(app: App, request: pytest.FixtureRequest) -> Iterator[StackShop]:
    """One that runs good1, with data, and has a newer commit."""
    yield StackShop(app, app.hosts[0], engine=getattr(request, "param", POSTGRES))
    _clear(app)


def _clear(app: App) -> None:
    app.docker("stack", "rm", app.name, check=False)
    volumes = f"docker volume ls -q | grep '^{app.name}_'"
    again = "for n in 1 2 3 4 5 6 7 8 9; do"
    script = f'{again} v=$({volumes}); [ -n "$v" ] || break; docker volume rm $v; sleep 1; done'
    for host in app.hosts:
        host.root("sh", "-c", script, check=False)
        host.sh(f"rm -rf .ci-deploy/backups/{app.name}")


@pytest.mark.parametrize("shop", [POSTGRES, MARIADB], ids=lambda each: each.name, indirect=True)
def test_database_is_dumped_before_a_migration_and_can_be_brought_back(shop: StackShop) -> None:
    """Only where migrations are pending; what they have added goes, the app is stopped for that
    time only, and what was there before the restore is kept too."""
    name = shop.is_dumped_before_a_migration()
    assert "good1-" in shop.is_brought_back(name)
    assert len(set(shop.kept()) - {name}) == 1
    assert not [each for each in shop.app.kept() if "restoring" in each]
    assert shop.constraints() == []


def test_service_that_is_kept_from_all_nodes_is_not_up_and_the_next_deploy_starts_it(
    shop: StackShop,
) -> None:
    """Also when the note of the restore is gone."""
    app = shop.app
    app.docker("service", "update", "-dq", "--constraint-add", NOWHERE, f"{app.name}_agent")
    assert "a restore has stopped it" in app.run("status").output
    assert json.loads(app.run("status", "--json").output)["up"] is False
    done = app.deploy("good1", **MIGRATING)
    assert done.code == 0, done.output
    assert shop.constraints() == []
    shop.runs("good1")


def test_dump_that_is_empty_or_fails_stops_the_deploy_before_the_migration(shop: StackShop) -> None:
    shop.is_not_migrated_without_a_good_dump()


@pytest.mark.parametrize("by", ["deploy", "restore"])
def test_restore_that_was_killed_is_finished_by_the_next_run(shop: StackShop, by: str) -> None:
    """The app does not run on half of the data, and what was stopped starts again."""
    shop.is_restored_after_a_kill(by, "ci-deploy [^ ]* [^ ]* - restore")


def test_database_on_another_node_is_dumped_there_or_the_node_is_named(
    app: App, worker: DockerHost
) -> None:
    """With the programs of its own container, on the node that has it; where SERVER_HOST does not
    name that, it is refused before anything."""
    both = {"SERVER_HOST": f"{app.hosts[0].address} {worker.address}"}
    shop = StackShop(app, worker, "worker")
    try:
        done = app.deploy("good2", **MIGRATING)
        assert done.code == 2, done.output
        assert "db runs on the node host2" in " ".join(done.output.split())
        assert app.tags() == ["good1"]
        done = app.deploy("good2", **MIGRATING, **both)
        assert done.code == 0, done.output
        [name] = shop.kept()
        shop.sql("drop table users")
        assert app.run("backups", **both).output.startswith(f"{name}  ")
        done = app.run("restore", name, "--yes", **both)
        assert done.code == 0, done.output
        assert shop.sql(shop.engine.users) == "Ann Bob"
    finally:
        _clear(app)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("command", "count"), KILLED)
def test_kills_at_random_moments_end_in_the_right_state(
    shop: StackShop, command: str, count: int
) -> None:
    """Takes many minutes: each of the thirty is killed, and then done to its end."""
    program = "ci-deploy [^ ]* [^ ]* - restore"
    shop.survives(command, count, program, random.Random(f"20261130 {command}"))
