"""Databases of stacks: a real Postgres, dumped before migrations on its node and brought back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.compose.test_backups import IMAGE, MIGRATING, RAILS
from tests.docker import MACHINE
from tests.dockerhosts import PASSWORD, USER, DockerHost, Registry
from tests.swarm.app import App

SECRET = "d4tabase pa$$'word"
MORE = """
    configs: [{source: rails, target: /bin/rails, mode: 0755}]
    volumes: ["data:/data"]
  db:
    image: DATABASE
    environment: {POSTGRES_DB: shop, POSTGRES_USER: owner, POSTGRES_PASSWORD: "SECRET"}
    healthcheck: {test: ["CMD", "pg_isready", "-q", "-U", "owner"], interval: 600ms, retries: 50}
    volumes: ["db:/var/lib/postgresql/data"]
    deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.role == ROLE]}}
volumes: {data: , db: }
configs: {rails: {file: ./rails}}
"""


def _push(host: DockerHost, registry: Registry) -> str:
    """The image of the database, in the registry."""
    name = f"{registry.address}/postgres:17"
    if name in host.root("docker", "images", "--format", "{{.Repository}}:{{.Tag}}"):
        return name
    build = [MACHINE / "docker-build.sh", "-q", "-t", IMAGE, MACHINE / "database"]
    subprocess.run(list(map(str, build)), check=True, capture_output=True)
    with subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as saved:
        load = ["docker", "exec", "-i", host.container, "docker", "load"]
        subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
    login = f"docker login -u {USER} --password-stdin {registry.address}"
    push = f"docker tag {IMAGE} {name} && docker push -q {name}"
    script = f"export DOCKER_CONFIG=/tmp/pushing; {login} && {push}; rm -rf /tmp/pushing"
    host.root("sh", "-c", script, stdin=PASSWORD)
    return name


class Shop:
    """An app with a database, which runs on `host`."""

    def __init__(self, app: App, host: DockerHost, role: str = "manager", **more: str) -> None:
        self.app, self.host = app, host
        image = _push(app.hosts[0], app.registry)
        text = app.file().rstrip() + MORE.replace("DATABASE", image).replace("ROLE", role)
        files = {"rails": RAILS, "Gemfile.lock": "GEM\n  specs:\n    rails (8.0.0)\n"}
        app.checkout.commit("Rails", files)
        app.write(text.replace("SECRET", SECRET))
        done = app.deploy("good1", **MIGRATING, **more)
        assert done.code == 0, done.output
        self.sql("create table users (name text); insert into users values ('Ann'), ('Bob');")
        app.checkout.commit("Next")

    def sql(self, text: str) -> str:
        """What the database says."""
        names = f"name={self.app.name}_db."
        [container] = self.host.root("docker", "ps", "-q", "--filter", names).split()
        words = ["exec", "-i", container, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
        return self.host.root("docker", *words, "-U", "owner", "-d", "shop", stdin=text).strip()

    def kept(self) -> list[str]:
        """Names of the dumps on its node."""
        folder = f".ci-deploy/backups/{self.app.name}"
        found = self.host.sh(f"ls {folder} 2>/dev/null || true").split()
        assert not [each for each in found if each.endswith(".part")]
        return [each.removesuffix(".sql.gz") for each in found if each.endswith(".sql.gz")]


@pytest.fixture
def shop(app: App) -> Iterator[Shop]:
    """One that runs good1, with data, and has a newer commit."""
    yield Shop(app, app.hosts[0])
    _clear(app)


def _clear(app: App) -> None:
    app.docker("stack", "rm", app.name, check=False)
    volumes = f"docker volume ls -q | grep '^{app.name}_'"
    again = "for n in 1 2 3 4 5 6 7 8 9; do"
    script = f'{again} v=$({volumes}); [ -n "$v" ] || break; docker volume rm $v; sleep 1; done'
    for host in app.hosts:
        host.root("sh", "-c", script, check=False)
        host.sh(f"rm -rf .ci-deploy/backups/{app.name}")


def test_database_is_dumped_before_a_migration_and_can_be_brought_back(shop: Shop) -> None:
    """Only where migrations are pending; what they have added goes, the app is stopped for that
    time only, and what was there before the restore is kept too."""
    app, host = shop.app, shop.host
    planned = app.run("plan", DEPLOY_TAG="good2", **MIGRATING)
    assert planned.code == 0, planned.output
    assert "back up db to" in planned.output
    assert shop.kept() == []
    done = app.deploy("good2", **MIGRATING)
    assert done.code == 0, done.output
    assert app.tags() == ["good2"]
    [name] = shop.kept()
    assert f"{name}: 1 tables" in done.output
    folder = f"/home/deploy/.ci-deploy/backups/{app.name}"
    modes = host.root("stat", "-c", "%a", folder, f"{folder}/{name}.sql.gz").split()
    assert modes == ["700", "600"]

    shop.sql("drop table users; create table orders (id int); create database another;")
    listed = app.run("backups")
    assert listed.code == 0, listed.errors
    assert listed.output.startswith(f"{name}  ")
    assert "good1-" in listed.output
    shown = app.run("restore", name)
    assert shown.code == 0, shown.output
    assert shop.sql("select count(*) from orders") == "0", "without --yes nothing is done"
    done = app.run("restore", name, "--yes")
    assert done.code == 0, done.output
    assert shop.sql("select string_agg(name, ' ') from users") == "Ann Bob"
    assert shop.sql("select to_regclass('orders') is null") == "t"
    assert app.tags() == ["good2"]
    assert app.run("status").code == 0
    assert SECRET not in done.output
    assert len(set(shop.kept()) - {name}) == 1
    assert not [each for each in app.kept() if "restoring" in each]
    assert app.run("restore", "no-such", "--yes").code == 14


def test_dump_that_is_empty_or_fails_stops_the_deploy_before_the_migration(shop: Shop) -> None:
    """One that cannot be made, one of the wrong database, one that is cut off."""
    app, host = shop.app, shop.host
    done = app.deploy("good2", **MIGRATING, BACKUP_SERVICE="other")
    assert done.code == 2, done.output
    assert "BACKUP_SERVICE" in done.output
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
        assert app.tags() == ["good1"]
        assert shop.kept() == []
    host.fault("")
    assert app.deploy("good2", **MIGRATING).code == 0
    assert app.tags() == ["good2"]


@pytest.mark.parametrize("by", ["deploy", "restore"])
def test_restore_that_was_killed_is_finished_by_the_next_run(shop: Shop, by: str) -> None:
    """The app does not run on half of the data, and what was stopped starts again."""
    app, host = shop.app, shop.host
    assert app.deploy("good2", **MIGRATING).code == 0
    [name] = shop.kept()
    shop.sql("insert into users values ('Eve')")
    host.hold('exec" -i"*')
    running = app.start_command("restore", name, "--yes", DEPLOY_TAG="good2")
    host.held()
    running.signal(signal.SIGKILL)
    running.done()
    host.kill_runs("ci-deploy [^ ]* [^ ]* - restore")
    host.release()
    assert app.tags() == []
    shown = app.run("status", DEPLOY_TAG="good2")
    assert f"the restore of {name} was left unfinished" in shown.output
    if by == "restore":
        done = app.run("restore", name, "--yes", DEPLOY_TAG="good2")
    else:
        done = app.deploy("good2", **MIGRATING)
    assert done.code == 0, done.output
    assert app.tags() == ["good2"]
    assert shop.sql("select string_agg(name, ' ') from users") == "Ann Bob"


def test_database_on_another_node_is_dumped_there_or_the_node_is_named(
    app: App, worker: DockerHost
) -> None:
    """With the programs of its own container, on the node that has it; where SERVER_HOST does not
    name that, it is refused before anything."""
    both = {"SERVER_HOST": f"{app.hosts[0].address} {worker.address}"}
    shop = Shop(app, worker, "worker")
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
        assert shop.sql("select string_agg(name, ' ') from users") == "Ann Bob"
    finally:
        _clear(app)
