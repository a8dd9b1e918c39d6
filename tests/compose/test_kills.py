"""Every row of the failure matrix: what is killed when, what is left, and what heals it."""

from __future__ import annotations

import signal
import time

from standins.compose.app import VERIFYING, App
from standins.support import until

PULLING = "pull*"  # what `docker` is called with at this moment


def _lose(app: App, tag: str, words: str, first: str = ":") -> None:
    """Begin a deploy; when the host calls `docker` with such words, kill the job and the program on
    the host. `first` is done on the host before."""
    host = app.hosts[0]
    host.hold(words, first)
    running = app.start(tag)
    host.held()
    running.signal(signal.SIGKILL)
    host.kill_runs()
    running.done()
    host.release()
    app.settle()


# --- the job is killed ---


def test_job_killed_during_the_upload_leaves_nothing_that_could_start(live: App) -> None:
    live.hosts[0].sh(
        f"cd {live.name} && printf 'password\\nhalf a tar' | "
        f"sh .ci-deploy/runner-*.sh stage {live.name} 20200101T000000.000-dead",
        check=False,
    )
    assert "dead" not in live.hosts[0].sh(f"ls {live.state}/runs")
    live.hosts[0].sh(
        f"mkdir -p {live.state}/.in.old && touch -d '2 hours ago' {live.state}/.in.old"
    )
    assert live.deploy("good2").code == 0
    assert ".in." not in live.hosts[0].sh(f"ls -A {live.state}")


def test_job_killed_before_the_start_is_no_hindrance_for_the_next(live: App) -> None:
    _lose(live, "good2", "login*")
    assert "good2" not in live.hosts[0].sh(f"ls {live.state}/releases")
    live.runs("good1")
    assert live.deploy("good2").code == 0
    live.runs("good2")


def test_job_killed_after_the_start_changes_nothing_for_the_host_and_the_next_run_says_so(
    live: App,
) -> None:
    live.hosts[0].hold(VERIFYING)
    running = live.start("good2")
    live.hosts[0].held()
    running.signal(signal.SIGKILL)
    running.done()
    live.hosts[0].release()
    live.settle()
    live.runs("good2")
    assert live.outcomes()[-1] == "live"
    done = live.deploy("good2")
    assert done.code == 0, done.output
    assert "result of a previous run that was never reported: deploy of good2-" in done.output
    assert done.report["status"] == "skipped"


def test_second_pipeline_waits_and_says_for_whom(live: App) -> None:
    live.hosts[0].hold(f"{PULLING}good2")
    job = {"GITLAB_CI": "true", "CI_JOB_URL": "https://ci.example.com/jobs/7"}
    first = live.start("good2", **job)
    live.hosts[0].held()
    second = live.start("good3")
    until(lambda: "waiting for" in live.newest("log"))
    live.hosts[0].release()
    done = second.done()
    assert done.code == 0, done.output
    assert "waiting for deploy of good2-" in done.output
    assert "by https://ci.example.com/jobs/7, pulling" in done.output
    assert first.done().code == 0
    live.runs("good3")


def test_lock_that_is_held_too_long_ends_the_job_with_its_holder(live: App) -> None:
    live.hosts[0].hold(f"{PULLING}good2")
    first = live.start("good2")
    live.hosts[0].held()
    second = live.deploy("good3", LOCK_TIMEOUT="1")
    assert second.code == 13, second.output
    assert "held by deploy of good2-" in second.output
    unlocked = live.run("unlock", "--yes")
    assert unlocked.code == 14, unlocked.output
    assert "it is released when its deployment ends" in unlocked.output + unlocked.errors
    live.hosts[0].release()
    assert first.done().code == 0
    live.runs("good2")


def test_same_release_from_two_jobs_at_once_is_deployed_once(live: App) -> None:
    jobs = [live.start("good2"), live.start("good2")]
    done = [job.done() for job in jobs]
    assert [job.code for job in done] == [0, 0], "\n".join(job.output for job in done)
    # (one that comes late finds it done, and starts nothing)
    assert live.outcomes() in (["live", "live", "noop"], ["live", "live"])
    live.runs("good2")


# --- the program on the host is killed ---


def test_program_killed_while_pulling_leaves_the_old_one_and_starts_over(live: App) -> None:
    _lose(live, "good2", PULLING)
    live.runs("good1")
    assert live.deploy("good2").code == 0
    live.runs("good2")


