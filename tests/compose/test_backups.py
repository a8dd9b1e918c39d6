"""Databases of apps on Docker hosts: a real Postgres, dumped before migrations and brought back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.compose.app import App, versions
from tests.docker import MACHINE
from tests.dockerhosts import DockerHost

IMAGE, NAMED = "ci-deploy-test/database", "database-test/postgres:17"
RAILS = """#!/bin/sh
echo "$VERSION rails $*"
case "$*" in
*db:migrate*) echo "$VERSION" >/data/at ;;
*) [ "$(cat /data/at 2>/dev/null)" = "$VERSION" ] ;;
esac
"""
PASSWORD = "d4tabase pa$$'word"
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
    image: {database}
    environment: {{POSTGRES_DB: shop, POSTGRES_USER: owner, POSTGRES_PASSWORD: "{password}"}}
    healthcheck: {{test: ["CMD", "pg_isready", "-q", "-U", "owner"], interval: 600ms, retries: 50}}
    volumes: ["db:/var/lib/postgresql/data"]
volumes: {{data: , db: }}
"""
MIGRATING = {
    "DEPLOY_APPLICATION": "rails",
    "AUTO_MIGRATE_ON_DEPLOY": "true",
    "BACKUP_BEFORE_MIGRATE": "true",
}


class Shop:
    """An app with a database."""

    def __init__(self, app: App) -> None:
        self.app, self.host = app, app.hosts[0]
        text = STACK.format(image=app.registry.image, database=NAMED, password=PASSWORD)
        app.write(text)
        path = app.checkout.path / "rails"
        path.write_text(RAILS)
        path.chmod(0o755)
        app.checkout.commit("Rails", {"Gemfile.lock": "GEM\n  specs:\n    rails (8.0.0)\n"})
        done = app.deploy("good1", **MIGRATING)
        assert done.code == 0, done.output

    def sql(self, text: str) -> str:
        """What the database says."""
        words = ["exec", "-i", f"{self.app.name}-db-1", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
        return self.host.root("docker", *words, "-U", "owner", "-d", "shop", stdin=text).strip()

    def kept(self) -> list[str]:
        """Names of the dumps on the host."""
        folder = f"{self.app.folder}/.ci-deploy/backups/{self.app.name}"
        found = self.host.root("sh", "-c", f"ls {folder} 2>/dev/null || true").split()
        assert not [each for each in found if each.endswith(".part")]
        return [each.removesuffix(".sql.gz") for each in found if each.endswith(".sql.gz")]


def _load(host: DockerHost) -> None:
    if "database-test" in host.root("docker", "images", "--format", "{{.Repository}}"):
        return
    build = [MACHINE / "docker-build.sh", "-q", "-t", IMAGE, MACHINE / "database"]
    subprocess.run(list(map(str, build)), check=True, capture_output=True)
    with subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as saved:
        load = ["docker", "exec", "-i", host.container, "docker", "load"]
        subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
    host.root("docker", "tag", IMAGE, NAMED)


@pytest.fixture
def shop(app: App) -> Iterator[Shop]:
    """One that runs good1, with data, and has a newer commit."""
    _load(app.hosts[0])
    made = Shop(app)
    made.sql("create table users (name text); insert into users values ('Ann'), ('Bob');")
    app.checkout.commit("Next")
    yield made
    network = f"sleep 0; docker network rm {app.name}_default"
    script = f"docker rm -fv $(docker ps -aq --filter name={app.name}-); {network}"
    app.hosts[0].root("sh", "-c", script, check=False)


def test_database_is_dumped_on_the_host_before_a_migration_and_can_be_brought_back(
    shop: Shop,
) -> None:
    """Only where migrations are pending; what they have added goes, the app is stopped for that
    time only, and what was there before the restore is kept too."""
    app, host = shop.app, shop.host
    planned = app.run("plan", tag="good2", **MIGRATING)
    assert planned.code == 0, planned.output
    assert "back up db to" in planned.output
    assert shop.kept() == []
    done = app.deploy("good2", **MIGRATING)
    assert done.code == 0, done.output
    app.runs("good2")
    [name] = shop.kept()
    assert f"{name}: 1 tables" in done.output
    folder = f"{app.folder}/.ci-deploy/backups/{app.name}"
    modes = host.root("stat", "-c", "%a", folder, f"{folder}/{name}.sql.gz").split()
    assert modes == ["700", "600"]
    assert not [*app.checkout.path.glob("deploy-backup*")], "not into CI's artifacts"
    app.checkout.commit("Without a migration")
    assert app.deploy("good2", **MIGRATING).code == 0
    assert shop.kept() == [name]

    shop.sql("drop table users; create table orders (id int); create database another;")
    [database] = app.containers(0, "db")
    listed = app.run("backups")
    assert listed.code == 0, listed.errors
    assert listed.output.startswith(f"{name}  ")
    shown = app.run("restore", name)
    assert shown.code == 0, shown.output
    assert shop.sql("select count(*) from orders") == "0", "without --yes nothing is done"
    done = app.run("restore", name, "--yes")
    assert done.code == 0, done.output
    assert shop.sql("select string_agg(name, ' ') from users") == "Ann Bob"
    assert shop.sql("select to_regclass('orders') is null") == "t"
    started = app.containers(0, "db")[0]["State"]["StartedAt"]
    assert started == database["State"]["StartedAt"], "it was not stopped"
    assert versions(app.containers(0, "app")) == ["good2"]
    assert app.run("status").code == 0
    assert PASSWORD not in done.output
    [later] = set(shop.kept()) - {name}
    done = app.run("restore", later, "--yes")
    assert done.code == 0, done.output
    assert shop.sql("select count(*) from orders") == "0"
    assert app.run("restore", "no-such", "--yes").code == 14


def test_dump_that_is_empty_or_fails_stops_the_deploy_before_the_migration(shop: Shop) -> None:
    """One that cannot be made, one of the wrong database, one that is cut off."""
    app, host = shop.app, shop.host
    done = app.deploy("good2", **MIGRATING, BACKUP_SERVICE="other")
    assert done.code == 2, done.output
    assert "BACKUP_SERVICE" in done.output
    at = f"{app.name}-app-1"
    for trouble, settings, words in (
        ("", {"BACKUP_SERVICE": "app"}, "the dump of app failed"),
        ("drop table users", {}, "the dump of db is empty"),
        ("create table users (name text)", {}, "is not whole"),
    ):
        if trouble:
            shop.sql(trouble)
        if "whole" in words:
            cut = "/usr/bin/docker exec \"$2\" sh -c 'pg_dump -U owner shop' | head -n 5; exit 0"
            host.fault(f'case "$*" in exec*pg_dump*--create*) {cut};; esac')
        done = app.deploy("good2", **MIGRATING, **settings)
        assert done.code == 20, done.output
        assert words in " ".join(done.output.split())
        assert "nothing was migrated" in done.report["message"]
        app.runs("good1")
        assert host.root("docker", "exec", at, "cat", "/data/at").strip() == "good1"
        assert shop.kept() == []
    host.fault("")
    assert app.deploy("good2", **MIGRATING).code == 0
    app.runs("good2")


@pytest.mark.parametrize("by", ["deploy", "restore"])
def test_restore_that_was_killed_is_finished_by_the_next_run(shop: Shop, by: str) -> None:
    """The app does not run on half of the data, and what was stopped starts again."""
    app, host = shop.app, shop.host
    assert app.deploy("good2", **MIGRATING).code == 0
    [name] = shop.kept()
    shop.sql("insert into users values ('Eve')")
    host.hold('exec" -i"*')
    running = app.start_command("restore", name, "--yes", tag="good2")
    host.held()
    running.signal(signal.SIGKILL)
    host.kill_runs("[r]unner-[0-9a-f]*.sh restore")
    running.done()
    host.release()
    assert versions(app.containers(0, "app")) == []
    shown = app.run("status", tag="good2")
    assert f"the-restore-of-{name} was left unfinished" in shown.output
    words = ("restore", name, "--yes")
    done = app.run(*words, tag="good2") if by == "restore" else app.deploy("good2", **MIGRATING)
    assert done.code == 0, done.output
    app.runs("good2")
    assert shop.sql("select string_agg(name, ' ') from users") == "Ann Bob"
