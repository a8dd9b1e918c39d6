"""Compose files as Compose describes them, and what a host tells of their containers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.explain import dropped
from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts
from ci_deploy.layers.providers.docker.built import invalid, left, unpushed
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


def test_service_without_an_image_that_nobody_builds_is_refused_in_its_own_words() -> None:
    """`provider` (Compose 2.36) starts something else than a container."""
    with pytest.raises(SettingsError, match="db has no image: only containers are deployed"):
        _flags(app={"image": "shop"}, db={"restart": "always"})


BUILD: dict[str, Any] = {"build": True}
TAGGED = {"image": "registry.test/shop:${DEPLOY_TAG}"}


def _read(**services: dict[str, Any]) -> Model:
    text = json.dumps({"name": "shop", "services": services})
    return model(HostFacts(model=text, written=text), [], "1", "0b1c2d3" + "e" * 33)


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("ghcr.io/acme/shop:0b1c2d3", True),
        ("ghcr.io/acme/shop:0b1c2d3" + "e" * 33, True),
        ("registry.test:5000/shop:sha-0b1c2d3-amd64", True),
        ("registry.test/0b1c2d3/shop:latest", False),
        ("registry.test:5000/0b1c2d3", False),
        ("ghcr.io/acme/shop@sha256:0b1c2d3", False),
        ("ghcr.io/acme/shop:1b1c2d3", False),
    ],
)
def test_image_that_a_variable_of_the_pipeline_names_is_this_releases(
    image: str, *, ours: bool
) -> None:
    """`image: shop:${IMAGE_TAG:-latest}` with `IMAGE_TAG=$CI_COMMIT_SHA` in APP_CONFIG: the
    database beside it is not pulled with each deploy."""
    found = _read(app={"image": image}, db={"image": "postgres:17"})
    assert [each.name for each in found.ours] == (["app"] if ours else ["app", "db"])


@pytest.mark.parametrize(
    ("services", "names"),
    [
        ({"web": {"image": "nginx", **BUILD}}, ["nginx"]),
        ({"web": {"image": "shop:${DEPLOY_TAG}", **BUILD}}, ["shop:${DEPLOY_TAG}"]),
        ({"web": {"image": "acme/web", **BUILD}}, []),
        ({"web": {"image": "nginx"}}, []),
        ({"web": {"image": "nginx", "pull_policy": "missing", **BUILD}}, []),
        ({"app": TAGGED, "db": {"image": "shop_db", **BUILD}}, []),
    ],
)
def test_own_image_that_would_be_pulled_from_docker_hubs_official_ones_is_refused(
    services: dict[str, Any], names: list[str]
) -> None:
    """By hand `up --build` makes it on the host; a pull of `nginx` is green with another site."""
    found = [str(each) for each in unpushed(_read(**services))]
    assert len(found) == len(names)
    assert all(
        f"its image `{name}` cannot be pushed" in said
        for name, said in zip(names, found, strict=True)
    )


@pytest.mark.parametrize(
    "image",
    [":", "registry.test/shop:", "/shop:1", "ghcr.io/Acme/shop:1", "a//b", "shop:a:b", "-a"],
)
def test_image_name_that_docker_would_refuse_in_the_middle_is_refused_before(image: str) -> None:
    """`${CI_REGISTRY_IMAGE}:${CI_COMMIT_SHA}` without values; GitHub's repository in upper case."""
    [problem] = invalid(_read(app={"image": image}))
    assert f"the image of app, `{image}`, is not a valid name." in str(problem)
    assert ("lower case" in str(problem)) == ("Acme" in image)


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "acme/shop_web.x:v1.2-rc_3",
        "localhost:5000/a/b/c:1",
        "registry.example.com/a@sha256:0123456789abcdef",
        "r:5000/a:1@sha256:0123456789abcdef",
        "sha256:0123456789abcdef",
        "a--b/c__d",
    ],
)
def test_names_that_docker_knows_are_valid(image: str) -> None:
    assert not [*invalid(_read(app={"image": image}))]


def test_own_image_that_no_deploy_replaces_is_told() -> None:
    """One service is named by DEPLOY_TAG, another one is forgotten and runs old code for ever."""
    worker = {"image": "registry.test/worker:latest", **BUILD}
    assert "image of worker," in left(_read(app=TAGGED, worker=worker, db={"image": "postgres"}))
    assert not left(_read(app=TAGGED, worker={**worker, "pull_policy": "always"}))
    assert not left(_read(worker=worker)), "without any DEPLOY_TAG all are pulled"


def test_variables_without_a_value_are_read_from_the_answer() -> None:
    facts = read_facts("path /srv\nunset DB_PASSWORD\nunset HOST\nmodel\n{}\nraw\n{}\n")
    assert facts.unset == ["DB_PASSWORD", "HOST"]
    assert read_facts("path /srv\nrefused no\nunset TAG\n").unset == ["TAG"]


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