def test_compose_killed_between_stop_and_start_is_healed_by_the_next_run(live: App) -> None:
    """The old container is gone, the new one is `Created` under a name of its own: down."""
    at_its_end = (
        "rm -f /tmp/died; since=$(date +%s); "
        '(/usr/bin/docker events --since "$since" --filter event=die'
        f" --filter label=com.docker.compose.project={live.name}"
        ' --format "{{.ID}}" | head -n 1 >/tmp/died) 9>&- 8>&- & '
        '/usr/bin/docker "$@" & '
        "until [ -s /tmp/died ]; do sleep 0.01; done; pkill -KILL docker-compose"
    )
    _lose(live, "good2", '*" up -d"*', at_its_end)
    live.hosts[0].root("pkill", "-f", "docker event[s]", check=False)
    done = live.deploy("good3")
    assert done.code == 0, done.output
    assert "was left unfinished" in done.output
    live.runs("good3")


def test_program_killed_while_verifying_a_good_release_is_finished_by_the_next_run(
    live: App,
) -> None:
    _lose(live, "good2", VERIFYING)
    assert live.current().startswith("good1-")
    assert live.read("pending").startswith("good2-")
    done = live.deploy("good2")
    assert done.code == 0, done.output
    assert "is live" in done.output
    live.runs("good2")
    assert "interrupted, is live" in live.outcomes()


def test_program_killed_while_verifying_a_bad_release_is_rolled_back_by_the_next_run(
    live: App,
) -> None:
    _lose(live, "bad1", VERIFYING)
    live.checkout.commit("Repair")
    done = live.deploy("good3")
    assert done.code == 0, done.output
    assert "waiting for Godot" in done.output
    assert "was rolled back to good1-" in done.output
    live.runs("good3")


def test_program_killed_while_rolling_back_goes_on_with_that(live: App) -> None:
    _lose(live, "bad1", '*releases/good1-*" up -d"*')
    assert live.versions() == []
    done = live.deploy("good2")
    assert done.code == 0, done.output
    assert "was rolled back to good1-" in done.output
    live.runs("good2")


def test_program_killed_between_the_switch_and_the_audit_line_leaves_only_the_line_to_write(
    live: App,
) -> None:
    script = (
        f'cd {live.state} && echo "$(basename $(readlink current)) $(ls runs | tail -n 1)" >pending'
    )
    live.hosts[0].sh(script)
    done = live.deploy("good1", DEPLOY_REVISION="HEAD~1")
    assert done.code == 0, done.output
    assert "interrupted, is live" in live.outcomes()
    live.runs("good1")


def test_killed_program_is_noticed_by_a_job_that_lives_and_cleared_up_at_once(live: App) -> None:
    live.hosts[0].hold(VERIFYING)
    running = live.start("good2")
    live.hosts[0].held()
    live.hosts[0].kill_runs()
    live.hosts[0].release()
    done = running.done()
    assert "was killed; cleaning up what it left behind" in done.output
    assert done.code == 0, done.output
    live.runs("good2")


def test_host_that_loses_its_power_during_a_deploy_is_healed_in_the_same_job(live: App) -> None:
    live.hosts[0].hold(VERIFYING)
    running = live.start("good2")
    live.hosts[0].held()
    live.hosts[0].kill()
    time.sleep(0.5)
    live.hosts[0].start()
    live.hosts[0].release()
    done = running.done(timeout=120)
    assert "the connection to" in done.output
    assert done.code == 0, done.output
    live.runs("good2")


def test_job_that_was_away_reports_how_another_run_has_repaired_its_own(live: App) -> None:
    """It took the other run's sentence for an end in which no container was touched."""
    host = live.hosts[0]
    host.hold(VERIFYING)
    running = live.start("bad1")
    host.held()
    running.signal(signal.SIGSTOP)
    host.kill_runs("[r]unner-[0-9a-f]*.sh follow")
    host.release()
    _recover_all(live)
    running.signal(signal.SIGCONT)
    done = running.done()
    assert done.code == 23, done.output
    assert "the run was killed; bad1-" in done.output
    assert "was rolled back to good1-" in done.output
    live.runs("good1")


def _recover_all(app: App) -> None:
    line = "for f in .ci-deploy/runner-*.sh; do sh $f recover_all; done"
    app.hosts[0].sh(f"cd {app.name} && {line}")


def test_recover_can_be_run_by_hand_after_a_reboot(live: App) -> None:
    """For an @reboot line in the host's crontab: no next deploy is needed to come up again."""
    _lose(live, "good2", VERIFYING)
    live.hosts[0].root("docker", "stop", f"{live.name}-app-1")
    _recover_all(live)
    live.runs("good2")
    assert "interrupted, is live" in live.outcomes()
