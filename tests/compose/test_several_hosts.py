"""Two hosts, one release: what they do together, and that they never end with different ones."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from standins.compose.app import VERIFYING, App
from standins.support import until
from tests.compose.steps import program_with_steps, steps


@pytest.fixture
def both(app: App) -> App:
    """An app on both hosts, not yet deployed."""
    app.use(2)
    return app


@pytest.fixture
def live(both: App) -> App:
    """One that runs good1 on both, and has a newer commit."""
    done = both.deploy("good1")
    assert done.code == 0, done.output
    both.checkout.commit("Next")
    return both


def _run(app: App, tag: str) -> None:
    for host in (0, 1):
        app.runs(tag, host=host)


def _host_fails(app: App, host: int, tag: str, word: str = "up -d") -> None:
    """A host whose Compose cannot do a thing with one release."""
    app.hosts[host].fault(f'case "$*" in *releases/{tag}-*" {word}"*) exit 1;; esac')


def test_both_are_deployed_side_by_side_in_one_log_over_one_connection_each(both: App) -> None:
    before = [host.connections() for host in both.hosts]
    done = both.deploy("good1")
    assert done.code == 0, done.output
    _run(both, "good1")
    for host, (connections, _) in zip(both.hosts, before, strict=True):
        assert host.connections()[0] - connections == 1
        assert f"{host.address}: {both.name}-app-1: healthy" in done.output
    first, second = (done.output.index(f"{host.address}: pulling") for host in both.hosts)
    assert max(first, second) < done.output.index("Container"), "both are ready before a switch"


def test_commands_before_traffic_run_once_on_the_first_host(both: App, tmp_path: Path) -> None:
    both.program = program_with_steps(tmp_path / "packages")
    done = both.deploy("good1", **steps("echo migrated on $(hostname)"))
    assert done.code == 0, done.output
    assert done.output.count("migrated on") == 2, "said by the container, and seen by the layer"
    assert f"{both.hosts[0].address}: migrated on" in done.output
    _run(both, "good1")


def test_host_that_cannot_pull_keeps_all_hosts_as_they_are(live: App) -> None:
    live.hosts[1].fault('case "$*" in pull*) echo "no route to host" >&2; exit 1;; esac')
    done = live.deploy("good2")
    assert done.code == 20, done.output
    assert "No running container was replaced by this release." in done.output
    assert f"{live.hosts[0].address} is unchanged" in done.output
    assert "Recreate" not in done.output
    _run(live, "good1")


def test_bad_release_is_seen_by_the_first_batch_only(live: App) -> None:
    before = live.ids(1)
    done = live.deploy("bad1")
    assert done.code == 23, done.output
    assert "waiting for Godot" in done.output
    _run(live, "good1")
    assert live.ids(1) == before


def test_host_that_fails_to_switch_takes_those_that_were_switched_back(live: App) -> None:
    _host_fails(live, 1, "good2")
    done = live.deploy("good2", COMPOSE_BATCH="2")
    assert done.code == 23, done.output
    assert f"{live.hosts[1].address}: `docker compose up` failed" in done.output
    assert f"{live.hosts[0].address} rolled back" in done.output
    _run(live, "good1")


def test_host_that_has_lost_its_containers_is_made_whole_and_the_other_left_alone(
    live: App,
) -> None:
    live.checkout.git("reset", "-q", "--hard", "HEAD~1")
    live.hosts[1].root("docker", "rm", "-f", f"{live.name}-app-1")
    before = live.ids(0)
    done = live.deploy("good1")
    assert done.code == 0, done.output
    assert done.report["status"] == "succeeded"
    _run(live, "good1")
    assert live.ids(0) == before


def test_second_host_is_brought_to_the_release_of_the_first(app: App) -> None:
    assert app.deploy("good1").code == 0
    app.use(2)
    done = app.deploy("good1")
    assert done.code == 0, done.output
    _run(app, "good1")


def test_rollback_goes_back_on_all(live: App) -> None:
    assert live.deploy("good2").code == 0
    done = live.run("rollback")
    assert done.code == 0, done.output
    _run(live, "good1")


def test_two_pipelines_with_the_hosts_in_another_order_do_not_block_each_other(live: App) -> None:
    other = " ".join(host.address for host in reversed(live.hosts))
    first = live.start("good2")
    second = live.start("good3", SERVER_HOST=other)
    codes = [first.done().code, second.done().code]
    assert codes == [0, 0]
    assert live.current(0) == live.current(1)
    _run(live, live.current().partition("-")[0])


# --- the job is killed ---


def _wait_at(app: App, host: int, gate: str) -> None:
    """Until a host waits for the job to open a gate."""
    until(lambda: app.newest("log", host).rstrip().endswith(f"gate {gate}"))


def _give_up(app: App, host: int) -> None:
    """The host loses its patience; again and again, since its own first beat may come later."""

    def over() -> bool:
        app.lose_patience(host)
        return not app.locked(host)

    until(over, 60)


def test_job_killed_before_all_are_ready_leaves_both_as_they_are(live: App) -> None:
    live.hosts[1].hold("pull*")
    running = live.start("good2")
    live.hosts[1].held()
    running.signal(signal.SIGKILL)
    running.done()
    live.hosts[1].release()
    _wait_at(live, 0, "switch")
    _wait_at(live, 1, "switch")
    for host in (0, 1):
        _give_up(live, host)
    _run(live, "good1")
    assert live.outcomes()[-1] == live.outcomes(1)[-1] == "failed"
    assert live.deploy("good2").code == 0
    _run(live, "good2")


def test_job_killed_after_the_first_was_switched_takes_it_back(live: App) -> None:
    """Nobody could tell the second what the first has found out."""
    before = live.ids(1)
    live.hosts[0].hold(VERIFYING)
    running = live.start("good2")
    live.hosts[0].held()
    running.signal(signal.SIGKILL)
    running.done()
    live.hosts[0].release()
    _wait_at(live, 0, "keep")
    for host in (0, 1):
        _give_up(live, host)
    _run(live, "good1")
    assert live.ids(1) == before


def test_job_cancelled_before_all_are_ready_tells_them_to_stay(live: App) -> None:
    live.hosts[1].hold("pull*")
    running = live.start("good2")
    live.hosts[1].held()
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    live.hosts[1].release()
    assert done.code == 143, done.output
    assert "not all hosts have verified" in done.output
    for host in (0, 1):
        live.settle(host)
    _run(live, "good1")


def test_job_cancelled_after_the_first_was_switched_takes_it_back(live: App) -> None:
    before = live.ids(1)
    live.hosts[0].hold(VERIFYING)
    running = live.start("good2")
    live.hosts[0].held()
    running.signal(signal.SIGTERM)
    done = running.done(timeout=10)
    assert done.code == 143, done.output
    assert "those that were switched roll back, the others stay" in done.output
    live.hosts[0].release()
    for host in (0, 1):
        live.settle(host)
    _run(live, "good1")
    assert live.ids(1) == before


def test_program_killed_on_one_host_takes_the_other_back_too(live: App) -> None:
    live.hosts[0].hold(VERIFYING)
    running = live.start("good2")
    live.hosts[0].held()
    live.hosts[0].kill_runs()
    live.hosts[0].release()
    done = running.done()
    assert "was killed; cleaning up what it left behind" in done.output
    assert done.code in {20, 23}, done.output
    _run(live, "good1")
