"""Review apps in a swarm: whose they are, and what they must not share with other stacks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ci_deploy.layers.providers.swarm.review import exists, labelled, marked, neighbours
from ci_deploy.layers.providers.swarm.state import Kept, Service, Stack, read_stack

NAME = "shop-login"


def _service(name: str = "web", image: str = "acme/shop:1", **spec: Any) -> Service:
    template = {"ContainerSpec": {"Image": image}}
    return Service(
        name, name, {"TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 2}}, **spec}
    )


def _config(stack: str, kind: str, at: str, **labels: str) -> str:
    keys = "stack kind release revision tag at run action outcome pipeline actor uses images"
    keys += " note client review branch app"
    known = {"stack": stack, "kind": kind, "at": at, **labels}
    found = [known.get(key, "") for key in keys.split()]
    return "\t".join(["config", f"ci-deploy.{stack}.{kind}{at[-3:]}", *found])


DEPLOYED = 1_795_132_800
MARKED = _config(NAME, "review", "2026-11-01T00:00:00Z", review="shop", branch="login", app=NAME)
RECORD = _config(NAME, "record", "2026-11-20T00:00:00Z", release="1-a")


def test_review_apps_of_the_swarm_with_the_time_of_their_last_deploy() -> None:
    """The engine's times of its records say it, whatever the clocks of runners did; those of other
    stacks are not taken for this one's."""
    lines = [
        "now 1795132860",
        f"index 7 {DEPLOYED - 9} ci-deploy.{NAME}.review00Z",
        f"index 8 {DEPLOYED} ci-deploy.{NAME}.record00Z",
        f"index 9 {DEPLOYED + 30} ci-deploy.other.record00Z",
        MARKED, RECORD, _config("other", "record", "2026-11-30T00:00:00Z"),
    ]  # fmt: skip
    stack = read_stack("shop", lines)
    [found] = stack.reviews
    assert found == (NAME, 60, "shop", "login")
    assert stack.kept == []
    assert len(read_stack(NAME, [MARKED, RECORD]).kept) == 2


def test_review_app_whose_time_the_engine_does_not_tell_is_not_old() -> None:
    lines = ["now 1795132860", MARKED, RECORD]
    assert [each.age for each in read_stack("shop", lines).reviews] == [0]


@pytest.mark.parametrize(
    ("kept", "labels", "ours"),
    [
        ([Kept("m", {"kind": "review", "review": "shop"})], {}, True),
        (
            [Kept("m", {"kind": "review", "review": "blog"})],
            {"com.ci-deploy.review": "shop"},
            False,
        ),
        ([], {"com.ci-deploy.review": "shop"}, True),
        ([Kept("r", {"kind": "record"})], {}, False),
    ],
)
def test_mark_says_whose_review_app_it_is(kept: Any, labels: Any, ours: bool) -> None:
    stack = Stack(NAME, kept=kept, services={"web": _service(Labels=labels)})
    assert exists(stack)
    assert marked(stack, "shop") is ours


def test_network_alone_is_something_and_is_not_ours() -> None:
    """What somebody else has made under that name."""
    lines = [f"network {NAME}_default {NAME}", "network proxy ", "network shop_default shop"]
    stack = read_stack(NAME, lines)
    assert stack.there["network"] == {f"{NAME}_default", "proxy", "shop_default"}
    assert exists(stack)
    assert not marked(stack, "shop")
    assert not exists(read_stack("blog", lines))


def test_all_that_the_engine_makes_has_the_mark() -> None:
    data = {
        "services": {"web": {"image": "a", "deploy": {"labels": {"x": "y"}}}, "db": {"image": "b"}},
        "networks": {"default": {}, "proxy": {"external": True}},
        "volumes": {"db": {"labels": {"x": "y"}}},
    }
    mark = {"com.ci-deploy.review": "shop"}
    found = labelled(data, "shop")
    assert found["services"]["web"]["deploy"]["labels"] == {"x": "y", **mark}
    assert found["services"]["db"]["deploy"]["labels"] == mark
    assert found["networks"] == {"default": {"labels": mark}, "proxy": {"external": True}}
    assert found["volumes"] == {"db": {"labels": {"x": "y", **mark}}}


def test_neighbours_are_services_with_their_networks_and_secrets_and_containers() -> None:
    spec = {
        "Name": "shop_db",
        "Labels": {"com.docker.stack.namespace": "shop", "traefik.http.routers.shop.rule": "x"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "postgres:17@sha256:0", "Labels": {"caddy": "a.example.com"},
                "Mounts": [{"Source": "/srv"}], "Secrets": [{"SecretName": "url"}],
            },
            "Networks": [{"Target": "abc"}],
        },
        "EndpointSpec": {"Ports": [{"TargetPort": 5432, "Protocol": "tcp"}]},
    }  # fmt: skip
    lines = ["network abc proxy", f"service {json.dumps(spec)}", "service {", "other a|b|c|d|e|f"]
    specs: list[Any] = []
    others, routes = neighbours(lines, specs)
    assert specs == [spec]
    assert [each.name for each in others] == ["a", "shop_db"]
    service = others[1]
    assert service.project == "shop"
    assert service.networks == {"proxy"}
    assert service.mounts == {"/srv"}
    assert service.secrets == {"url"}
    assert service.ports == "5432/tcp"
    assert routes == {("shop", "traefik.http.routers.shop"), ("shop", "caddy=a.example.com")}
