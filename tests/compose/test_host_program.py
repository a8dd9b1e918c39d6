"""The host's program alone, with a stand-in for `docker` (alone.py says why): what is proven, what
is kept, what is taken back."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ci_deploy.layers.providers.compose.facts import read_facts
from ci_deploy.layers.providers.compose.hosts import host_program
from ci_deploy.layers.providers.docker.files import digest
from standins.support import Checkout, until
from tests.compose.alone import APP, REPOSITORY, SERVICES, Alone


@pytest.fixture
def live(host: Alone) -> Alone:
    """One that runs good1."""
    assert host.deploy("good1") == "live good1-1"
    return host


def test_stand_in_is_good_enough_for_a_whole_deploy_and_a_way_back(live: Alone) -> None:
    assert live.deploy("good2") == "live good2-1"
    live.runs_only("good2")
    assert live.deploy("bad1").startswith("rolled-back shop-app-1: unhealthy")
    live.runs_only("good2")


def test_two_jobs_that_write_the_same_file_at_once_do_not_fail_each_other(host: Alone) -> None:
    """Both bring the project's name at their start, before there is a lock."""
    program = host_program()[1].decode().removesuffix('"$@"\n')
    loop = "i=0; while [ $i -lt 300 ]; do put project shop || exit 1; i=$((i + 1)); done\n"
    argv = ["sh", "-c", f"{program}\n{loop}"]
    writers = [subprocess.Popen(argv, cwd=host.path, stderr=subprocess.PIPE) for _ in range(3)]
    assert [writer.communicate()[1] for writer in writers] == [b"", b"", b""]
    assert (host.path / "project").read_text() == "shop\n"
    assert [each.name for each in host.path.glob("project*")] == ["project"]


def test_probe_takes_files_that_the_host_has_already_without_waiting_for_ours(live: Alone) -> None:
    """That takes a round trip; where the digests differ in anything, ours are read."""
    parts = live.parts("good1")
    digests = [digest({**parts, "app.env": made}) for made in (b"", b"A=1\n")]
    assert digests[0] == live.call("sum_of", str(live.state / "current")).stdout.decode().strip()
    asked = [live.call("probe", APP, "-", each, stdin=b"no tar").stdout for each in digests]
    assert [b"\nmodel\n" in answer for answer in asked] == [True, False]


def test_first_release_that_fails_does_not_stop_what_ran_before_and_was_left_alone(
    host: Alone,
) -> None:
    """A project that was run by hand until now, with a database that nobody wants to lose."""
    services = {**SERVICES, "db": {"image": f"{REPOSITORY}:good3"}}
    assert (
        host.deploy("good1", host.parts("good1", services, "app tag env\ndb\n")) == "live good1-1"
    )
    shutil.rmtree(host.state)
    before = host.read()["containers"]["shop-db-1"]["id"]
    end = host.deploy("bad1", host.parts("bad1", services, "app tag env\ndb\n"))
    assert end.startswith("stopped shop-app-1: unhealthy")
    assert host.running() == {"shop-db-1": "sha256:good3-id"}
    assert host.read()["containers"]["shop-db-1"]["id"] == before


def test_release_that_was_taken_back_for_failing_is_none_to_go_back_to(live: Alone) -> None:
    """Its health check has failed after it was live: the job goes back with `reject`."""
    assert live.deploy("good2") == "live good2-1"
    assert live.deploy("good1", action="rollback") == "live good1-1"
    assert _proven(live) == {"good1-1", "good2-1"}
    assert live.deploy("good2") == "live good2-1"
    assert live.deploy("good1", action="rollback", reject="yes") == "live good1-1"
    assert _proven(live) == {"good1-1"}
    assert live.deploy("good2") == "live good2-1", "a new try is welcome"
    assert _proven(live) == {"good1-1", "good2-1"}


def test_release_that_was_proven_once_and_fails_now_is_none_to_go_back_to(live: Alone) -> None:
    assert live.deploy("good2") == "live good2-1"
    live.fault("*releases/good1-1* up -d *")
    assert live.deploy("good1", action="rollback").startswith("rolled-back ")
    assert _proven(live) == {"good2-1"}


