"""From what Compose describes to what `docker stack deploy` takes."""

from __future__ import annotations

from typing import Any

import pytest

from ci_deploy.layers.providers.swarm.contents import Given, contents, hashed
from ci_deploy.layers.providers.swarm.convert import Converted, convert, marked, one_off, warnings
from ci_deploy.layers.providers.swarm.state import Stack

TREE = "/tmp/laid/tree"


def made(service: dict[str, Any], *, new: bool = True, **top: Any) -> Converted:
    """One service `web`, converted."""
    model = {"name": "st", "services": {"web": {"image": "app:1", **service}}, **top}
    return convert(model, "st", TREE, "/home/deploy", new=new)


def web(service: dict[str, Any], *, new: bool = True) -> dict[str, Any]:
    """…and what has become of it."""
    found: dict[str, Any] = made(service, new=new).data["services"]["web"]
    return found


@pytest.mark.parametrize(
    ("compose", "stack"),
    [
        # Compose 2.3 and later (docker/compose#9306, #13459)
        (
            {"ports": [{"target": 80, "published": "8080", "protocol": "tcp", "mode": "ingress"}]},
            {"ports": [{"target": 80, "published": 8080, "protocol": "tcp", "mode": "ingress"}]},
        ),
        ({"ports": [{"target": 80}]}, {"ports": [{"target": 80}]}),
        ({"extra_hosts": ["db=10.0.0.1"]}, {"extra_hosts": ["db:10.0.0.1"]}),
        ({"extra_hosts": {"db": "::1"}}, {"extra_hosts": ["db:::1"]}),
        (
            {"environment": {"A": "x$$y", "B": None, "C": 1}},
            {"environment": {"A": "x$$y", "C": "1"}},
        ),
        ({"scale": 2}, {"deploy": {"replicas": 2}}),
        ({"scale": 2, "deploy": {"replicas": 3}}, {"deploy": {"replicas": 3}}),
        (
            {"deploy": {"resources": {"limits": {"cpus": 0.5, "memory": "1"}}, "placement": {}}},
            {"deploy": {"resources": {"limits": {"cpus": "0.5", "memory": "1"}}}},
        ),
        ({"command": None, "entrypoint": None, "networks": {"default": None}}, {}),
        ({"networks": {"a": {"aliases": ["x"]}}}, {"networks": {"a": {"aliases": ["x"]}}}),
        (
            {"configs": [{"source": "c", "mode": "0440"}]},
            {"configs": [{"source": "c", "mode": 288}]},
        ),
        (
            {"volumes": [{"type": "volume", "source": "d", "target": "/d", "volume": {}}]},
            {"volumes": [{"type": "volume", "source": "d", "target": "/d"}]},
        ),
        (
            {
                "volumes": [
                    {
                        "type": "bind",
                        "source": f"{TREE}/data",
                        "target": "/d",
                        "bind": {"create_host_path": True},
                    }
                ]
            },
            {"volumes": [{"type": "bind", "source": "/home/deploy/data", "target": "/d"}]},
        ),
        ({"healthcheck": {"start_interval": "1s"}}, {"healthcheck": {"start_interval": "1s"}}),
    ],
)
def test_forms_that_only_compose_has_are_put_into_the_others(
    compose: dict[str, Any], stack: dict[str, Any]
) -> None:
    found = web(compose)
    if "networks" not in stack:
        found.pop("networks", None)
    assert found == {"image": "app:1", "deploy": {}, **stack}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("build", {"context": "."}),
        ("container_name", "x"),
        ("depends_on", {"db": {"condition": "service_healthy"}}),
        ("restart", "unless-stopped"),
        ("network_mode", "host"),
        ("privileged", True),
        ("shm_size", "64"),
        ("devices", ["/dev/null"]),
        ("a_field_of_tomorrow", "x"),
    ],
)
def test_what_swarm_ignores_is_named(field: str, value: Any) -> None:
    """No wish is dropped silently."""
    found = made({field: value})
    assert field not in found.data["services"]["web"]
    [line] = warnings(found)
    assert f"Swarm ignores `{field}` (web)" in line


def test_an_older_docker_does_not_get_what_it_does_not_know() -> None:
    found = made({"healthcheck": {"test": ["CMD", "x"], "start_interval": "1s"}}, new=False)
    assert found.data["version"] == "3.8"
    assert found.data["services"]["web"]["healthcheck"] == {"test": ["CMD", "x"]}
    assert "healthcheck.start_interval" in next(warnings(found))


@pytest.mark.parametrize(
    ("service", "top", "words"),
    [
        (
            {"ports": [{"target": 5432, "published": "5432", "host_ip": "127.0.0.1"}]},
            {},
            "127.0.0.1",
        ),
        ({"ports": [{"target": 80, "published": "8000-8010"}]}, {}, "one entry for each"),
        (
            {},
            {"networks": {"n": {"name": "st_n", "driver": "bridge"}}},
            "on a single host only",
        ),
    ],
)
def test_what_swarm_would_do_otherwise_is_refused(
    service: dict[str, Any], top: dict[str, Any], words: str
) -> None:
    """A port that only this host could reach would be open to the world."""
    [problem] = made(service, **top).problems
    assert words in str(problem)


def test_names_of_the_stack_are_left_to_the_stack() -> None:
    found = made(
        {},
        networks={
            "default": {"name": "st_default", "ipam": {}},
            "o": {"name": "x", "external": True},
        },
        volumes={"data": {"name": "st_data"}, "own": {"name": "mine"}},
    )
    assert found.data["networks"] == {"default": {}, "o": {"name": "x", "external": True}}
    assert found.data["volumes"] == {"data": {}, "own": {"name": "mine"}}


