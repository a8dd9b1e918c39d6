"""`order: start-first` of a compose file: what the host is told, what cannot work."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.checks import check_image_volumes
from ci_deploy.layers.providers.compose.explain import explain
from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.docker.model import Model, model
from ci_deploy.layers.providers.docker.release import start_first_plan
from ci_deploy.net.ssh.server import server
from ci_deploy.run.context import Context

IMAGE = "shop:${DEPLOY_TAG}"


def _model(**services: dict[str, Any]) -> Model:
    text = json.dumps({"name": "shop", "services": services})
    return model(HostFacts(model=text, written=text), [], "1")


def _first(replicas: int = 1, **config: Any) -> dict[str, Any]:
    update = {"order": "start-first", **config}
    return {"image": IMAGE, "deploy": {"replicas": replicas, "update_config": update}}


def test_host_is_told_in_which_order_how_many_and_what_has_to_be_ready_before() -> None:
    done = {"condition": "service_completed_successfully"}
    found = _model(
        worker={**_first(parallelism=0, delay="1m30s", monitor="0s"), "depends_on": {"app": {}}},
        app={**_first(), "depends_on": {"db": {"condition": "service_started"}, "job": done}},
        job={"image": IMAGE, "depends_on": {"db": {}}},
        db={"image": "postgres", "deploy": {"update_config": {"order": "stop-first"}}},
        proxy={"image": "caddy", "depends_on": {"app": {}}},
    )
    assert start_first_plan(found) == "app 1 0 5 no db +job\nworker 0 90 0 no db job\n"
    assert start_first_plan(_model(app={"image": IMAGE})) == "", (
        "a release without it is what it was"
    )


@pytest.mark.parametrize(("entry", "fill"), [({"name": "shop_c"}, "yes"), ({"file": "/c"}, "no")])
def test_host_is_told_where_compose_itself_has_to_fill_the_containers(
    entry: dict[str, str], fill: str
) -> None:
    """With what stands in the compose file; a file is mounted."""
    app = {**_first(), "configs": [{"source": "c", "target": "/c"}]}
    text = json.dumps({"name": "shop", "services": {"app": app}, "configs": {"c": entry}})
    assert (
        start_first_plan(model(HostFacts(model=text, written=text), [], "1"))
        == f"app 1 0 5 {fill}\n"
    )


def test_plan_says_what_is_stopped_and_what_is_not() -> None:
    """Also what a client saw the last time. (faults H9, H12)"""
    found = _model(
        app={**_first(failure_action="pause"), "depends_on": {"job": {}}},
        job={"image": IMAGE},
        web={"image": IMAGE},
        proxy={"image": "caddy", "depends_on": {"app": {}, "web": {}}},
        cron={"image": "cron", "depends_on": {"job": {}}},
    )
    host = Host(server("deploy@h"))
    seen = "412 requests during the switch, 0 failed"
    host.facts.audit = [{"outcome": "live", "stopped": 3, "client": seen}]
    said: list[str] = []
    console = SimpleNamespace(indent=said.append, warning=said.append)
    ctx = SimpleNamespace(console=console, planning=True, before_traffic=[], app="shop")
    explain(cast(Context, ctx), [host], found, [])
    assert said[0] == "Compose stops the containers of job, web before it starts the new ones."
    assert said[1] == "app: new containers start beside the old ones (start-first)."
    assert said[2].startswith("app: `failure_action: pause` has no effect")
    assert said[3].startswith("app has `order: start-first`, but no healthcheck")
    assert said[4:] == [
        "Compose may recreate proxy too, which depends on services that are replaced.",
        f"Measured at the last deployment: {seen}.",
    ]


@pytest.mark.parametrize(
    ("more", "others", "says"),
    [
        ({"ports": [{"target": 80, "published": "80"}]}, {}, "it publishes the port 80"),
        ({"ports": [{"target": 80, "published": "81-82"}]}, {}, "81-82 are too few: it needs 3"),
        ({"container_name": "shop"}, {}, "only one container can be called shop"),
        ({"network_mode": "host"}, {}, "`network_mode: host` makes old and new containers"),
        ({"network_mode": "service:db"}, {}, "`network_mode: service:db` makes"),
        ({"networks": {"a": {"ipv4_address": "10.0.0.2"}}}, {}, "`ipv4_address` is set"),
        ({"networks": {"a": {"ipv6_address": "fd00::2"}}}, {}, "`ipv6_address` is set"),
        ({"mac_address": "02:42:ac:11:00:02"}, {}, "`mac_address` is set"),
        ({"volumes": [{"type": "volume", "target": "/data"}]}, {}, "/data is a volume without"),
        ({"restart": "no"}, {}, "it is a task that ends"),
        ({"pre_stop": True}, {}, "`pre_stop` hooks would not be run"),
        ({}, {"vpn": {"image": "vpn", "network_mode": "service:app"}}, "vpn shares its container"),
        ({}, {"log": {"image": "log", "volumes_from": ["app:ro"]}}, "log shares its container"),
    ],
)
def test_service_of_which_two_cannot_run_at_once_is_refused_by_name(
    more: dict[str, Any], others: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        _model(app={**_first(replicas=2), **more}, **others)
    [problem] = refused.value.problems
    assert problem.setting == "COMPOSE_FILE"
    assert problem.message.startswith("app has `order: start-first`, but ")
    assert says in problem.message
    assert "remove `order: start-first`" in problem.remedy


@pytest.mark.parametrize(
    "more",
    [
        {"ports": [{"target": 80}]},
        {"ports": [{"target": 80, "published": "81-83"}]},
        {"network_mode": "none"},
        {"networks": {"default": None}},
        {"volumes": [{"type": "volume", "source": "log", "target": "/log"}]},
        {"volumes": [{"type": "tmpfs", "target": "/tmp"}]},
    ],
)
def test_service_of_which_two_can_run_at_once_is_not_refused(more: dict[str, Any]) -> None:
    assert _model(app={**_first(replicas=2), **more}).services["app"].update


def test_service_that_does_not_ask_for_it_may_have_all_of_that() -> None:
    one = {"container_name": "shop", "ports": [{"target": 80, "published": "80"}]}
    assert not _model(app={"image": IMAGE, **one}).services["app"].update


@pytest.mark.parametrize(("mounts", "refused"), [([], True), ([{"target": "/data"}], False)])
def test_volume_of_the_image_that_runs_has_to_have_a_name(
    mounts: list[dict[str, str]], refused: bool
) -> None:
    """Compose hands it on from container to container, which two at once cannot share."""
    host = Host(server("deploy@h"))
    host.facts = read_facts(
        "container shop-app-1|app|sha256:a|running|Up|False|shop|/srv|/f\n"
        "image_volume sha256:a /data\n"
    )
    found = _model(app={**_first(), "volumes": [{"source": "d", **each} for each in mounts]})
    if refused:
        with pytest.raises(SettingsError, match="/data is a volume without a name"):
            check_image_volumes([host], found)
    else:
        check_image_volumes([host], found)