def _proven(host: Alone) -> set[str]:
    facts = read_facts(host.call("status", APP).stdout.decode())
    return {known.id for known in facts.releases.values() if known.live}


# --- an engine that is away ---


@pytest.mark.parametrize("match", ["* up -d *", "inspect -f {{.Name}}|*", "ps -a * {{.ID}}"])
def test_engine_that_does_not_answer_is_waited_for(live: Alone, match: str) -> None:
    live.hold("pull *good2")
    run = live.start("good2")
    live.held()
    live.release({"match": match, "times": 1, "then": [{"match": "info*", "times": 1}]})
    assert live.end(run) == "live good2-1"
    assert "Docker does not answer: waiting for it" in live.log(run)
    live.runs_only("good2")


def test_one_look_that_fails_after_a_long_time_is_no_verdict(live: Alone) -> None:
    later, date = live.engine / "later", live.engine / "date"
    ahead = f'[ ! -e {later} ] || set -- -d "+ 100 sec" "$@"'
    date.write_text(f'#!/bin/sh\n{ahead}\nexec /bin/date "$@"\n')
    date.chmod(0o755)
    live.push("slow", "starting")
    run = live.start("slow", health_timeout=1000)
    until(lambda: "phase verifying" in live.log(run))
    later.touch()
    live.fault("inspect -f {{.Name}}|*", times=1)
    until(lambda: not live.read()["faults"])
    with live.change() as data:
        data["containers"]["shop-app-1"]["behaves"] = "healthy"
    assert live.end(run) == "live slow-1"


# --- the registry ---


@pytest.mark.parametrize(
    ("image", "registry", "with_login"),
    [
        ("registry.test/shop", "registry.test", True),
        ("index.docker.io/acme/shop", "", True),
        ("acme/shop", "", True),
        ("registry.test/shop", "", False),
    ],
)
def test_login_is_used_for_the_images_of_its_registry_only(
    host: Alone, image: str, registry: str, with_login: bool
) -> None:
    services = {"app": {"image": f"{image}:${{DEPLOY_TAG}}"}}
    parts = host.parts("good1", services, "app tag\n")
    host.deploy("good1", parts, password="pass", registry=registry, user="robot")
    [folder] = host.read()["pulls"].values()
    assert bool(folder) is with_login


def test_login_does_not_lose_the_engine_that_the_user_has_chosen(host: Alone) -> None:
    """Rootless Docker is found by the context in ~/.docker/config.json."""
    own = host.path / ".docker"
    (own / "contexts").mkdir(parents=True)
    (own / "config.json").write_text('{\n\t"auths": {},\n\t"currentContext": "rootless"\n}\n')
    host.deploy("good1", password="pass", registry="registry.test", user="robot")
    assert host.read()["logins"] == [["registry.test", "rootless", True, "pass"]]


# --- what is kept ---


def _retire(host: Alone, *tags: str) -> None:
    """Let these releases be old, and a run clear up."""
    for tag in tags:
        (host.state / f"releases/{tag}-1/live").write_text("1\n")
    host.deploy("good3", keep=1)


def _images(host: Alone) -> set[str]:
    return {each["name"].rpartition(":")[2] for each in host.read()["images"].values()}


def test_image_goes_with_the_last_release_that_has_it(live: Alone) -> None:
    assert live.deploy("good2") == "live good2-1"
    _retire(live, "good1", "good2")
    assert _images(live) == {"good3"}
    assert [each.name for each in (live.state / "releases").iterdir()] == ["good3-1"]


def test_image_that_somebody_else_has_brought_stays(host: Alone) -> None:
    with host.change() as data:
        data["images"] |= data["registry"]
    assert host.deploy("good1") == "live good1-1"
    _retire(host, "good1")
    assert "good1" in _images(host)


