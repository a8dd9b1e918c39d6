"""Commands before traffic (migrations): in the new image, once, and whatever is killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from standins.compose.app import App
from standins.support import until
from tests.compose.steps import program_with_steps, steps

# Counts in a volume how often it was started.
COUNT = "echo $VERSION $RAILS_ENV >>/data/started"
WAIT = "until test -e /data/go; do sleep 0.1; done"


@pytest.fixture
def app(app: App, tmp_path: Path) -> App:
    """With the layer that wants commands to run."""
    app.program = program_with_steps(tmp_path / "packages")
    return app


def _with_volume(app: App) -> None:
    volume = '    volumes: ["./data:/data"]\n'
    app.small += volume
    app.write(app.small)
    app.hosts[0].sh(f"mkdir -p {app.name}/data")


def _started(app: App) -> list[str]:
    return app.hosts[0].root("cat", f"{app.folder}/data/started", check=False).splitlines()


def test_commands_run_once_in_the_new_image_before_anything_is_switched(app: App) -> None:
    _with_volume(app)
    assert app.deploy("good1").code == 0
    old = app.ids()
    looking = "ls /data; test ! -e /data/x; echo hello from $VERSION"
    done = app.deploy("good2", **steps(COUNT, looking))
    assert done.code == 0, done.output
    assert _started(app) == ["good2 production"]
    at_step, at_switch = done.output.index("hello from good2"), done.output.index("Recreate")
    assert at_step < at_switch
    assert "looked at 0: started hello from good2" in done.output
    assert not old & app.ids()
    leftovers = app.hosts[0].sh(f"docker ps -aq --filter name={app.name}-migrate")
    assert leftovers == ""


def test_command_that_fails_stops_the_release_before_anything_is_switched(app: App) -> None:
    assert app.deploy("good1").code == 0
    containers = app.ids()
    done = app.deploy("good2", **steps("echo no such column; exit 3", "echo never"))
    assert done.code == 20, done.output
    assert "the step says no (3)." in done.output
    assert "no such column" in done.report["lines"]
    assert "never" not in done.output.replace("echo never", "")
    assert app.ids() == containers
    app.runs("good1")


def test_command_that_has_failed_runs_again_when_somebody_tries_again(app: App) -> None:
    _with_volume(app)
    env = steps(f"{COUNT}; test -e /data/ready", COUNT)
    assert app.deploy("good1", **env).code == 20
    app.hosts[0].sh(f"touch {app.name}/data/ready")
    assert app.deploy("good1", **env).code == 0
    assert len(_started(app)) == 3


def test_command_that_was_done_does_not_run_again_when_the_switch_is_tried_again(app: App) -> None:
    _with_volume(app)
    assert app.deploy("good1").code == 0
    app.hosts[0].fault('case "$*" in *" up -d"*) echo "no" >&2; exit 1;; esac')
    env = steps(COUNT)
    done = app.deploy("good2", **env)
    assert done.code == 20, done.output
    app.hosts[0].fault("")
    done = app.deploy("good2", **env)
    assert done.code == 0, done.output
    assert "already done, so not run again" in done.output
    assert len(_started(app)) == 1


def test_layer_decides_what_an_exit_code_means_while_the_host_waits(app: App) -> None:
    """A question may be answered with an exit code; the next command still runs."""
    done = app.deploy("good1", **steps("echo pending; exit 7", "echo next"))
    assert done.code == 0, done.output
    assert "looked at 7: pending" in done.output
    assert "looked at 0: next" in done.output
    app.runs("good1")


def test_killed_job_does_not_end_a_command_and_the_release_still_goes_live(app: App) -> None:
    _with_volume(app)
    running = app.start("good1", **steps(f"{COUNT}; sleep 2; echo finished"))
    until(lambda: bool(_started(app)))
    running.signal(signal.SIGKILL)
    running.done()
    app.settle()
    app.runs("good1")
    assert len(_started(app)) == 1


def test_killed_host_program_does_not_end_a_command_and_the_next_run_takes_its_result(
    app: App,
) -> None:
    _with_volume(app)
    env = steps(f"{COUNT}; echo begun; {WAIT}; echo finished")
    running = app.start("good1", **env)
    until(lambda: "begun" in app.newest("log"))
    running.signal(signal.SIGKILL)
    running.done()
    app.hosts[0].kill_runs()
    app.settle(seconds=20.0)  # the command does not hold the lock; the kernel may take a moment
    app.hosts[0].sh(f"touch {app.name}/data/go")
    done = app.deploy("good1", **env)
    assert done.code == 0, done.output
    assert "is running already: waiting until it ends" in done.output
    assert "finished" in done.output
    assert len(_started(app)) == 1
    app.runs("good1")


def test_other_release_waits_for_a_command_that_a_killed_one_has_left_running(app: App) -> None:
    _with_volume(app)
    assert app.deploy("good1").code == 0
    env = steps(f"{COUNT}; echo begun; {WAIT}; echo a >>/data/order")
    running = app.start("good2", **env)
    until(lambda: "begun" in app.newest("log"))
    running.signal(signal.SIGKILL)
    running.done()
    app.hosts[0].kill_runs()
    second = app.start("good3", **steps("echo b >>/data/order"))
    until(lambda: "which a killed run left behind" in app.newest("log"))
    app.hosts[0].sh(f"touch {app.name}/data/go")
    done = second.done()
    assert done.code == 0, done.output
    assert app.hosts[0].sh(f"cat {app.name}/data/order") == "a\nb\n"
    app.runs("good3")


def test_database_is_started_for_the_first_command_and_left_alone_afterwards(app: App) -> None:
    """The command runs in a service that is in a profile, so that nothing else starts it."""
    app.write(
        app.small.replace("env_file: .env", "depends_on: [db]")
        + f"  db:\n    image: {app.registry.image}:good3\n    network_mode: none\n"
        '    healthcheck: {test: ["CMD", "test", "-f", "/ok"], interval: 200ms}\n'
        + f"  console:\n    image: {app.registry.image}:${{DEPLOY_TAG}}\n    network_mode: none\n"
        "    profiles: [tools]\n    env_file: .env\n    depends_on: [db]\n"
    )
    env = {**steps("echo it is $STATE"), "COMPOSE_RUN_SERVICE": "console", "APP_CONFIG": "STATE=up"}
    done = app.deploy("good1", **env)
    assert done.code == 0, done.output
    assert "starting db for the pre-release commands" in done.output
    assert done.output.index("db-1: healthy") < done.output.index("it is up")
    [database] = [each["Id"] for each in app.containers(service="db")]
    done = app.deploy("good2", **env)
    assert done.code == 0, done.output
    assert [each["Id"] for each in app.containers(service="db")] == [database]


def test_unknown_service_for_commands_is_named_with_its_neighbour(app: App) -> None:
    done = app.deploy("good1", COMPOSE_RUN_SERVICE="ap", **steps("echo x"))
    assert done.code == 2, done.output
    assert "there is no service `ap`, only app. Did you mean `app`?" in done.output


def test_migrations_of_rails_run_before_traffic_and_are_undone_only_when_asked(
    app: App,
) -> None:
    _with_volume(app)
    rails = {"DEPLOY_APPLICATION": "rails", "AUTO_MIGRATE_ON_DEPLOY": "true"}
    assert app.deploy("good1", **rails).code == 0
    app.checkout.commit("Next")
    done = app.deploy("good2", **rails)
    assert done.code == 0, done.output
    assert done.output.index("good2 rails db:migrate") < done.output.index("Recreate")
    done = app.run("rollback", "--migrations", "2", **rails)
    assert done.code == 0, done.output
    assert done.output.index("good2 rails db:rollback STEP=2") < done.output.index("Recreate")
    app.runs("good1")
    assert app.deploy("good2", **rails).code == 0
    app.runs("good2")
    ran = app.hosts[0].root("cat", f"{app.folder}/data/rails").splitlines()
    commands = [line.split()[2] for line in ran]
    assert commands == ["db:migrate", "db:migrate", "db:rollback", "db:migrate"]
