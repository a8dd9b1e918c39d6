"""Releases that fail, and hosts that cannot take one: what is left, and what the log says."""

from __future__ import annotations

import pytest

from standins.compose.app import App
from tests.golden import Golden

# --- the release is bad ---


def test_unhealthy_release_is_rolled_back_with_its_own_last_words_in_the_log(
    live: App, golden: Golden
) -> None:
    before = live.checkout.git("rev-parse", "HEAD~1")
    done = live.deploy("bad1")
    assert done.code == 23, done.output
    golden("compose/rolled back", done.output, live.places)
    assert done.report["status"] == "rolled-back"
    assert "unhealthy after" in done.output
    assert "waiting for Godot" in done.output
    assert "waiting for Godot" in "\n".join(done.report["lines"])
    assert f"rolled back: {live.name} runs {before[:7]}." in done.output
    assert "stopped: app for" in done.output
    live.runs("good1")
    assert live.audit()[-1]["outcome"] == "rolled-back"


def test_release_that_ends_at_once_is_rolled_back_although_it_has_no_healthcheck(app: App) -> None:
    """`docker compose up --wait` calls both of these healthy."""
    lines = [line for line in app.small.splitlines() if "healthcheck" not in line]
    app.write("\n".join(lines).replace("stop_grace_period: 3s", "restart: always"))
    assert app.deploy("good1", COMPOSE_STEADY_TIME="2").code == 0
    done = app.deploy("crash1", COMPOSE_STEADY_TIME="2")
    assert done.code == 23, done.output
    assert "it keeps exiting" in done.output
    assert "cannot find the meaning" in done.output
    app.runs("good1")
    app.write("\n".join(lines))
    done = app.deploy("crash1", COMPOSE_STEADY_TIME="2")
    assert done.code == 23, done.output
    assert "ended with exit code 3" in done.output
    app.runs("good1")


def test_server_that_nothing_restarts_is_proven_by_its_healthcheck(app: App) -> None:
    """It is no task that has yet to end. (faults H7)"""
    app.write(app.small.replace("stop_grace_period: 3s", 'restart: "no"'))
    done = app.deploy("good1")
    assert done.code == 0, done.output
    assert app.deploy("good1").report["status"] == "skipped"
    app.runs("good1")


def test_first_release_that_fails_is_stopped_and_said_to_have_no_way_back(
    app: App, golden: Golden
) -> None:
    done = app.deploy("bad1")
    assert done.code == 20, done.output
    golden("compose/first release fails", done.output, app.places)
    assert "there is no release to roll back to" in done.output
    assert [each["State"]["Running"] for each in app.containers()] == [False]
    assert app.current() == ""
    assert app.read("pending") == ""
    assert app.deploy("good1").code == 0


def test_failed_release_is_never_one_to_go_back_to(live: App) -> None:
    assert live.deploy("bad1").code == 23
    assert live.deploy("good2").code == 0
    done = live.run("rollback")
    assert done.code == 0, done.output
    live.runs("good1")


def test_wrong_answer_of_the_app_itself_rolls_back_when_a_url_is_to_be_asked(app: App) -> None:
    """The container is healthy, but what it says is not: asked from the host, before `current`."""
    served = app.small.replace("network_mode: none", "network_mode: host").replace(
        "env_file: .env",
        'command: ["sh", "-c", "touch /ok; mkdir /www; [ $$VERSION = good2 ] || echo hi >/www/up;'
        " trap 'exit 0' TERM; httpd -f -p 8099 -h /www & wait\"]",
    )
    app.write(served)
    url = {"COMPOSE_CHECK_URL": "http://localhost:8099/up", "COMPOSE_HEALTH_TIMEOUT": "12"}
    done = app.deploy("good1", **url, HEALTHCHECK_URL="http://{host}:8099/up")
    assert done.code == 0, done.output
    assert f"healthy: http://{app.hosts[0].address}:8099/up answers 200" in done.output
    assert "http://localhost:8099/up answers 200" in done.output
    done = app.deploy("good2", **url)
    assert done.code == 23, done.output
    assert "http://localhost:8099/up answers 404" in done.output
    assert app.versions() == ["good1"]
    outside = {"HEALTHCHECK_URL": "http://{host}:8099/up", "HEALTHCHECK_TIMEOUT": "1"}
    done = app.deploy("good2", **outside, ROLLBACK_ON_FAILURE="true")
    assert done.code == 23, done.output
    assert app.versions() == ["good1"]
    done = app.run("rollback")
    assert "there is no release of" in done.output, "the one that has just failed is none"


