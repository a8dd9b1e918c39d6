"""Databases of apps on Docker hosts: a real Postgres, dumped before migrations and brought back."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from standins.compose.app import App, versions
from standins.dockerhosts import DockerHost
from tests.databases import KILLED, MIGRATING, POSTGRES, RAILS, Shop

NAMED = "database-test/postgres:17"
STACK = """
services:
  app:
    image: {image}:${{DEPLOY_TAG}}
    stop_grace_period: 3s
    healthcheck: {{test: ["CMD", "test", "-f", "/ok"], interval: 600ms, retries: 3}}
    env_file: .env
    volumes: ["data:/data", "./rails:/bin/rails:ro"]
    depends_on: [db]
  db:
    image: {database}{service}
volumes: {{data: , db: }}
"""


class HostShop(Shop):
    """On a Docker host."""

    def __init__(self, app: App) -> None:
        super().__init__(app, app.hosts[0])
        self.app = app
        text = STACK.format(image=app.registry.image, database=NAMED, service=POSTGRES.service)
        app.write(text)
        path = app.checkout.path / "rails"
        path.write_text(RAILS)
        path.chmod(0o755)
        app.checkout.commit("Rails", {"Gemfile.lock": "GEM\n  specs:\n    rails (8.0.0)\n"})
        done = app.deploy("good1", **MIGRATING)
        assert done.code == 0, done.output

    def container(self) -> str:
        return f"{self.app.name}-db-1"

    def folder(self) -> str:
        return f"{self.app.folder}/.ci-deploy/backups/{self.app.name}"

    def running(self) -> list[str]:
        return versions(self.app.containers(0, "app"))

    def runs(self, tag: str) -> None:
        self.app.runs(tag)

    def untouched(self) -> None:
        super().untouched()
        at = self.host.root("docker", "exec", f"{self.app.name}-app-1", "cat", "/data/at")
        assert at.strip() == "good1"


def _load(host: DockerHost) -> None:
    if "database-test" not in host.root("docker", "images", "--format", "{{.Repository}}"):
        host.give(POSTGRES.image, POSTGRES.folder)
        host.root("docker", "tag", POSTGRES.image, NAMED)


@pytest.fixture
def shop(app: App) -> Iterator[HostShop]:
    """One that runs good1, with data, and has a newer commit."""
    _load(app.hosts[0])
    made = HostShop(app)
    made.fill()
    app.checkout.commit("Next")
    yield made
    network = f"sleep 0; docker network rm {app.name}_default"
    script = f"docker rm -fv $(docker ps -aq --filter name={app.name}-); {network}"
    app.hosts[0].root("sh", "-c", script, check=False)


def test_database_is_dumped_on_the_host_before_a_migration_and_can_be_brought_back(
    shop: HostShop,
) -> None:
    """Only where migrations are pending; what they have added goes, the app is stopped for that
    time only, and what was there before the restore is kept too."""
    app = shop.app
    name = shop.is_dumped_before_a_migration()
    assert not [*app.checkout.path.glob("deploy-backup*")], "not into CI's artifacts"
    app.checkout.commit("Without a migration")
    assert app.deploy("good2", **MIGRATING).code == 0
    assert shop.kept() == [name]

    [database] = app.containers(0, "db")
    app.hosts[0].sh(f"rm {app.folder}/.ci-deploy/runner-*.sh")  # as for a newer ci-deploy
    shop.is_brought_back(name)
    started = app.containers(0, "db")[0]["State"]["StartedAt"]
    assert started == database["State"]["StartedAt"], "it was not stopped"
    [later] = set(shop.kept()) - {name}
    done = app.run("restore", later, "--yes")
    assert done.code == 0, done.output
    assert shop.sql("select count(*) from orders") == "0"


def test_dump_that_is_empty_or_fails_stops_the_deploy_before_the_migration(shop: HostShop) -> None:
    shop.is_not_migrated_without_a_good_dump()


@pytest.mark.parametrize("by", ["deploy", "restore"])
def test_restore_that_was_killed_is_finished_by_the_next_run(shop: HostShop, by: str) -> None:
    """The app does not run on half of the data, and what was stopped starts again."""
    shop.is_restored_after_a_kill(by, "[r]unner-[0-9a-f]*.sh restore")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("command", "count"), KILLED)
def test_kills_at_random_moments_end_in_the_right_state(
    shop: HostShop, command: str, count: int
) -> None:
    program = "[r]unner-[0-9a-f]*.sh restore"
    shop.survives(command, count, program, random.Random(f"20261130 {command}"))