@pytest.mark.parametrize("readable", [True, False])
def test_image_that_another_app_on_the_host_may_go_back_to_stays(
    live: Alone, tmp_path: Path, readable: bool
) -> None:
    other = tmp_path / "other app"
    images = other / ".ci-deploy/apps/blog/releases/1-a/made.x/images"
    images.parent.mkdir(parents=True)
    images.write_text("app registry.test/shop:good1 1 sha256:good1-id -\n")
    if not readable:  # root may read all, so `ls` has to say it
        ls = live.engine / "ls"
        ls.write_text("#!/bin/sh\necho \"ls: cannot open '$1': Permission denied\" >&2; exit 2\n")
        ls.chmod(0o755)
        images.write_text("")
    with live.change() as data:
        data["containers"]["blog-app-1"] = {
            **data["containers"]["shop-app-1"], "project": "blog", "folder": str(other),
            "image": "sha256:other", "id": "f" * 64,
        }  # fmt: skip
    _retire(live, "good1")
    assert "good1" in _images(live)


def test_release_of_a_run_that_waits_is_not_cleared_up(live: Alone) -> None:
    assert live.deploy("good2") == "live good2-1"
    live.hold("pull *good3")
    first = live.start("good3", keep=1)
    live.held()
    (live.state / "releases/good1-1/live").write_text("1\n")
    second = live.start("good1", action="rollback")
    live.release()
    assert live.end(first) == "live good3-1"
    assert live.end(second) == "live good1-1"
    live.runs_only("good1")


def test_two_jobs_with_one_release_do_not_meet_before_the_lock(live: Alone) -> None:
    live.hold("pull *good2")
    runs = [live.start("good2")]
    live.held()
    runs.append(live.start("good2"))
    assert (live.state / "runs" / runs[1] / "release/list").is_file()
    live.release()
    assert [live.end(run) for run in runs] == ["live good2-1", "noop good2-1 runs already"]
    assert not list(live.state.glob("runs/*/release"))


def test_release_of_a_run_that_never_got_the_lock_does_not_stay_with_its_secrets(
    live: Alone,
) -> None:
    live.hold("pull *good2")
    first = live.start("good2")
    live.held()
    assert live.end(live.start("good3", lock_timeout=0)).startswith("locked ")
    live.start("bad1")
    live.kill()
    assert live.file(f"runs/{first}/outcome") == ""
    assert [each.parent.name[:8] for each in live.state.glob("runs/*/release")] == ["20260104"]
    assert live.deploy("good1") == "noop good1-1 runs already"
    assert not list(live.state.glob("runs/*/release"))


def test_command_whose_connection_was_cut_is_cleared_up_when_it_has_ended(live: Alone) -> None:
    live.hold("logs -f shop-run-1")
    stdin = b'{"services": {"app": {"environment": {"KEY": "value"}}}}\nset -- sh -c true\n'
    words = ["one_off", APP, "shop-run-1", "app"]
    running = threading.Thread(target=live.call, args=words, kwargs={"stdin": stdin})
    running.start()
    live.held()
    live.kill()
    running.join()
    assert "shop-run-1" in live.read()["containers"]
    assert live.file("one-off.shop-run-1") == "", "its environment is gone already"
    assert live.deploy("good2") == "live good2-1"
    assert "shop-run-1" not in live.read()["containers"]
    assert not (live.state / "one-off.shop-run-1").exists()


def test_what_names_a_release_is_written_after_the_release_is_on_the_disk(live: Alone) -> None:
    seen, sync = live.engine / "seen", live.engine / "sync"
    words = f"$* $(cat {live.state}/pending) $(readlink {live.state}/current)"
    sync.write_text(f'#!/bin/sh\necho "{words}" >>{seen}\n')
    sync.chmod(0o755)
    run = live.start("good2")
    live.end(run)
    line = f"-f {live.state} good2-1 {run} releases/good1-1\n"
    assert seen.read_text() == line * 2, "before the first change, and before it is current"


# --- services that are no servers ---


def _with_job(host: Alone, tag: str) -> dict[str, bytes]:
    services = {**SERVICES, "job": {"image": f"{REPOSITORY}:job", "restart": "no"}}
    return host.parts(tag, services, "app tag env\njob task\n")


def test_task_that_still_runs_proves_nothing(live: Alone) -> None:
    live.push("job", "runs")
    end = live.deploy("good2", _with_job(live, "good2"), health_timeout=1)
    assert end.startswith("rolled-back shop-job-1: not finished within 1 s")
    assert live.current == "good1"


