"""Which services of an app on Docker hosts are databases that can be dumped."""

from __future__ import annotations

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.backups import images
from ci_deploy.layers.providers.compose.facts import HostFacts, Image
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.docker import backups
from ci_deploy.net.ssh.server import server


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("postgres:17", "postgres"),
        ("docker.io/library/postgres:17-alpine@sha256:0123", "postgres"),
        ("bitnami/postgresql:16", "postgres"),
        ("postgis/postgis:17-3.5", "postgres"),
        ("timescale/timescaledb-ha:pg16", "postgres"),
        ("registry.example.com:5000/acme/pgvector:1", "postgres"),
        ("mysql:8.4", "mysql"),
        ("lscr.io/linuxserver/mariadb", "mysql"),
        ("percona/percona-server:8.0", "mysql"),
        ("phpmyadmin/phpmyadmin", ""),
        ("dpage/pgadmin4", ""),
        ("postgrest/postgrest:v12", ""),
        ("prometheuscommunity/postgres-exporter", ""),
        ("edoburu/pgbouncer", ""),
        ("prodrigestivill/postgres-backup-local", ""),
        ("redis:7", ""),
        ("acme/shop:1", ""),
    ],
)
def test_image_says_what_can_dump_it(image: str, kind: str) -> None:
    assert backups.kind(image) == kind


def _images(**given: str) -> dict[str, str]:
    found = [Image(service, image, 1, "sha256:0") for service, image in given.items()]
    return images(Host(server("deploy@a.example.com"), HostFacts(images=found)))


def test_all_databases_that_run_or_the_one_that_is_named() -> None:
    found = _images(app="acme/shop:1", db="postgres:17", old="mariadb:11", own="acme/db:2")
    assert backups.servers(found, "") == [("db", "postgres"), ("old", "mysql")]
    assert backups.servers(found, "own") == [("own", "unknown")]


def test_dumps_that_were_made_are_known_by_their_names() -> None:
    lines = [
        "20261129T164200Z-db: 12 tables, 4711 bytes, 1 s",
        "a.example.com: 20261129T164201Z-shop.db: 0 tables, 3 bytes, 0 s",
        "the dump of 20261129T164200Z-db failed (exit code 1): no",
    ]
    assert backups.made(lines) == ["20261129T164200Z-db", "20261129T164201Z-shop.db"]


@pytest.mark.parametrize(("wanted", "words"), [("", "no service has an image"), ("nope", "nope")])
def test_none_is_an_error_of_the_settings(wanted: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as found:
        backups.servers(_images(app="acme/shop:1"), wanted)
    assert "BACKUP_SERVICE" in str(found.value)
