"""Compose files as Compose describes them, and what a host tells of their containers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.explain import dropped
from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts
from ci_deploy.layers.providers.docker.model import Model, Service, model

DONE = "service_completed_successfully"


def _flags(**services: dict[str, Any]) -> dict[str, list[str]]:
    active = {name: entry for name, entry in services.items() if not entry.get("profiles")}
    text, written = (json.dumps({"name": "shop", "services": each}) for each in (active, services))
    text = model(HostFacts(model=text, written=written), [], "1").flags()
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()}


def test_host_is_told_which_services_are_tasks_and_which_are_not_started() -> None:
    flags = _flags(
        app={"image": "shop:${DEPLOY_TAG}", "depends_on": {"init": {"condition": DONE}}},
        init={"image": "init"},
        seed={"image": "init", "restart": "no"},
        worker={"image": "shop:${DEPLOY_TAG}"},
        console={"image": "shop:${DEPLOY_TAG}", "profiles": ["tools"], "env_file": [".env"]},
    )
    assert flags == {
        "app": ["tag"],
        "init": ["task"],
        "seed": ["task"],
        "worker": ["tag"],
        "console": ["tag", "env", "optional"],
    }


@pytest.mark.parametrize("told", [{"ports": [{"target": 80}]}, {"healthcheck": True}])
def test_server_is_none_that_ends_although_nothing_restarts_it(told: dict[str, Any]) -> None:
    """A published port or a healthcheck makes it one. (faults H7)"""
    assert _flags(app={"image": "shop:${DEPLOY_TAG}", "restart": "no", **told}) == {"app": ["tag"]}


def test_service_that_would_have_to_be_built_on_the_hosts_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing is built on the hosts, but web has `build`"):
        _flags(app={"image": "shop"}, web={"build": {"context": "."}})
    _flags(app={"image": "shop", "build": {}}, dev={"build": {}, "profiles": ["dev"]})


@pytest.mark.parametrize("kind", ["services", "networks", "volumes", "configs", "secrets"])
@pytest.mark.parametrize("wrong", [["a"], "a", 7, {"a": "b"}, {"a": ["b"]}])
def test_description_in_another_form_is_refused_and_no_bug(kind: str, wrong: object) -> None:
    """Whatever part of it. (faults J6)"""
    told = json.dumps({"name": "shop", "services": {"app": {"image": "shop"}}, kind: wrong})
    with pytest.raises(SettingsError, match="cannot parse the output of `docker compose config`"):
        model(HostFacts(model=told, written=told), [], "1")


@pytest.mark.parametrize(
    ("task", "state", "up"),
    [
        ("", "running|Up 5 minutes", True),
        ("", "exited|Exited (0) 5 minutes ago", False),
        ("task job", "running|Up 5 minutes", True),
        ("task job", "exited|Exited (0) 5 minutes ago", True),
        ("task job", "exited|Exited (1) 5 minutes ago", False),
        ("task job done", "exited|Exited (0) 5 minutes ago", True),
    ],
)
def test_service_that_may_end_is_up_also_when_it_has_ended_well(
    task: str, state: str, up: bool
) -> None:
    facts = read_facts(
        f"app shop shop\ncurrent 1-a\nimage job job:1 1 sha256:a\n{task}\n"
        f"container shop-job-1|job|sha256:a|{state}|False|shop|/srv\n"
    )
    assert facts.live("shop").up is up


@pytest.mark.parametrize(
    ("policy", "flag"),
    [
        ("if_not_present", ["missing"]),
        ("missing", ["missing"]),
        ("build", ["never"]),
        ("never", ["never"]),
        ("always", ["always"]),
        ("daily", []),
    ],
)
def test_host_is_told_when_a_service_lets_its_image_be_pulled(policy: str, flag: list[str]) -> None:
    """(faults H13)"""
    app = {"image": "shop:${DEPLOY_TAG}", "pull_policy": policy}
    assert _flags(app=app) == {"app": ["tag", *flag]}


def test_plan_knows_what_an_older_compose_recreates_with_its_dependencies() -> None:
    """nginx depends on what depends on the app; the database depends on nothing. (faults H12)"""
    needs = {"nginx": ["web"], "web": ["app"], "app": ["db"], "db": []}
    services = {name: Service(name, needs=tuple(on)) for name, on in needs.items()}
    assert Model("shop", services).dependents(["app"]) == ["nginx", "web"]


def test_plan_names_what_would_be_removed_and_nothing_that_is_not_ours() -> None:
    """(faults H6)"""
    ours = "/srv/.ci-deploy/apps/shop/releases/1-a/files/compose.yml"
    rows = "".join(
        f"container shop-{name}-1|{name}|sha256:a|running|Up|False|shop|/srv|{files}\n"
        for name, files in (("app", ours), ("old", ours), ("grafana", "/srv/monitoring.yml"))
    )
    host: Any = SimpleNamespace(facts=read_facts(rows))
    assert dropped([host], "shop", Model("shop", {"app": Service("app")})) == ["shop-old-1"]
