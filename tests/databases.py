"""A real database beside an app, on Docker hosts and in swarms: dumped, and brought back."""

from __future__ import annotations

import random
import signal
import sys
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import pytest

from standins.dockerhosts import DockerHost
from standins.support import Done, Run

RAILS = """#!/bin/sh
echo "$VERSION rails $*"
case "$*" in
*db:migrate*) echo "$VERSION" >/data/at ;;
*) [ "$(cat /data/at 2>/dev/null)" = "$VERSION" ] ;;
esac
"""
SECRET = "d4tabase pa$$'word"


class Engine(NamedTuple):
    """A kind of database."""

    name: str  # of its image
    folder: str  # of tests/machine, where the image is made
    service: str  # what the compose file says of it
    top: str
    client: tuple[str, ...]
    users: str  # a question: the names of all users
    orders: str  # another: whether there is a table of orders
    absent: str  # the answer when there is none

    @property
    def image(self) -> str:
        """As it is built."""
        return f"ci-deploy-test/{self.folder}"


POSTGRES = Engine(
    "postgres",
    "database",
    f"""
    environment: {{POSTGRES_DB: shop, POSTGRES_USER: owner, POSTGRES_PASSWORD: "{SECRET}"}}
    healthcheck: {{test: ["CMD", "pg_isready", "-qU", "owner"], interval: 600ms, retries: 50}}
    volumes: ["db:/var/lib/postgresql/data"]
""",
    "",
    ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "owner", "-d", "shop"),
    "select string_agg(name, ' ') from users",
    "select to_regclass('orders') is null",
    "t",
)
# Its password is a secret of the swarm, as its image allows.
MARIADB = Engine(
    "mariadb",
    "mariadb",
    """
    environment: {MARIADB_DATABASE: shop, MARIADB_ROOT_PASSWORD_FILE: /run/secrets/root}
    healthcheck: {test: test -S /run/mysqld/mysqld.sock, interval: 600ms, retries: 50}
    volumes: ["db:/var/lib/mysql"]
    secrets: [root]
""",
    "secrets: {root: {file: ./root}}\n",
    ("sh", "-c", "MYSQL_PWD=$(cat /run/secrets/root) exec mariadb -u root -NB shop"),
    "select group_concat(name separator ' ') from users",
    "select count(*) from information_schema.tables where table_name = 'orders'",
    "0",
)
MIGRATING = {
    "DEPLOY_APPLICATION": "rails",
    "AUTO_MIGRATE_ON_DEPLOY": "true",
    "BACKUP_BEFORE_MIGRATE": "true",
}


class Deployed(Protocol):
    """An app of the tests, on Docker hosts or in a swarm."""

    def deploy(self, tag: str = "good1", **more: str) -> Done: ...

    def run(self, *words: str, **more: str) -> Done: ...

    def start_command(self, *words: str, **more: str) -> Run: ...


