"""As whom databases are dumped: by the variables that their images have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ci_deploy.layers.providers.docker.backups import DATABASES

CASES = [
    ("POSTGRES", {}, "postgres:"),
    ("POSTGRES", {"POSTGRES_USER": "owner", "POSTGRES_PASSWORD": "a b$c"}, "owner:a b$c"),
    ("POSTGRES", {"POSTGRES_PASSWORD_FILE": "FILE"}, "postgres:from a file"),
    # Bitnami's: the user `postgres`, with a password of its own; only that of the app's own user
    ("POSTGRES", {"POSTGRESQL_PASSWORD": "p"}, "postgres:p"),
    (
        "POSTGRES",
        {"POSTGRESQL_USERNAME": "shop", "POSTGRESQL_PASSWORD_FILE": "FILE"},
        "shop:from a file",
    ),
    (
        "POSTGRES",
        {
            "POSTGRESQL_USERNAME": "shop",
            "POSTGRESQL_PASSWORD": "p",
            "POSTGRESQL_POSTGRES_PASSWORD": "root",
        },
        "postgres:root",
    ),
    ("MYSQL", {"MYSQL_ROOT_PASSWORD": "r", "MYSQL_USER": "u"}, "root:r"),
    ("MYSQL", {"MARIADB_ROOT_PASSWORD_FILE": "FILE"}, "root:from a file"),
    ("MYSQL", {"MYSQL_RANDOM_ROOT_PASSWORD": "1", "MYSQL_USER": "u", "MYSQL_PASSWORD": "p"}, "u:p"),
    ("MYSQL", {"MARIADB_USER": "u", "MARIADB_PASSWORD_FILE": "FILE"}, "u:from a file"),
    ("MYSQL", {"MYSQL_ALLOW_EMPTY_PASSWORD": "yes"}, "root:"),
    ("MYSQL", {"ALLOW_EMPTY_PASSWORD": "yes"}, "root:"),
]


@pytest.mark.parametrize(("kind", "environ", "who"), CASES)
def test_database_is_dumped_as_the_user_that_its_image_has(
    tmp_path: Path, kind: str, environ: dict[str, str], who: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    password = {"POSTGRES": "PGPASSWORD", "MYSQL": "MYSQL_PWD"}[kind]
    text = f'. "{DATABASES}"; eval "${kind}"; printf %s "$user:${password}"'
    env = {"PATH": "/usr/bin:/bin"}
    env |= {k: str(secret) if value == "FILE" else value for k, value in environ.items()}
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True, env=env)
    assert (done.stdout, done.stderr) == (who, "")


@pytest.mark.parametrize("extension", ["", "1"])
def test_database_that_could_not_be_restored_so_is_not_dumped(
    tmp_path: Path, extension: str
) -> None:
    """A plain restore of TimescaleDB fails half-way (timescaledb#1760)."""
    answers = f'case "$*" in *pg_extension*) echo {extension} ;; *) echo shop ;; esac'
    for name, text in {"psql": answers, "pg_dump": "echo data"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    argv = ["sh", "-c", f'. "{DATABASES}"; exec sh -c "$DUMP_POSTGRES"']
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if extension:
        assert (done.returncode, done.stdout) == (3, "")
        assert "shop has TimescaleDB" in done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "data\n", "")


def test_what_a_killed_dump_has_left_goes_with_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "backups/shop"
    folder.mkdir(parents=True)
    (folder / "killed.gz.part").touch()
    (folder / "kept.sql.gz").touch()
    text = f'. "{DATABASES}"; dump_whole() {{ :; }}; base={tmp_path} app=shop; dump db postgres new'
    subprocess.run(["sh", "-c", text], check=True)
    assert [each.name for each in folder.iterdir()] == ["kept.sql.gz"]