def test_task_is_waited_for(live: Alone) -> None:
    live.push("job", "runs")
    run = live.start("good2", _with_job(live, "good2"))
    until(lambda: "app-1: healthy" in live.log(run))
    assert live.current == "good1"
    with live.change() as data:
        data["containers"]["shop-job-1"]["status"] = "exited"
    assert live.end(run) == "live good2-1"
    assert live.file("current/proven/tasks") == "job\njob done\n"


def test_service_for_commands_in_a_profile_is_pinned_and_configured_but_not_started(
    host: Alone,
) -> None:
    console = {"image": f"{REPOSITORY}:${{DEPLOY_TAG}}", "env_file": [".env"], "profiles": ["x"]}
    flags = "app tag env\nconsole tag env optional\n"
    parts = host.parts("good1", {**SERVICES, "console": console}, flags)
    assert host.deploy("good1", parts, run_service="console") == "live good1-1"
    override = json.loads(host.file("current/proven/override.json"))["services"]["console"]
    assert override["image"] == f"{REPOSITORY}:good1@sha256:good1"
    assert override["env_file"] == [str(host.state / "releases/good1-1/app.env")]
    assert set(host.running()) == {"shop-app-1"}
    assert host.deploy("good1", parts, run_service="console").startswith("noop ")


# --- the same release again ---


def test_changed_env_counts_as_deployed_only_when_it_was_proven(live: Alone) -> None:
    (live.path / ".env").write_text("A=1\n")
    live.fault("pull *", says="no route to host", times=1)
    assert live.deploy("good1").startswith("failed ")
    facts = read_facts(live.call("status", APP).stdout.decode())
    assert facts.env != facts.known_env
    before = live.read()["containers"]
    assert live.deploy("good1") == "live good1-1"
    assert live.read()["containers"] != before
    facts = read_facts(live.call("status", APP).stdout.decode())
    assert facts.env == facts.known_env


def test_release_that_runs_stays_what_it_is_when_its_tag_has_moved_to_a_bad_image(
    live: Alone,
) -> None:
    live.push("good1", "unhealthy", build="again")
    (live.path / ".env").write_text("A=1\n")
    assert live.deploy("good1").startswith("rolled-back ")
    live.runs_only("good1")
    assert live.deploy("good2") == "live good2-1"
    assert live.deploy("good1", action="rollback") == "live good1-1"
    live.runs_only("good1")


def test_release_that_runs_is_made_whole_without_a_registry(live: Alone) -> None:
    with live.change() as data:
        data["containers"].clear()
    live.push("good1", "unhealthy", build="again")
    live.fault("pull *")
    assert live.deploy("good1") == "live good1-1"
    live.runs_only("good1")


def test_try_that_failed_leaves_no_files_behind(live: Alone) -> None:
    for number in (1, 2, 3):
        (live.path / ".env").write_text(f"A={number}\n")
        live.deploy("good1")
    made = list((live.state / "releases/good1-1").glob("made.*"))
    assert len(made) == 2, "the one that runs, and the one before"


def test_commands_before_traffic_run_again_after_they_were_undone(live: Alone) -> None:
    parts = live.parts("good2", before=("migrate",))
    for _ in range(2):
        assert live.deploy("good2", parts, migrates="yes") == "live good2-1"
        assert live.calls("RAILS_ENV") == 1, "not again after success"
        assert live.deploy("good1") == "live good1-1"
    assert live.call("forget_commands", APP).returncode == 0
    assert live.deploy("good2", parts, migrates="yes") == "live good2-1"
    assert live.calls("RAILS_ENV") == 2


# --- what a killed run has left ---


def test_current_release_that_a_killed_run_was_bringing_anew_is_not_believed_to_run(
    live: Alone,
) -> None:
    with live.change() as data:
        data["containers"].clear()
    live.hold("* up -d *")
    live.start("good1")
    live.held()
    live.kill()
    assert live.file("pending").startswith("good1-1 ")
    assert live.deploy("good1", action="recover") == "live the unfinished release is live"
    live.runs_only("good1")


