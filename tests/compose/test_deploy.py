"""A deploy to one host, from nothing to a second release."""

from __future__ import annotations

import json

import pytest

from standins.compose.app import App
from standins.host_app import FILE
from tests.golden import Golden


def test_first_deploy_brings_every_replica_up_and_writes_down_who_did_it(app: App) -> None:
    app.write(app.whole)
    done = app.deploy("good1", CIRCLECI="true", CIRCLE_USERNAME="jane", CIRCLE_BUILD_NUM="75")
    assert done.code == 0, done.output + done.errors
    app.runs("good1", 2)
    assert "job-1: ended with exit code 0: treated as a task" in done.output
    assert done.report["live_revision"] == app.checkout.head
    assert done.report["release"] == app.current()
    start, end = app.audit()
    assert (start["outcome"], end["outcome"]) == ("started", "live")
    assert (end["actor"], end["build"], end["revision"]) == ("jane", "75", app.checkout.head)


def test_second_deploy_replaces_the_first_and_says_for_how_long_nothing_ran(
    live: App, golden: Golden
) -> None:
    done = live.deploy("good2")
    assert done.code == 0, done.output
    golden("compose/deploy", done.output, live.places)
    live.runs("good2")
    assert "stopped: app for " in done.output
    assert 0 < live.audit()[-1]["stopped"] < 10
    assert live.audit()[-1]["from"].startswith("good1-")


def test_whole_deploy_needs_one_connection_and_three_commands(live: App) -> None:
    """The very first one to a host also uploads the program."""
    connections, commands = live.hosts[0].connections()
    assert live.deploy("good2").code == 0
    after = live.hosts[0].connections()
    assert (after[0] - connections, after[1] - commands) == (1, 3)


def test_unchanged_release_is_skipped_after_one_question(app: App) -> None:
    assert app.deploy("good1").code == 0
    before, containers = app.hosts[0].connections(), app.ids()
    done = app.deploy("good1")
    assert done.code == 0, done.output
    assert done.report["status"] == "skipped"
    assert "already runs good1-" in done.output
    after = app.hosts[0].connections()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert app.ids() == containers


def test_unchanged_release_that_misses_a_container_is_made_whole(app: App) -> None:
    """A stopped server has ended with exit code 0, and still is no task that is done."""
    app.write(app.whole)
    assert app.deploy("good1").code == 0
    app.hosts[0].root("docker", "rm", "-f", f"{app.name}-app-1")
    app.hosts[0].root("docker", "stop", f"{app.name}-app-2")
    done = app.deploy("good1")
    assert done.code == 0, done.output
    assert done.report["status"] == "succeeded"
    app.runs("good1", 2)


def test_redeploy_pulls_and_verifies_the_same_again_as_a_release_of_its_own(app: App) -> None:
    assert app.deploy("good1").code == 0
    first = app.current()
    done = app.deploy("good1", REDEPLOY="true")
    assert done.code == 0, done.output
    assert "pulling" in done.output
    assert app.current().startswith("good1-")
    assert app.current() != first


def test_images_are_pinned_by_digest_before_anything_is_switched(app: App) -> None:
    assert app.deploy("good1").code == 0
    pins = dict(_pin(line) for line in app.read("current/proven/images").splitlines())
    override = json.loads(app.read("current/proven/override.json"))
    for container in app.containers():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        assert container["Image"] == pins[service]
        assert "@sha256:" in override["services"][service]["image"]


def test_tag_that_moved_without_deploy_tag_in_the_file_is_pulled_and_noticed(app: App) -> None:
    """`image: app:latest` is no good idea, but a deploy of it must not pretend either."""
    app.write(app.small.replace("${DEPLOY_TAG}", "moving"))
    image = app.registry.image
    _move(app, "good1")
    assert app.deploy().code == 0
    _move(app, "good2")
    done = app.deploy()
    assert done.code == 0, done.output
    assert "no image's name contains ${DEPLOY_TAG}" in done.output
    assert app.versions() == ["good2"]
    app.hosts[0].root("docker", "rmi", "-f", f"{image}:moving", check=False)


def test_first_usual_compose_file_is_taken_and_works_unchanged(app: App) -> None:
    """The article's file: `image: repo/app:${DEPLOY_TAG}`, relative volumes, `.env` by hand."""
    app.checkout.git("rm", "--quiet", FILE)
    text = f"""
version: "3"
services:
  app:
    image: {app.registry.image}:${{DEPLOY_TAG}}
    network_mode: none
    env_file: .env
    volumes: ["./log:/log", "data:/data"]
    environment: {{RAILS_ENV: "${{RAILS_ENV}}"}}
volumes:
  data:
"""
    app.checkout.commit("As in the article", {"docker-compose.yml": text})
    app.hosts[0].sh(f"printf 'BY_HAND=1\\n' >{app.name}/.env")
    done = app.deploy("good1", COMPOSE_STEADY_TIME="1")
    assert done.code == 0, done.output
    container = app.containers()[0]
    assert {"BY_HAND=1", "RAILS_ENV=production"} <= set(container["Config"]["Env"])
    mounts = {mount["Destination"]: mount for mount in container["Mounts"]}
    assert mounts["/log"]["Source"] == f"{app.folder}/log"
    assert mounts["/data"]["Name"] == f"{app.name}_data"
    app.checkout.commit("Second")
    assert app.deploy("good2", COMPOSE_STEADY_TIME="1").code == 0
    assert {m["Destination"]: m["Source"] for m in app.containers()[0]["Mounts"]} == {
        destination: mount["Source"] for destination, mount in mounts.items()
    }