class Shop(ABC):
    """An app that runs good1 with a database, which is on `host`, and has a newer commit."""

    engine = POSTGRES

    def __init__(self, app: Deployed, host: DockerHost) -> None:
        self.deployed, self.host = app, host

    @abstractmethod
    def container(self) -> str:
        """The database's."""

    @abstractmethod
    def folder(self) -> str:
        """Where the dumps are on the host."""

    @abstractmethod
    def running(self) -> list[str]:
        """The tags of the app's containers that run."""

    def runs(self, tag: str) -> None:
        """This runs, and nothing else."""
        assert self.running() == [tag]

    def fill(self) -> None:
        """Two users."""
        self.sql("create table users (name text); insert into users values ('Ann'), ('Bob');")

    def untouched(self) -> None:
        """good1 runs, and nothing was migrated or kept."""
        self.runs("good1")
        assert self.kept() == []

    def sql(self, text: str) -> str:
        """What the database says."""
        words = ["exec", "-i", self.container(), *self.engine.client]
        return self.host.root("docker", *words, stdin=text).strip()

    def kept(self) -> list[str]:
        """Names of the dumps on the host."""
        found = self.host.root("sh", "-c", f"ls {self.folder()} 2>/dev/null || true").split()
        assert not [each for each in found if each.endswith(".part")]
        return [each.removesuffix(".sql.gz") for each in found if each.endswith(".sql.gz")]

    # --- what both have to do ---

    def is_dumped_before_a_migration(self) -> str:
        """The name of the dump."""
        planned = self.deployed.run("plan", tag="good2", **MIGRATING)
        assert planned.code == 0, planned.output
        assert "back up db to" in planned.output
        assert self.kept() == []
        done = self.deployed.deploy("good2", **MIGRATING)
        assert done.code == 0, done.output
        self.runs("good2")
        [name] = self.kept()
        assert f"{name}: 1 tables" in done.output
        assert done.report["backups"] == [name]
        assert f"backup before the migrations: {name}" in done.output
        folder = self.folder()
        modes = self.host.root("stat", "-c", "%a", folder, f"{folder}/{name}.sql.gz").split()
        assert modes == ["700", "600"]
        return name

    def is_brought_back(self, name: str) -> str:
        """What a migration has added goes, too; the line of the list."""
        self.sql("drop table users; create table orders (id int); create database another;")
        listed = self.deployed.run("backups")
        assert listed.code == 0, listed.errors
        assert listed.output.startswith(f"{name}  ")
        shown = self.deployed.run("restore", name)
        assert shown.code == 0, shown.output
        assert self.sql("select count(*) from orders") == "0", "without --yes nothing is done"
        done = self.deployed.run("restore", name, "--yes")
        assert done.code == 0, done.output
        assert self.sql(self.engine.users) == "Ann Bob"
        assert self.sql(self.engine.orders) == self.engine.absent
        self.runs("good2")
        assert self.deployed.run("status").code == 0
        assert SECRET not in done.output
        assert self.deployed.run("restore", "no-such", "--yes").code == 14
        return listed.output

    def is_not_migrated_without_a_good_dump(self) -> None:
        """One that cannot be made, one of the wrong database, one that is cut off."""
        done = self.deployed.deploy("good2", **MIGRATING, BACKUP_SERVICE="other")
        assert done.code == 2, done.output
        assert "BACKUP_SERVICE" in done.output
        for trouble, settings, words in (
            ("", {"BACKUP_SERVICE": "app"}, "the dump of app failed"),
            ("drop table users", {}, "the dump of db contains no table"),
            ("create table users (name text)", {}, "is incomplete"),
        ):
            if trouble:
                self.sql(trouble)
            if trouble.startswith("create"):
                cut = "/usr/bin/docker exec \"$2\" sh -c 'pg_dump -U owner shop' | head -n 5"
                self.host.fault(f'case "$*" in exec*pg_dump*--create*) {cut}; exit 0;; esac')
            done = self.deployed.deploy("good2", **MIGRATING, **settings)
            assert done.code == 20, done.output
            assert words in done.report["message"], done.report
            assert "nothing was migrated" in done.report["message"]
            self.untouched()
        self.host.fault("")
        assert self.deployed.deploy("good2", **MIGRATING).code == 0
        self.runs("good2")

    def is_restored_after_a_kill(self, by: str, program: str) -> None:
        """By the next deploy or restore. `program`: what to kill on the host, too."""
        assert self.deployed.deploy("good2", **MIGRATING).code == 0
        [name] = self.kept()
        self.sql("insert into users values ('Eve')")
        self.host.hold('exec" -i"*')
        running = self.deployed.start_command("restore", name, "--yes", tag="good2")
        self.host.held()
        running.signal(signal.SIGKILL)
        self.host.kill_runs(program)
        running.done()
        self.host.release()
        assert self.running() == []
        shown = self.deployed.run("status", tag="good2")
        assert f"unfinished  finish the restore of {name}" in shown.output
        planned = " ".join(self.deployed.run("plan", tag="good2").output.split())
        assert f"finish the restore of {name}" in planned
        if by == "restore":
            done = self.deployed.run("restore", name, "--yes", tag="good2")
        else:
            done = self.deployed.deploy("good2", **MIGRATING)
        assert done.code == 0, done.output
        self.runs("good2")
        assert self.sql(self.engine.users) == "Ann Bob"

    def survives(self, command: str, count: int, program: str, choose: random.Random) -> None:
        """So many kills at random moments of `restore`, or of a `deploy` that dumps and migrates:
        of the job, or of what it has started on the host too. The next one heals each."""
        whole, left, longest = self.deployed.deploy("good2", **MIGRATING), 0, 0.0
        assert whole.code == 0, whole.output
        [name] = self.kept()
        if command == "restore":
            whole = self.deployed.run("restore", name, "--yes", tag="good2")
        for number in range(count):
            tag = "good3" if command == "deploy" and number % 2 == 0 else "good2"
            words, settings = ["deploy"], {"tag": tag, **MIGRATING}
            if command == "restore":
                self.sql(f"insert into users values ('Eve {number}')")
                words, settings = ["restore", name, "--yes"], {"tag": tag}
            running = self.deployed.start_command(*words, **settings)
            self.host.strike(running, whole.seconds, choose, program)
            left += self.running() == []
            done = self.deployed.start_command(*words, **settings).done(timeout=300)
            assert done.code == 0, done.output
            longest = max(longest, done.seconds)
            self.runs(tag)
            assert self.sql(self.engine.users) == "Ann Bob"
            assert name in self.kept() or command == "deploy"
        healed = f"all healed, in {longest:.0f} s at the most (one alone: {whole.seconds:.0f} s)"
        print(f"{count} kills of {command}: {left} left it stopped; {healed}", file=sys.stderr)


KILLED = [pytest.param(each, 30, marks=pytest.mark.soak) for each in ("restore", "deploy")]