def test_all_that_is_asked_of_a_current_release_is_there_before_it_is_current(live: Alone) -> None:
    seen = live.engine / "seen"
    shim = live.engine / "ln"
    shim.write_text(f'#!/bin/sh\nls "{live.state}/releases/good2-1" >{seen}\nexec /bin/ln "$@"\n')
    shim.chmod(0o755)
    assert live.deploy("good2") == "live good2-1"
    assert {"live", "proven"} <= set(seen.read_text().split())


@pytest.mark.parametrize("action", ["recover", "deploy"])
def test_what_cannot_be_healed_is_said_to_be_broken(live: Alone, action: str) -> None:
    """A later step that fails before it touches anything must not say that nothing is wrong."""
    live.hold("inspect *")
    live.start("good2")
    live.held()
    live.kill()
    live.fault("* up -d *", says="no space left")
    end = live.deploy("nothere", action=action)
    assert end.startswith("broken ")
    assert "could not be repaired: `docker compose up` failed" in end
    live.release()
    assert live.deploy("good3") == "live good3-1"
    live.runs_only("good3")


# --- what `docker compose up` removes, and why it fails ---


def test_only_what_an_earlier_release_of_ours_has_started_is_removed(host: Alone) -> None:
    """Monitoring that another compose file runs in the same project stays. (faults H6)"""
    old = {**SERVICES, "old": {"image": f"{REPOSITORY}:good3"}}
    assert host.deploy("good1", host.parts("good1", old, "app tag env\nold\n")) == "live good1-1"
    with host.change() as data:
        data["containers"]["shop-grafana-1"] = {
            **data["containers"]["shop-old-1"], "id": "f" * 64, "service": "grafana",
            "files": f"{host.path}/monitoring.yml",
        }  # fmt: skip
    run = host.start("good2")
    assert host.end(run) == "live good2-1"
    assert set(host.running()) == {"shop-app-1", "shop-grafana-1"}
    assert "removing shop-old-1: this release has no such service" in host.log(run)


def test_service_that_a_failed_release_had_dropped_comes_back(host: Alone) -> None:
    """(faults H6)"""
    old = {**SERVICES, "old": {"image": f"{REPOSITORY}:good3"}}
    host.deploy("good1", host.parts("good1", old, "app tag env\nold\n"))
    assert host.deploy("bad1").startswith("rolled-back ")
    assert set(host.running()) == {"shop-app-1", "shop-old-1"}


@pytest.mark.parametrize(
    "said",
    [
        "Error response from daemon: driver failed programming external connectivity: port in use",
        'Error response from daemon: Conflict. The container name "/db" is already in use by "1f"',
        "network front declared as external, but could not be found",
    ],
)
def test_reason_of_docker_is_the_reason_of_the_failed_deploy(live: Alone, said: str) -> None:
    """(faults H3)"""
    live.fault("*releases/good2-1* up -d *", says=f"{said}\n Container shop-app-1  Error")
    assert live.deploy("good2") == f"rolled-back `docker compose up` failed: {said}"


def test_task_that_lets_compose_give_up_is_shown_with_its_own_last_words(host: Alone) -> None:
    """A migration that others wait for. (faults H3)"""
    host.push("job", "fails")
    host.fault("* up -d *", says='service "job" didn\'t complete successfully: exit 3', times=1)
    with host.change() as data:
        data["containers"]["shop-job-1"] = {
            "id": "e" * 64, "service": "job", "image": "sha256:job-id", "behaves": "fails",
            "status": "exited", "code": 3, "oneoff": False, "policy": "no", "project": APP,
            "folder": str(host.path), "files": "", "hash": "",
        }  # fmt: skip
    job = {**SERVICES, "job": {"image": f"{REPOSITORY}:job"}}
    run = host.start("good1", host.parts("good1", job, "app tag env\njob task\n"))
    assert host.end(run).endswith('service "job" didn\'t complete successfully: exit 3')
    assert "trouble shop-job-1\n--- the last lines of shop-job-1\n" in host.log(run)


def _ending_again_and_again(live: Alone, *, seconds: int) -> str:
    """A run whose app Docker has restarted seven times; it has these seconds to come up."""
    live.push("slow", "starting")
    run = live.start("slow", health_timeout=seconds)
    until(lambda: "phase verifying" in live.log(run))
    with live.change() as data:
        app = data["containers"]["shop-app-1"]
        app |= {"status": "restarting", "restarts": 7, "code": 1, "policy": "always"}
    return run


