"""DEPLOY_IMAGE_ARCHIVE: images go from the job to the hosts, with no registry between them."""

from __future__ import annotations

import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.compose.app import LABEL, App
from standins.compose.archived import COMPOSE, build, given, image_of, images
from standins.support import until

CONTAINERD = """
echo '{"features": {"containerd-snapshotter": true}}' >/tmp/store.json
dockerd --config-file /tmp/store.json --data-root /var/lib/docker/blobs --exec-root /run/blobs \
    -p /run/blobs.pid -H unix:///run/blobs.sock --bridge=none --iptables=false \
    >/tmp/blobs.log 2>&1 &
"""


@pytest.fixture
def shipped(app: App) -> Iterator[App]:
    """An app whose image is in no registry."""
    app.write(COMPOSE.format(image=image_of(app)))
    yield app
    for host in app.hosts[: app.used]:
        names = " ".join(images(app, host))
        mine = f"$(docker ps -aq --filter {LABEL}.project={app.name})"
        host.root("sh", "-c", f"docker rm -f {mine}; docker rmi -f {names}", check=False)


def test_only_the_layers_that_a_host_lacks_are_sent(shipped: App, tmp_path: Path) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1", "v2"])

    planned = app.run("plan", **given(archives["v1"]), DEPLOY_TAG="v1")
    assert planned.code == 0, planned.output
    assert "lacks 3 of 3 layers" in planned.output
    assert images(app, host) == set()

    first = app.deploy("v1", **given(archives["v1"]))
    assert first.code == 0, first.output
    assert app.versions() == ["v1"]

    second = app.deploy("v2", **given(archives["v2"]))
    assert second.code == 0, second.output
    assert "lacks 1 of 3 layers: 0.0 of " in second.output
    assert "send 1 layer to" in second.output
    assert app.versions() == ["v2"]
    assert all(
        name.startswith(f"{image_of(app)}:v") and len(name) > 20 for name in images(app, host)
    )

    again = app.deploy("v2", **given(archives["v2"]))
    assert again.report["status"] == "skipped"

    back = app.run("rollback", **given(archives["v2"]))
    assert back.code == 0, back.output
    assert app.versions() == ["v1"]


def test_release_goes_back_by_its_image_whatever_its_tag_means_now(
    shipped: App, tmp_path: Path
) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1", "v2"])
    for tag in archives:
        done = app.deploy(tag, **given(archives[tag]))
        assert done.code == 0, done.output
    [name] = [each for each in images(app, host) if ":v1-" in each]
    # Somebody tidies up: the name is gone, the image is still there by another one.
    host.root("docker", "tag", name, f"{image_of(app)}:kept")
    host.root("docker", "rmi", name)
    back = app.run("rollback", **given(""))
    assert back.code == 0, back.output
    assert app.versions() == ["v1"]
    # With the image it cannot go back, and says why before anything is stopped.
    assert app.run("rollback", "v2", **given("")).code == 0
    host.root("docker", "rmi", "-f", name, f"{image_of(app)}:kept")
    lost = app.run("rollback", **given(""))
    assert lost.code == 20, lost.output
    assert "no registry has it: deploy its archive again" in lost.output
    assert app.versions() == ["v2"]


def test_two_hosts_get_what_each_of_them_lacks(shipped: App, tmp_path: Path) -> None:
    app = shipped
    archives = build(app, tmp_path, ["v1", "v2"])
    assert app.deploy("v1", **given(archives["v1"])).code == 0
    app.use(2)
    done = app.deploy("v2", **given(archives["v2"]))
    assert done.code == 0, done.output
    assert "lacks 1 of 3" in done.output
    assert "lacks 3 of 3" in done.output
    assert app.versions(0) == app.versions(1) == ["v2"]