def test_a_release_is_a_label_of_the_service_and_restarts_no_container() -> None:
    data = made({"labels": {"a": "b"}, "deploy": {"labels": {"c": "d"}}}).data
    service = marked(data, "1-abc", "f00", {"web": "app:1@sha256:1"})["services"]["web"]
    assert service["labels"] == {"a": "b"}
    assert service["deploy"]["labels"] == {
        "c": "d",
        "com.ci-deploy.release": "1-abc",
        "com.ci-deploy.revision": "f00",
    }
    assert service["image"] == "app:1@sha256:1"


def test_a_one_off_command_is_led_to_by_nobody() -> None:
    """No port, label, alias or healthcheck; nothing in the command is replaced."""
    data = made(
        {
            "ports": [{"target": 80}],
            "labels": {"traefik.enable": "true"},
            "networks": {"n": {"aliases": ["web"]}},
            "environment": {"A": "1"},
            "deploy": {"replicas": 3, "placement": {"constraints": ["node.role==worker"]}},
        }
    ).data
    found = one_off(data, "web", "job", ["echo", "$HOME"], {"B": "$2"})["services"]
    assert found.keys() == {"job"}
    assert not {"ports", "labels"} & found["job"].keys()
    assert found["job"]["networks"] == {"n": None}
    assert found["job"]["command"] == ["echo", "$$HOME"]
    assert found["job"]["environment"] == {"A": "1", "B": "$$2"}
    assert found["job"]["deploy"]["mode"] == "replicated-job"
    assert found["job"]["deploy"]["restart_policy"] == {"condition": "none"}
    assert found["job"]["deploy"]["placement"] == {"constraints": ["node.role==worker"]}


GIVEN = Given(TREE, {"a.conf": b"one"}, {"/etc/own": b"host's"}, {"KEY": "s3cret"})


def test_contents_get_names_by_what_they_hold() -> None:
    data: dict[str, Any] = {
        "configs": {
            "file": {"name": "st_file", "file": f"{TREE}/a.conf"},
            "inline": {"name": "st_inline", "content": "a$$b"},
            "theirs": {"name": "theirs", "external": True},
        },
        "secrets": {
            "key": {"name": "st_key", "environment": "KEY"},
            "own": {"name": "st_own", "file": "/etc/own"},
        },
    }
    found = contents(data, Stack("st", there={"config": {"theirs"}}), GIVEN)
    assert found.problems == []
    assert [each.data for each in found.made] == [b"one", b"a$b", b"s3cret", b"host's"]
    assert [each.kind for each in found.made] == ["config", "config", "secret", "secret"]
    assert data["configs"]["theirs"] == {"external": True, "name": "theirs"}
    assert data["configs"]["file"] == {"external": True, "name": found.made[0].name}
    assert found.made[0].name.startswith("st_file-")
    assert hashed("st", "config", "file", "st_file", b"two") != found.made[0].name
    assert len(hashed("st", "config", "k", "x" * 90, b"two")) == 64


def test_template_driver_and_labels_of_a_content_count() -> None:
    """A config with `template_driver: golang` is filled in for each task; dropped, the containers
    would get the template itself."""
    data: dict[str, Any] = {
        "configs": {
            "plain": {"name": "st_c", "content": "a"},
            "made": {"name": "st_c", "content": "a", "template_driver": "golang"},
            "labelled": {"name": "st_c", "content": "a", "labels": {"a": "b c"}},
        }
    }
    plain, made, labelled = contents(data, Stack("st"), GIVEN).made
    assert (plain.options, made.options) == ((), ("--template-driver=golang",))
    assert labelled.options == ("--label=a=b c",)
    assert plain.name == hashed("st", "config", "plain", "st_c", b"a"), "as before"
    assert hashed("st", "config", "made", "st_c", b"a") != made.name


def test_labels_of_ours_are_refused() -> None:
    """A review app's branch could forge a record of the base app with them."""
    labels = {"com.ci-deploy.stack": "web", "com.ci-deploy.kind": "record"}
    for kind in ("configs", "secrets"):
        data: dict[str, Any] = {kind: {"x": {"name": "st_x", "content": "a", "labels": labels}}}
        found = contents(data, Stack("st"), GIVEN)
        assert not found.made
        assert "has the label `com.ci-deploy.stack`" in str(found.problems[0])


def test_content_above_the_compose_file_is_the_repositorys() -> None:
    """`COMPOSE_FILE=deploy/stack.yml` with `../nginx.conf`."""
    data: dict[str, Any] = {
        "configs": {"up": {"file": "/tmp/made/nginx.conf"}, "gone": {"file": "/tmp/made/gone"}},
        "secrets": {"lost": {"file": "/etc/lost"}},
    }
    given = Given("/tmp/made/tree", {"../nginx.conf": b"one"}, {}, {})
    found = contents(data, Stack("st"), given)
    assert [each.data for each in found.made] == [b"one"]
    said = "\n".join(map(str, found.problems))
    assert "`gone`, `../gone`, is " in said
    assert "`lost`, `/etc/lost`, is " in said


def test_every_content_that_is_nowhere_is_told() -> None:
    data: dict[str, Any] = {
        "configs": {
            "gone": {"file": f"{TREE}/gone.conf"},
            "empty": {"content": ""},
            "big": {"content": "x" * 1_024_000},
        },
        "secrets": {"unset": {"environment": "UNSET"}, "out": {"external": True}},
    }
    said = "\n".join(map(str, contents(data, Stack("st"), GIVEN).problems))
    assert "the file of the config `gone`, `gone.conf`, is neither in the repository nor" in said
    assert "the config `empty` has 0 bytes" in said
    assert "the config `big` has 1024000 bytes" in said
    assert "is read from the variable UNSET, which has no value" in said
    assert "the secret `out` is external, but does not exist" in said
    assert "docker secret create out" in said