def test_app_that_ends_until_its_database_is_up_has_its_time(live: Alone) -> None:
    """Docker restarts it three times in the first second. (faults H8)"""
    run = _ending_again_and_again(live, seconds=30)
    seen = live.calls("inspect -f {{.Name}}|")
    until(lambda: live.calls("inspect -f {{.Name}}|") > seen + 2)
    with live.change() as data:
        data["containers"]["shop-app-1"] |= {"status": "running", "behaves": "healthy"}
    assert live.end(run) == "live slow-1"


def test_app_that_ends_again_and_again_fails_when_its_time_is_over(live: Alone) -> None:
    """(faults H8)"""
    run = _ending_again_and_again(live, seconds=2)
    assert live.end(run).startswith("rolled-back shop-app-1: it keeps exiting (exit code 1)")


@pytest.mark.parametrize(
    ("policy", "pulled"),
    [("", 1), ("always", 1), ("missing", 0), ("never", 0)],
)
def test_image_that_is_there_is_pulled_as_its_service_wants(
    host: Alone, policy: str, pulled: int
) -> None:
    """(faults H13)"""
    with host.change() as data:
        data["images"] |= data["registry"]
    parts = host.parts("good1", flags=f"app tag env {policy}".strip() + "\n")
    assert host.deploy("good1", parts) == "live good1-1"
    assert host.calls("pull -q") == pulled


# --- what a probe hands over, and what it leaves ---

SECRET = "s3ntinel-value"


def test_probe_hands_over_no_value_of_any_section(host: Alone) -> None:
    """Only what a deploy has to know; a value may stand in every section of the description."""
    described = {
        "name": "shop",
        "services": {
            "app": {
                "annotations": {"a": SECRET}, "build": {"args": {"A": SECRET}, "context": "."},
                "command": ["--password", SECRET], "entrypoint": [SECRET],
                "configs": [{"source": "c", "target": "/c"}], "secrets": [{"source": "s"}],
                "environment": {"A": SECRET}, "extra_hosts": [SECRET], "hostname": SECRET,
                "healthcheck": {"test": ["CMD", SECRET]}, "image": "app:1",
                "labels": {"a": SECRET}, "logging": {"options": {"url": SECRET}},
                "post_start": [{"command": [SECRET]}], "x-mine": {"a": SECRET},
                "ports": [{"target": 80}], "volumes": [{"type": "bind", "source": "/a"}],
            }
        },
        "networks": {"n": {"name": "n", "labels": {"a": SECRET}, "driver_opts": {"a": SECRET}}},
        "volumes": {"v": {"name": "v", "driver_opts": {"o": SECRET}, "labels": {"a": SECRET}}},
        "configs": {"c": {"name": "c", "content": SECRET}},
        "secrets": {"s": {"name": "s", "environment": SECRET}, "f": {"file": "/run/f"}},
        "x-top": {"a": SECRET, "b": [SECRET]},
    }  # fmt: skip
    done = host.call("without_values", stdin=json.dumps(described, indent=2).encode())
    assert SECRET not in done.stdout.decode()
    for known in ("app:1", '"target": 80', '"source": "/a"', '"source": "c"', '"file": "/run/f"'):
        assert known in done.stdout.decode(), known


def test_what_a_killed_probe_has_left_is_removed_by_the_next(host: Alone) -> None:
    """There is configuration in it, for the user only."""
    left, held, other = (host.path / f"ci-deploy-probe.{name}" for name in ("left", "held", "new"))
    for each in (left, held, other):
        each.mkdir()
        (each / "app.env").write_text(f"A={SECRET}\n")
    for each in (left, held):
        os.utime(each, (0, 0))
    with (held / "alive").open("w") as alive:
        os.utime(held, (0, 0))
        fcntl.flock(alive, fcntl.LOCK_EX)
        host.call("probe", APP, "-", "-", env={"TMPDIR": str(host.path)})
    assert [each.name for each in sorted(host.path.glob("ci-deploy-probe.*"))] == [
        "ci-deploy-probe.held", "ci-deploy-probe.new",
    ]  # fmt: skip