def test_where_layers_have_gone_meanwhile_all_are_sent(shipped: App, tmp_path: Path) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1", "v2"])
    assert app.deploy("v1", **given(archives["v1"])).code == 0
    host.fault(
        'case "$*" in "load -q") if [ ! -e /tmp/refused ]; then touch /tmp/refused; '
        "cat >/dev/null; echo open layer.tar: no such file or directory >&2; exit 1; fi;; esac"
    )
    done = app.deploy("v2", **given(archives["v2"]))
    host.root("rm", "/tmp/refused")
    assert done.code == 0, done.output
    assert "so all layers of the images are sent" in done.output
    assert app.versions() == ["v2"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_job_that_ends_while_it_sends_leaves_what_runs(
    shipped: App, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1", "v2"], own=20_000_000)  # more than pipes and ssh hold
    assert app.deploy("v1", **given(archives["v1"])).code == 0
    host.hold("'load -q'")
    running = app.start("v2", **given(archives["v2"]))
    host.held()
    running.signal(signum)
    done = running.done(timeout=60)
    assert done.code == code, done.output
    host.release()
    until(lambda: not host.root("sh", "-c", "pgrep -f '[d]ocker load' || true"))
    assert app.versions() == ["v1"]
    assert not any(":v2-" in each for each in images(app, host))
    assert app.outcomes() == ["live"]
    after = app.deploy("v2", **given(archives["v2"]))
    assert after.code == 0, after.output


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kills_at_random_moments_end_in_the_right_state(shipped: App, tmp_path: Path) -> None:
    """Of the job, or of its program on the host too; the layers are sent each time."""
    app, host, choose = shipped, shipped.hosts[0], random.Random(20261130)
    archives = build(app, tmp_path, ["v1", "v2", "v3"], own=20_000_000)
    whole, ends = app.deploy("v1", **given(archives["v1"])), Counter[str]()
    assert whole.code == 0, whole.output
    for number in range(30):
        tag = f"v{2 + number % 2}"
        running = app.start(tag, **given(archives[tag]))
        host.strike(running, whole.seconds, choose)
        ends[" ".join(app.versions()) or "nothing"] += 1
        done = app.deploy(tag, **given(archives[tag]))
        assert done.code == 0, done.output
        assert app.versions() == [tag]
        assert app.run("rollback", "v1", **given("")).code == 0
        sent = [each for each in images(app, host) if f":{tag}-" in each]
        host.root("docker", "rmi", "-f", *sent)
    print(f"30 kills of deploys of archives: {dict(ends)} ran; all healed", file=sys.stderr)


@pytest.mark.long
def test_deadline_while_it_sends_leaves_what_runs(shipped: App, tmp_path: Path) -> None:
    """Takes a minute: the whole time of the job passes while the host takes nothing."""
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1", "v2"], own=20_000_000)  # more than pipes and ssh hold
    assert app.deploy("v1", **given(archives["v1"])).code == 0
    host.hold("'load -q'")
    done = app.deploy("v2", **given(archives["v2"], DEPLOY_TIMEOUT="40"))
    host.release()
    assert done.code == 20, done.output
    assert "not sent in time (DEPLOY_TIMEOUT). No container was touched" in done.output
    assert app.versions() == ["v1"]


def test_archive_that_does_not_fit_is_refused_before_anything(shipped: App, tmp_path: Path) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1"])
    done = app.deploy("v9", **given(archives["v1"]))
    assert done.code == 2, done.output
    assert (
        f"app needs {image_of(app)}:v9, but the archive contains {image_of(app)}:v1" in done.output
    )
    (tmp_path / "cut.tar").write_bytes(archives["v1"].read_bytes()[:200_000])
    done = app.deploy("v1", **given(f"{tmp_path}/none.tar {tmp_path}/cut.tar"))
    assert done.code == 2, done.output
    assert "none.tar: there is no such file" in done.output
    assert "cut.tar: it cannot be read (unexpected end of data): is it complete?" in done.output
    assert images(app, host) == set()
    assert app.containers() == []


def test_review_app_from_an_archive_leaves_no_image(shipped: App, tmp_path: Path) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1"])
    more = given(archives["v1"], DEPLOY_TAG="v1", REVIEW_APP_NAME=f"{app.name}-branch")
    done = app.run("review", **more)
    assert done.code == 0, done.output
    assert len(images(app, host)) == 1
    done = app.run("destroy", **more)
    assert done.code == 0, done.output
    assert images(app, host) == set()


def test_containerd_image_store_takes_it_too(shipped: App, tmp_path: Path) -> None:
    app, host = shipped, shipped.hosts[0]
    archives = build(app, tmp_path, ["v1", "v2"])
    host.root("sh", "-c", CONTAINERD)
    host.until("test -S /run/blobs.sock && docker -H unix:///run/blobs.sock info >/dev/null 2>&1")
    host.fault("export DOCKER_HOST=unix:///run/blobs.sock")
    try:
        for tag, said in (("v1", "lacks 3 of 3"), ("v2", "lacks 1 of 3")):
            done = app.deploy(tag, **given(archives[tag]))
            assert done.code == 0, done.output
            assert said in done.output
            assert "so all are sent" not in done.output
            assert app.versions() == [tag]
        back = app.run("rollback", **given(""))
        assert back.code == 0, back.output
        assert app.versions() == ["v1"]
    finally:
        host.root("sh", "-c", "docker rm -f $(docker ps -aq)", check=False)
        host.release()
        host.root("sh", "-c", "kill $(cat /run/blobs.pid)")
        host.until("! test -e /run/blobs.pid")
        host.root("rm", "-rf", "/var/lib/docker/blobs")
