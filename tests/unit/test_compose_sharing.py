"""What the compose file of a branch must not share with other projects on its host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts
from ci_deploy.layers.providers.compose.review import described
from ci_deploy.layers.providers.docker.sharing import Beside, problems

PROJECT, TOP = "shop-login", "/srv/shop"
PATH = f"{TOP}/.ci-deploy/reviews/{PROJECT}"
BASE_DB = "other shop-db-1|shop|postgres:16|shop_default,proxy|5432/tcp|shop_db"
PROXY = "other traefik|edge|traefik:v3|proxy|0.0.0.0:80->80/tcp|/var/run/docker.sock"
DATA = "other shop-app-1|shop|acme/app|shop_default||/mnt/uploads,/etc/localtime"
ROUTES = "route shop|traefik.http.routers.web\nroute shop|caddy=www.example.com"
OWN_ROUTE = f"route {PROJECT}|traefik.http.routers.web"


def _problems(
    service: dict[str, Any], volumes: Any = None, networks: Any = None, host: str = ""
) -> list[str]:
    model = {
        "name": PROJECT,
        "services": {"web": {"image": "acme/app:1", **service}},
        "volumes": volumes or {},
        "networks": networks or {"default": {"name": f"{PROJECT}_default"}},
    }
    facts = read_facts(f"path {PATH}\ntop {TOP}\n{host}\nmodel\n{json.dumps(model)}")
    return _found(facts)


def _found(facts: HostFacts) -> list[str]:
    beside = Beside(facts.path, facts.top, facts.others, facts.routes)
    return [str(each) for each in problems(described(facts), PROJECT, beside)]


def _bind(source: str, **more: Any) -> dict[str, Any]:
    return {"volumes": [{"type": "bind", "source": source, "target": "/x", **more}]}


EXTERNAL = {"proxy": {"name": "proxy", "external": True}}


@pytest.mark.parametrize(
    ("service", "more", "words"),
    [
        ({"ports": [{"target": 80, "published": "8080"}]}, {}, "publishes the port 8080"),
        ({"network_mode": "host"}, {}, "uses the host's network"),
        ({"container_name": "shop-web"}, {}, "`container_name` shop-web"),
        ({"network_mode": "container:shop-db-1"}, {}, "uses `container:shop-db-1`"),
        ({"external_links": ["shop-db-1:db"]}, {}, "uses `shop-db-1:db`"),
        ({"volumes_from": ["container:shop-app-1"]}, {}, "uses `container:shop-app-1`"),
        (_bind(f"{TOP}/data"), {}, "in or above the base app"),
        (_bind(f"{TOP}/data/../data", read_only=True), {}, "in or above the base app"),
        (_bind("/"), {}, "in or above the base app"),
        (_bind("/mnt/uploads/shop"), {"host": DATA}, "containers of other projects mount too"),
        ({}, {"volumes": {"db": {"name": "x", "external": True}}}, "the volume `x` is external"),
        ({}, {"volumes": {"db": {"name": "shop_db"}}}, "has the `name` shop_db"),
        (
            {},
            {"volumes": {"db": {"driver_opts": {"type": "nfs", "device": ":/export/db"}}}},
            "the volume db is the host's :/export/db",
        ),
        (
            {},
            {"networks": {"a": {"name": "host", "external": True}}},
            "the network a is the host's network. Let its services use a network of the project",
        ),
        ({}, {"networks": {"default": {"name": "shop_default"}}}, "has the `name` shop_default"),
        (
            {},
            {"networks": {"a": {"name": PROJECT, "ipam": {"config": [{"subnet": "10.1.0.0/24"}]}}}},
            "the subnet 10.1.0.0/24",
        ),
        ({}, {"networks": EXTERNAL, "host": BASE_DB}, "the database shop-db-1 is on"),
        (
            {"image": "postgis/postgis:17", "networks": {"proxy": None}},
            {"networks": EXTERNAL},
            "web is a database on the external network",
        ),
        (
            {"labels": {"traefik.http.routers.web.rule": "Host(`a`)"}},
            {"host": ROUTES},
            "`traefik.http.routers.web.rule` of web belongs to another project too",
        ),
        (
            {"labels": {"caddy": "www.example.com"}},
            {"host": ROUTES},
            "`caddy` of web belongs to another project too",
        ),
    ],
)
def test_what_is_shared_is_named(service: Any, more: Any, words: str) -> None:
    found = _problems(service, **more)
    assert len(found) == 1, found
    assert words in found[0]
    assert "COMPOSE_FILE" in found[0]


@pytest.mark.parametrize(
    ("service", "more"),
    [
        ({"ports": [{"target": 80}, {"target": 81, "published": "8000-8100"}]}, {}),
        ({"container_name": f"{PROJECT}-web"}, {}),
        (_bind(f"{PATH}/data"), {}),
        (_bind("/etc/localtime", read_only=True), {"host": DATA}),
        (_bind("/var/run/docker.sock"), {"host": PROXY}),
        (_bind("/srv/shopping"), {}),
        ({}, {"volumes": {"db": {"name": f"{PROJECT}_db"}, "t": {"driver_opts": {
            "type": "tmpfs", "device": "tmpfs"}}}}),
        ({"networks": {"proxy": None}}, {"networks": EXTERNAL, "host": PROXY}),
        ({}, {"networks": EXTERNAL, "host": "other pgadmin|x|dpage/pgadmin4|proxy|80/tcp|"}),
        ({}, {"networks": EXTERNAL, "host": f"other own|{PROJECT}|postgres|proxy|5432/tcp|"}),
        ({"labels": {"traefik.http.routers.web.rule": "Host(`a`)"}}, {"host": OWN_ROUTE}),
        ({"labels": {"caddy": "login.example.com", "caddy.tls": "x"}}, {"host": ROUTES}),
    ],
)  # fmt: skip
def test_what_is_its_own_is_fine(service: Any, more: Any) -> None:
    assert _problems(service, **more) == []


def test_service_for_commands_in_a_profile_counts_too() -> None:
    model = {"name": PROJECT, "services": {"web": {"image": "a"}}}
    more = {"services": {**model["services"], "task": {"image": "a", **_bind(TOP)}}}  # type: ignore[dict-item]
    text = f"path {PATH}\ntop {TOP}\n\nmodel\n{json.dumps(model)}\nall\n{json.dumps(more)}"
    [found] = _found(read_facts(text))
    assert "task mounts" in found