def test_unhealthy_may_recover_within_a_given_time(app: App) -> None:
    done = app.deploy("slow1", COMPOSE_HEALTH_TIMEOUT="20")
    assert done.code == 0, done.output
    assert app.versions() == ["slow1"]


def test_missing_image_changes_nothing_and_is_named(live: App, golden: Golden) -> None:
    containers = {each["Id"] for each in live.containers()}
    done = live.deploy("nothere")
    assert done.code == 20, done.output
    golden("compose/image is missing", done.output, live.places)
    assert f"{live.registry.image}:nothere" in done.output
    assert "No running container was replaced by this release." in done.output
    assert {each["Id"] for each in live.containers()} == containers
    live.runs("good1")


def test_compose_file_with_a_mistake_is_refused_before_anything_is_changed(
    live: App, golden: Golden
) -> None:
    live.write("services:\n  app:\n    imagine: x\n")
    done = live.deploy("good2")
    assert done.code == 2, done.output
    golden("compose/mistake in the file", done.output, live.places)
    assert "imagine" in done.output
    assert "docker-compose.production.yml" in done.output
    live.runs("good1")


def test_variable_that_is_missing_is_named_before_anything_is_changed(live: App) -> None:
    live.write(
        live.small.replace("env_file", 'environment: ["K=${KEY_OF_APP:?tell me}"]\n    env_file')
    )
    for done in (live.deploy("good2"), live.run("plan"), live.run("doctor")):
        assert done.code == 2, done.output
        assert "KEY_OF_APP" in done.output
    live.runs("good1")


def test_what_a_compose_file_needs_on_the_host_is_asked_by_plan_and_doctor(app: App) -> None:
    """An env_file, a network and a volume that nobody has made. (faults H11)"""
    env_file = "env_file: [.env, settings.env]"
    app.write(app.small.replace("env_file: .env", env_file))
    for command in ("plan", "doctor"):
        done = app.run(command)
        assert done.code == 2, done.output
        assert f"{app.folder}/settings.env not found" in done.output
    volumes = f"volumes: {{kept: {{external: true, name: no-{app.name}}}}}"
    networks = f"networks: {{n: {{external: true, name: 'net-${{DEPLOY_ENV}}-{app.name}'}}}}"
    used = "networks: [n]\n    volumes: ['kept:/data']"
    app.write(f"{app.small.replace('network_mode: none', used)}\n{volumes}\n{networks}\n")
    for command in ("plan", "doctor"):
        done = app.run(command)
        assert done.code == 2, done.output
        assert f"the volume `no-{app.name}` is external" in done.output
        assert f"the network `net-production-{app.name}` is external" in done.output
    assert app.containers() == []


# --- the registry ---


def test_wrong_registry_password_is_told_before_anything_is_started(live: App) -> None:
    done = live.deploy("good2", DOCKER_PASS="wrong-password")
    assert done.code == 12, done.output
    assert f"could not log in to {live.registry.address} as robot: " in done.output
    assert "wrong-password" not in done.output + done.errors
    live.runs("good1")


def test_registry_that_says_too_many_requests_is_asked_again(live: App) -> None:
    live.hosts[0].fault(
        'case "$*" in pull*) [ -e /tmp/asked ] || { echo x >/tmp/asked;'
        ' echo "toomanyrequests: You have reached your pull rate limit" >&2; exit 1; };; esac'
    )
    live.hosts[0].root("rm", "-f", "/tmp/asked")
    done = live.deploy("good2")
    assert done.code == 0, done.output
    assert live.hosts[0].root("cat", "/tmp/asked") == "x\n"


def test_pull_that_hangs_ends_with_the_time_limit_and_changes_nothing(live: App) -> None:
    # (the host's own limit begins later than the job's, and it is longer busy)
    live.hosts[0].fault("case \"$*\" in pull*) trap '' TERM; exec sleep 22;; esac")
    done = live.deploy("good2", DEPLOY_TIMEOUT="12")
    assert done.code == 21, done.output
    assert "the deployment continues on the host" in done.output
    live.settle()
    assert live.audit()[-1]["outcome"] == "failed"
    live.runs("good1")


# --- the host ---


def test_full_disk_is_noticed_before_the_pull(live: App) -> None:
    done = live.deploy("good2", COMPOSE_MIN_FREE="99000000")
    assert done.code == 20, done.output
    assert "MB are free in" in done.output
    assert "pulling" not in done.output
    live.runs("good1")