def test_database_is_not_touched_by_a_deploy_of_the_app(app: App) -> None:
    app.write(app.small + f"  db:\n    image: {app.registry.image}:good3\n    network_mode: none\n")
    assert app.deploy("good1", COMPOSE_STEADY_TIME="1").code == 0
    [database] = [each["Id"] for each in app.containers() if "db-1" in each["Name"]]
    done = app.deploy("good2", COMPOSE_STEADY_TIME="1")
    assert done.code == 0, done.output
    assert database in app.ids()
    assert "good3" not in done.output, "it is not even pulled"


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_images_for_several_platforms_are_verified_and_replaced_only_when_they_change(
    app: App, order: str
) -> None:
    """An index has another digest than what runs of it. Which of them engines and Compose tell has
    changed with both (docker/compose#13998, #14011, #14036; the containerd image store)."""
    for number in (1, 2):
        app.registry.push_index(f"many{number}", f"good{number}")
    app.registry.push_index("beside", "good3")
    small = app.small.replace(
        "    image:", f"    deploy: {{update_config: {{order: {order}}}}}\n    image:"
    )
    beside = app.small.partition("services:")[2].replace("  app:", "  beside:")
    app.write(small + beside.replace("${DEPLOY_TAG}", "beside"))
    assert app.deploy("many1").code == 0
    (other,) = app.containers(0, "beside")
    done = app.deploy("many2")
    assert done.code == 0, done.output
    assert (app.versions(), app.versions(0, "beside")) == (["good2"], ["good3"])
    again = app.deploy("many2")
    assert again.report["status"] == "skipped", again.output
    back = app.run("rollback")
    assert back.code == 0, back.output
    assert app.versions() == ["good1"]
    assert [each["Id"] for each in app.containers(0, "beside")] == [other["Id"]]


def test_git_deepens_nothing_for_an_image(app: App) -> None:
    """The images were built before: a shallow checkout is all that is needed."""
    for number in range(3):
        app.checkout.commit(f"Commit {number}")
    shallow = app.checkout.path.parent / "shallow"
    app.checkout.git("clone", "-q", "--depth=1", f"file://{app.checkout.path}", str(shallow))
    app.checkout.path = shallow
    assert app.deploy("good1").code == 0
    assert (shallow / ".git/shallow").is_file()


def _pin(line: str) -> tuple[str, str]:
    service, _image, _replicas, digest, _pinned = line.split()
    return service, digest


def _move(app: App, tag: str) -> None:
    """Let the tag `moving` mean another image in the registry."""
    image = app.registry.image
    app.hosts[1].root(
        "sh", "-c",
        f"docker login -u robot --password-stdin {app.registry.address} 2>/dev/null >/dev/null &&"
        f" docker pull -q {image}:{tag} && docker tag {image}:{tag} {image}:moving &&"
        f" docker push -q {image}:moving; docker logout {app.registry.address}",
        stdin="s3ntinel-r3gistry pa$s'word",
    )  # fmt: skip


def test_what_another_compose_file_runs_in_the_project_stays(app: App) -> None:
    """Only what a release has started is removed when the next one drops it. (faults H6)"""
    sleeper = f"image: {app.registry.image}:good3\n    network_mode: none\n"
    app.hosts[0].sh(f"printf 'services:\\n  grafana:\\n    {sleeper!s}' >{app.name}/monitoring.yml")
    app.write(f"{app.small}  old:\n    {sleeper}")
    assert app.deploy("good1", COMPOSE_STEADY_TIME="1").code == 0
    app.hosts[0].sh(f"cd {app.name} && docker compose -f monitoring.yml up -d --no-recreate")
    app.write(app.small)
    plan = app.run("plan", DEPLOY_TAG="good2")
    assert f"remove {app.name}-old-1" in plan.output
    assert "grafana" not in plan.output
    assert app.deploy("good2").code == 0
    names = {each["Name"] for each in app.containers()}
    assert names == {f"/{app.name}-app-1", f"/{app.name}-grafana-1"}


def test_interruption_counts_until_the_app_is_healthy_again(live: App) -> None:
    """Its container starts at once, and serves after two seconds. (faults H9)"""
    done = live.deploy("slow1", COMPOSE_HEALTH_TIMEOUT="20")
    assert done.code == 0, done.output
    assert live.audit()[-1]["stopped"] >= 2