# --- what watching costs the host ---


def _seconds_of_processor(script: str, *, of: list[str], path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = ["timeout", "4", *of] if of else ["timeout", "4", "sh", "-c", script]
    subprocess.run(argv, cwd=path, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_following_a_run_costs_little_more_than_to_sleep_between_the_looks(live: Alone) -> None:
    """It goes on for as long as the app boots, beside the app. (faults H14)"""
    live.hold("pull *good2")
    run = live.start("good2")
    live.held()
    program = str(live.program.relative_to(live.path))
    follow = ["sh", program, "follow", APP, run, "0", "no"]
    bare = _seconds_of_processor("while :; do sleep 0.2; done", of=[], path=live.path)
    ours = _seconds_of_processor("", of=follow, path=live.path)
    assert ours < 3 * bare + 0.02, (ours, bare)
    live.release()
    assert live.end(run) == "live good2-1"


def test_followed_log_is_whole_from_any_line_on(live: Alone) -> None:
    """Backslashes, spaces and a last line that is still being written, too. (faults H14)"""
    run = live.start("good2")
    live.end(run)
    log = live.state / "runs" / run / "log"
    with log.open("a") as file:
        file.write("  a\\nb \n\nend")
    lines = log.read_text().splitlines()
    for seen in (0, 3, len(lines) - 1):
        done = live.call("follow", APP, run, str(seen), "no").stdout.decode().splitlines()
        numbered = [f"{number}|{line}" for number, line in enumerate(lines, 1)]
        assert done == [*numbered[seen:-1], "@t0ken ended live good2-1"]


def test_verifying_asks_docker_less_often_the_longer_it_takes(live: Alone) -> None:
    """Once for the containers, and then once for each look. (faults H14)"""
    live.push("slow", "starting")
    run = live.start("slow", health_timeout=60)
    until(lambda: "phase verifying" in live.log(run))
    time.sleep(8)
    calls = live.read()["calls"]
    verifying = calls[max(i for i, call in enumerate(calls) if " up -d " in call) :]
    assert sum(call.startswith("inspect -f {{.Name}}|") for call in verifying) <= 18
    assert sum(call.startswith("ps -a") for call in verifying) <= 2
    with live.change() as data:
        data["containers"]["shop-app-1"]["behaves"] = "healthy"
    assert live.end(run) == "live slow-1"


# --- files of the repository ---


def _with(host: Alone, tag: str, **files: str) -> dict[str, bytes]:
    """A release with files that Compose reads (`read_…`) or that containers share (`place_…`)."""
    more: dict[str, bytes] = {}
    for name, text in files.items():
        kind, _, rest = name.partition("_")
        path = rest.replace("__", "/")
        more[f"{kind}/{path}"] = text.encode()
        more[f"{kind}s"] = more.get(f"{kind}s", b"") + f"{path}\n".encode()
    return {**host.parts(tag), **more}


def test_what_somebody_has_changed_in_a_shared_directory_stays(host: Alone) -> None:
    """What a release has left there is brought up to date, and goes with it. (faults H4)"""
    first = _with(host, "good1", place_d__a="1", place_d__b="1", place_d__c="1")
    assert host.deploy("good1", first) == "live good1-1"
    folder = host.path / "d"
    (folder / "b").write_text("mine")
    (folder / "own").write_text("own")
    run = host.start("good2", _with(host, "good2", place_d__a="2", place_d__b="2"))
    assert host.end(run) == "live good2-1"
    shown = {each.name: each.read_text() for each in folder.iterdir()}
    assert shown == {"a": "2", "b": "mine", "own": "own"}
    assert "d/b was changed on this host, so the repository's version is not copied" in host.log(
        run
    )
    assert host.deploy("good1", action="rollback") == "live good1-1"
    shown = {each.name: each.read_text() for each in folder.iterdir()}
    assert shown == {"a": "1", "b": "mine", "c": "1", "own": "own"}


def test_only_files_that_differ_are_looked_at_one_by_one(host: Alone) -> None:
    """A whole repository may be mounted (`.:/app`): a program for each file would take long."""
    files = {"place_d__a b": "1", "place_d__c": "1", "place_d__e": "1"}
    assert host.deploy("good1", _with(host, "good1", **files)) == "live good1-1"
    (host.path / "d/e").unlink()
    run = host.start("good2", _with(host, "good2", **{**files, "place_d__c": "2"}))
    assert host.end(run) == "live good2-1"
    assert sorted((host.state / "runs" / run / "places").read_text().splitlines()) == ["d/c", "d/e"]
    assert [(host.path / "d" / name).read_text() for name in ("a b", "c", "e")] == ["1", "2", "1"]


def test_file_of_a_checkout_that_nobody_has_changed_is_brought_up_to_date(host: Alone) -> None:
    """DEPLOY_PATH was pulled by hand until now: old code would stay, and the deploy be green."""
    folder = host.path / "d"
    folder.mkdir()
    for name in ("same", "changed"):
        (folder / name).write_text("0")
    Checkout(host.path, {})
    (folder / "changed").write_text("mine")
    (folder / "added").write_text("mine")
    files = {f"place_d__{name}": "1" for name in ("same", "changed", "added")}
    run = host.start("good1", _with(host, "good1", **files))
    assert host.end(run) == "live good1-1"
    shown = {each.name: each.read_text() for each in folder.iterdir()}
    assert shown == {"same": "1", "changed": "mine", "added": "mine"}
    assert "d/same" not in host.log(run)
    again = {name: text.replace("1", "2") for name, text in files.items()}
    assert host.deploy("good2", _with(host, "good2", **again)) == "live good2-1"
    assert (folder / "same").read_text() == "2"


def test_variables_without_a_value_are_named_from_what_compose_warns_of(host: Alone) -> None:
    """As it prints them for a file, and for a terminal."""
    warned = 'level=warning msg="The \\"{}\\" variable is not set. Defaulting to a blank string."'
    lines = [warned.format("B_2"), 'WARN[0000] The "A" variable is not set. …', warned.format("A")]
    (host.path / "model.errors").write_text("".join(f"{each}\n" for each in (*lines, "other")))
    words = ("unset_variables", str(host.path / "model.errors"), "/dev/null")
    done = host.call(*words)
    assert done.stdout.decode() == "unset A\nunset B_2\n"
    (host.path / "model.errors").unlink()
    assert not host.call(*words).stdout


def test_what_compose_reads_is_that_of_the_release_that_runs(host: Alone) -> None:
    """Also after one that failed before its switch; what was there by hand is kept. (faults H4)"""
    file = host.path / "app.environ"
    file.write_text("by hand")
    assert host.deploy("good1", _with(host, "good1", read_app="1")) == "live good1-1"
    assert host.deploy("good2", _with(host, "good2", **{"read_app.environ": "2"})) == "live good2-1"
    assert file.read_text() == "2"
    assert host.file("replaced/app.environ") == "by hand"
    end = host.deploy("nothere", _with(host, "nothere", **{"read_app.environ": "3"}))
    assert end.startswith("failed ")
    assert file.read_text() == "2"
    assert host.deploy("bad1", _with(host, "bad1", **{"read_app.environ": "4"})).startswith(
        "rolled-back "
    )
    assert file.read_text() == "2"


def test_copies_go_with_the_last_release_that_has_them(live: Alone) -> None:
    """(faults H4)"""

    def parts(tag: str, *sums: str) -> dict[str, bytes]:
        names = "".join(f"{each}\n" for each in sums).encode()
        contents = {f"content/{each}": each.encode() for each in sums}
        return {**live.parts(tag), "contents": names, **contents}

    assert live.deploy("good2", parts("good2", "one", "two")) == "live good2-1"
    assert oct((live.state / "content/one").stat().st_mode)[-3:] == "644"
    assert live.deploy("good1", action="rollback") == "live good1-1"
    live.deploy("good3", parts("good3", "two"))
    (live.state / "releases/good2-1/live").write_text("1\n")
    (live.state / "releases/good1-1/live").write_text("2\n")
    (live.path / ".env").write_text("A=1\n")
    assert live.deploy("good3", parts("good3", "two"), keep=1) == "live good3-1"
    assert [each.name for each in (live.state / "content").iterdir()] == ["two"]