def test_disk_that_is_full_of_our_own_files_leaves_what_runs_alone(live: App) -> None:
    """A file system of our own for the releases, filled to the last byte."""
    home, real = live.state, f"/root/{live.name}"
    live.hosts[0].root(
        "sh", "-c",
        f"mv {home} {real} && mkdir {home} && mount -t tmpfs -o size=256k,mode=700 none {home}"
        f" && chown deploy {home} && cp -a {real}/. {home}/ && "
        f"dd if=/dev/zero of={home}/filler bs=1k 2>/dev/null || true",
    )  # fmt: skip
    try:
        done = live.deploy("good2")
        assert done.code in {20, 21}, done.output
        assert live.versions() == ["good1"]
    finally:
        live.hosts[0].root("sh", "-c", f"umount {home} && rmdir {home} && mv {real} {home}")
    assert live.deploy("good2").code == 0


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (
            'case "$*" in compose*) echo "not a docker command" >&2; exit 1;; esac',
            10,
            "there is no `docker compose` (version 2 or newer)",
        ),
        (
            'case "$*" in ps*) echo "permission denied while trying" >&2; exit 1;; esac',
            12,
            "usermod -aG docker deploy",
        ),
        (
            'case "$*" in ps*) echo "Cannot connect to the Docker daemon" >&2; exit 1;; esac',
            10,
            "Docker on",
        ),
    ],
    ids=["no Compose 2", "not in the group docker", "engine down"],
)
def test_host_that_cannot_be_used_is_refused_with_the_remedy(
    app: App, fault: str, code: int, words: str
) -> None:
    app.hosts[0].fault(fault)
    done = app.deploy("good1")
    assert done.code == code, done.output
    assert words in done.output
    assert app.hosts[0].sh(f"ls -A {app.name}") == ".env\n", "nothing was left there"


def test_compose_1_beside_it_is_named_in_the_refusal(app: App) -> None:
    app.hosts[0].fault('case "$*" in compose*) echo "is not a docker command" >&2; exit 1;; esac')
    path = "/usr/local/bin/docker-compose"
    app.hosts[0].root(
        "sh", "-c", f"printf '#!/bin/sh\\necho 1.29.2\\n' >{path} && chmod 755 {path}"
    )
    try:
        done = app.deploy("good1")
    finally:
        app.hosts[0].root("rm", path)
    assert done.code == 10
    assert "only docker-compose 1.29.2" in done.output


def test_directory_that_does_not_exist_is_named_and_not_made(app: App) -> None:
    done = app.deploy("good1", DEPLOY_PATH="/home/deploy/typo")
    assert done.code == 2, done.output
    assert "there is no directory /home/deploy/typo" in done.output
    assert "typo" not in app.hosts[0].sh("ls")


def test_there_is_nothing_to_unlock(app: App) -> None:
    """The lock ends with the deploy that holds it."""
    done = app.run("unlock", "--yes")
    assert done.code == 0, done.output
    assert "not locked" in done.output + done.errors


# --- `docker compose up` itself fails ---


def test_migration_that_others_wait_for_tells_why_it_failed(live: App) -> None:
    """Its last words, and not only that `docker compose up` failed. (faults H3)"""
    live.write(
        f"{live.small}    depends_on: {{migrate: {{condition: service_completed_successfully}}}}\n"
        f"  migrate:\n    image: {live.registry.image}:${{DEPLOY_TAG}}\n    network_mode: none\n"
        '    command: ["sh", "-c", "echo relation users already exists; exit 1"]\n'
        '    entrypoint: []\n    restart: "no"\n'
    )
    done = live.deploy("good2")
    assert done.code == 23, done.output
    assert 'service "migrate" didn\'t complete successfully: exit 1' in done.report["message"]
    assert "relation users already exists" in "\n".join(done.report["lines"])
    live.runs("good1")


def test_port_that_is_taken_is_the_reason(live: App) -> None:
    """(faults H3)"""
    ports = 'ports: ["8097:80"]'
    live.write(live.small.replace("network_mode: none", ports))
    taken = f"docker run -d --name {live.name}-taken -p 8097:80 {live.registry.image}:good1"
    live.hosts[0].root("sh", "-c", taken)
    try:
        done = live.deploy("good2")
    finally:
        live.hosts[0].root("docker", "rm", "-f", f"{live.name}-taken")
    assert done.code == 23, done.output
    assert "port is already allocated" in done.report["message"]
    live.runs("good1")
