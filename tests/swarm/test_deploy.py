"""Deploys to a real swarm: what the engine says is not believed, its tasks are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from standins.host_app import FILE
from tests.compose.steps import program_with_steps, steps
from tests.golden import Golden
from tests.swarm.app import App


@pytest.mark.long
def test_a_release_replaces_another_and_comes_back(app: App) -> None:
    """Tag, digest, records and the words of each command.

    Takes a minute: the engine brings two replicas three times, and watches each for its seconds."""
    app.write(app.file().replace("endpoint_mode", "replicas: 2\n      endpoint_mode"))
    first = app.deploy("good1")
    assert first.code == 0, first.output
    assert app.tags() == ["good1", "good1"]
    assert "2 of 2 tasks run good1-" in first.output
    image = app.service()["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert "/app:good1@sha256:" in image
    app.checkout.commit("Next")
    planned = app.run("plan", DEPLOY_TAG="good2")
    assert planned.code == 0, planned.output
    assert "update app; verify" in planned.output
    assert app.tags() == ["good1", "good1"]
    second = app.deploy("good2")
    assert second.code == 0, second.output
    assert app.tags() == ["good2", "good2"]
    assert app.deploy("good2").report["status"] == "skipped"
    back = app.run("rollback")
    assert back.code == 0, back.output
    assert app.tags() == ["good1", "good1"]
    assert app.service()["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == image
    assert app.outcomes() == ["live by rollback", "live", "live"]
    assert app.run("rollback", "good1").report["status"] == "skipped"
    status = app.run("status").output
    assert "runs good1-" in status
    assert "2 of 2 tasks run" in status
    assert "good1 starts" in app.run("logs").output


def test_what_the_engine_takes_back_or_pauses_is_no_success(live: App, golden: Golden) -> None:
    """`docker stack deploy --detach=false` ends with 0 after a rollback (docker/cli#6752), and its
    default is a pause: the old tasks go on, and no release is said to be live that is not."""
    rolled = live.deploy("crash1")
    assert rolled.code == 23, rolled.output
    assert live.tags() == ["good1"]
    assert "cannot find the meaning" in rolled.output, "its last words"
    assert "non-zero exit (3)" in rolled.output
    version = live.service()["Version"]
    missing = live.deploy("nope")
    assert missing.code == 20, missing.output
    golden("swarm/image is missing", missing.output, live.places)
    assert "not in the registry: " in missing.output
    warned = live.run("doctor", DEPLOY_TAG="nope")
    assert warned.code == 0, "before the first image is pushed, all else can be checked"
    assert " would fail: not in the registry: " in warned.output
    assert "All checks passed" not in warned.output
    assert live.service()["Version"] == version, "refused before anything"
    live.write(live.file(action="pause"))
    paused = live.deploy("bad1")
    assert paused.code == 20, paused.output
    assert "the engine has paused the update" in paused.output
    assert "0 of 1 tasks run bad1-" in paused.output
    assert "1 not replaced yet" in paused.output
    assert "waiting for Godot" in paused.output
    assert "runs good1-" in live.run("status").output
    back = live.run("rollback")
    assert back.code == 0, back.output
    assert live.tags() == ["good1"]
    assert live.service()["Spec"]["Labels"]["com.ci-deploy.release"].startswith("good1-")
    assert live.outcomes() == ["live by rollback", "failed", "rolled-back", "live"]


def test_services_go_back_together_and_only_ours_are_removed(app: App) -> None:
    """The engine rolls back one service alone and leaves the stack half new (moby#34712); its
    `--prune` takes what another one has put into the stack too."""
    text = app.file("app", "other")
    at = text.rindex("${DEPLOY_TAG}")
    app.write(text[:at] + text[at:].replace("${DEPLOY_TAG}", "${OTHER}", 1))
    first = app.deploy("good1", APP_CONFIG="OTHER=good1")
    assert first.code == 0, first.output
    app.checkout.commit("Next")
    done = app.deploy("good2", APP_CONFIG="OTHER=crash1")
    assert done.code == 23, done.output
    assert app.tags("app") == ["good1"]
    assert app.tags("other") == ["good1"]
    assert "roll back app to good1-" in done.output
    label = f"--label=com.docker.stack.namespace={app.name}"
    words = [label, f"--name={app.name}_theirs", "--endpoint-mode=dnsrr"]
    app.docker(
        "service", "create", "-d", "-q", "--replicas=0", *words, f"{app.registry.image}:good1"
    )
    app.write(app.file("app"))
    assert "remove other" in app.run("plan", DEPLOY_TAG="good2").output
    done = app.deploy("good2")
    assert done.code == 0, done.output
    assert app.services() == {"app", "theirs"}


def test_no_suitable_node_is_no_end_and_a_cancel_goes_back(live: App) -> None:
    """The engine waits for ever, and the old tasks go on."""
    nowhere = "placement: {constraints: [node.hostname == nowhere]}"
    live.write(live.file().replace("endpoint_mode", f"{nowhere}\n      endpoint_mode"))
    done = live.deploy("good2", COMPOSE_HEALTH_TIMEOUT="3")
    assert done.code == 21, done.output
    assert "no suitable node" in done.output
    assert live.tags() == ["good1"]
    assert "runs good1-" in live.run("status").output
    cancelled = live.start("good3", ON_CANCEL="rollback")
    cancelled.wait_for("0 of 1 tasks run good3-")
    cancelled.process.terminate()
    ended = cancelled.done()
    assert ended.code == 143, ended.output
    assert "roll back to good1-" in ended.output
    label = '{{index .Spec.Labels "com.ci-deploy.release"}}'
    look = f"docker service inspect -f '{label}' {live.name}_app | grep -q ^good1-"
    live.hosts[0].until(look, 60)
    assert live.tags() == ["good1"]


def test_changed_contents_are_applied_and_come_back(app: App) -> None:
    """Swarm never changes a config, so the same name would keep the old content (moby#35048)."""
    parts = "\n    configs: [inline, file]\n    secrets: [key]\n    image:"
    service = app.file().replace("\n    image:", parts, 1)
    top = "\nconfigs: {inline: {content: '$$HOME is ${DEPLOY_ENV}'}, file: {file: ./app.conf}}"
    text = f"{service}{top}\nsecrets: {{key: {{environment: KEY}}}}\n"
    app.write(text, app__conf="one\n")
    secret = "kept-s3cret"
    done = app.deploy(APP_CONFIG=f"KEY={secret}")
    assert done.code == 0, done.output
    assert secret not in done.output
    assert _contents(app) == f"$HOME is productionone\n{secret}"
    app.write(text, app__conf="two\n")
    done = app.deploy(APP_CONFIG=f"KEY={secret}2")
    assert done.code == 0, done.output
    assert _contents(app) == f"$HOME is productiontwo\n{secret}2"
    assert len(app.kept("secret")) == 2, "the one of the release to go back to is kept"
    back = app.run("rollback", APP_CONFIG="")
    assert back.code == 0, back.output
    assert _contents(app) == f"$HOME is productionone\n{secret}"


def _contents(app: App, *paths: str) -> str:
    find = f"docker ps -q -f name={app.name}_app -f health=healthy | head -n 1"
    names = " ".join(paths or ("/inline", "/file", "/run/secrets/key"))
    return app.hosts[0].root("sh", "-c", f"docker exec $({find}) cat {names}")


def test_stack_file_with_a_template_and_variables_of_the_job_is_what_it_was(app: App) -> None:
    """`docker config create --template-driver golang` of a script, and its exported variables."""
    parts = '\n    configs: [made]\n    environment: {A: "${NOT_SET}"}\n    image:'
    service = app.file().replace("\n    image:", parts, 1)
    options = "template_driver: golang, labels: {who: me}"
    text = f"{service}\nconfigs: {{made: {{file: ./app.tmpl, {options}}}}}\n"
    app.checkout.commit("One", {FILE: text, "app.tmpl": "{{.Service.Name}}\n", ".env": "X=1\n"})
    done = app.deploy("good1", RELEASE_COMMAND="sh -c 'echo migrated by $VERSION'")
    assert done.code == 0, done.output
    assert _contents(app, "/made") == f"{app.name}_app\n"
    assert "no value for ${NOT_SET}, so Compose uses an empty one." in done.output
    assert done.output.index("migrated by good1") < done.output.index("of 1 tasks run good1-")
    [made] = [each for each in app.kept() if "_made-" in each]
    assert "who:me" in app.docker("config", "inspect", "--format", "{{.Spec.Labels}}", made)
    app.write(text.replace("NOT_SET", "TAG:?none"))
    done = app.run("plan")
    assert done.code == 2, done.output
    assert "Set ${TAG} in APP_CONFIG or in the .env in DEPLOY_PATH" in done.output


def test_commands_run_in_the_environment_of_a_release(app: App, tmp_path: Path) -> None:
    """Before traffic in the new image, at the first deploy too, when there is no network yet; one
    that fails stops the release. The true exit code and the output, and nothing is left."""
    app.program = program_with_steps(tmp_path / "packages")
    first = app.deploy("good1", **steps("echo hello from $VERSION"))
    assert first.code == 0, first.output
    assert "looked at 0: hello from good1" in first.output
    assert first.output.index("hello from good1") < first.output.index("of 1 tasks run good1-")
    app.checkout.commit("Next")
    before = app.service()["Version"]
    failed = app.deploy("good2", **steps("echo no such column; exit 4", "echo never"))
    assert failed.code == 20, failed.output
    assert "the step says no (4)." in failed.output
    assert "never" not in failed.output.replace("echo never", "")
    assert app.service()["Version"] == before
    script = "echo hello $VERSION $RAILS_ENV; echo '$HOME'; exit 7"
    done = app.run("run", "--", "sh", "-c", script)
    assert done.code == 7, done.output
    assert done.output.splitlines()[-2:] == ["hello good1 production", "$HOME"]
    assert app.services() == {"app"}


def test_command_that_a_node_rejects_is_tried_again_and_runs_once(app: App, tmp_path: Path) -> None:
    """(Docker 29: "Pool overlaps with other one on this address space", after a removed stack.)"""
    app.program = program_with_steps(tmp_path / "packages")
    folder = f"/tmp/{app.name}"
    app.write(app.file().replace("stop_grace", f"volumes: ['{folder}:/late']\n    stop_grace"))
    running = app.start("good1", **steps("echo ran >>/late/ran"))
    running.wait_for("the node rejected the task: ")
    app.hosts[0].root("mkdir", "-m", "777", folder)
    done = running.done()
    assert done.code == 0, done.output
    assert "bind source path does not exist" in done.output
    assert app.hosts[0].root("cat", f"{folder}/ran") == "ran\n"
    app.hosts[0].root("rm", "-r", folder)
    app.checkout.commit("Next")
    never = app.deploy("good2", **steps("true"))
    assert never.code == 20, never.output
    assert never.output.count("│ the node rejected the task: ") == 3


def test_one_deploy_at_a_time_and_one_that_is_killed_is_finished(live: App) -> None:
    """The lock is the kernel's and ends with who holds it. The engine finishes what it was given;
    the next run sees that, and notes what is live."""
    host, lock = live.hosts[0], f".ci-deploy/{live.name}.lock"
    host.sh(f"echo 'job 7' >{lock}.by; touch {lock}.held")
    hold = f"while [ -e {lock}.held ]; do sleep 0.2; done"
    host.sh(f"(flock {lock} sh -c '{hold}') >/dev/null 2>&1 &")
    host.until(f"! flock -n /home/deploy/{lock} true")
    locked = live.deploy("good3", LOCK_TIMEOUT="0")
    assert locked.code == 13, locked.output
    assert "it is held by job 7." in locked.output
    assert live.tags() == ["good1"]
    host.sh(f"rm {lock}.held")
    killed = live.start("good2")
    killed.wait_for("of 1 tasks run good2-")
    killed.process.kill()
    killed.process.communicate()
    shown = "-f desired-state=running --format '{{.Image}} {{.CurrentState}}'"
    host.until(f"docker service ps {shown} {live.name}_app | grep -q 'good2.* Running '")
    again = live.deploy("good2")
    assert again.code == 0, again.output
    assert live.tags() == ["good2"]
    assert live.outcomes()[0] == "live"
    assert live.run("rollback").code == 0
    assert live.tags() == ["good1"]


@pytest.mark.long
def test_log_and_report_say_what_a_client_saw_of_the_update(app: App) -> None:
    """`stop-first`, so that somebody is not answered; of a first deploy there is nothing to say.

    Takes half a minute: four deploys. (faults H9)"""
    serve = 'command: ["sh", "-c", "touch /ok /index.html; exec httpd -f -h / -p 80"]'
    text = app.file().replace("start-first", "stop-first")
    port = "ports: [{target: 80, published: 8123, mode: host}]"
    app.write(text.replace("    healthcheck:", f"    {serve}\n    {port}\n    healthcheck:"))
    url = f"http://{app.hosts[0].address}:8123/index.html"
    first = app.deploy("good1", HEALTHCHECK_URL=url)
    assert first.code == 0, first.output
    assert first.report["client"] == ""
    app.checkout.commit("Next")
    second = app.deploy("good2", HEALTHCHECK_URL=url)
    assert second.code == 0, second.output
    seen = second.report["client"]
    assert re.match(r"no answer for [\d.]+ s during the switch: \d+ of \d+ requests", seen)
    assert f"{url}: {seen}" in second.output
    app.checkout.commit("One more")
    planned = app.run("plan", DEPLOY_TAG="good3", HEALTHCHECK_URL=url)
    assert f"At the last deploy: {seen}." in planned.output
    always = f"http://{app.registry.address}/"
    third = app.deploy("good3", HEALTHCHECK_URL=always)
    assert third.code == 0, third.output
    assert re.match(r"\d+ requests during the switch, 0 failed", third.report["client"])
    app.checkout.commit("The last")
    never = app.deploy("good4", HEALTHCHECK_URL=f"{always}v2/", HEALTHCHECK_TIMEOUT="1")
    assert never.code == 22, never.output
    assert "/v2/ answers 401 before the switch, so what clients see is not" in never.output
    assert never.report["client"] == ""


@pytest.mark.long
def test_rollback_by_hand_is_seen_and_a_replica_without_a_place_is_no_success(live: App) -> None:
    """Whatever the engine was told by others, what its tasks are is said.

    Takes half a minute: three updates, one of which has to be given up."""
    assert live.deploy("good2").code == 0
    live.docker("service", "rollback", "--quiet", f"{live.name}_app")
    assert live.tags() == ["good1"]
    assert "runs good1-" in live.run("status").output
    again = live.deploy("good2")
    assert again.code == 0, again.output
    assert live.tags() == ["good2"]
    place = "replicas: 2\n      placement: {max_replicas_per_node: 1}\n      endpoint_mode"
    live.write(live.file().replace("endpoint_mode", place).replace("start-first", "stop-first"))
    done = live.deploy("good3", COMPOSE_HEALTH_TIMEOUT="10")
    assert done.code in {20, 21}, done.output  # 21 while the engine still updates
    assert "1 of 2 tasks run good3-" in done.output
    assert "no suitable node (max replicas per node limit exceed" in done.output
    assert live.tags() == ["good3"]


def test_command_that_was_not_run_is_kept_as_a_key_and_run_by_the_next_job(live: App) -> None:
    """Also where an earlier version has kept it as a sentence."""
    assert live.deploy("good2", POST_DEPLOY_COMMAND="sh -c 'exit 3'").code == 22
    manager, label = live.hosts[0], "com.ci-deploy.note"
    find = f"docker config ls -q --filter label={label}"
    show = f"{find} | xargs docker config inspect -f '{{{{index .Spec.Labels \"{label}\"}}}}'"
    kept = json.loads(manager.root("sh", "-c", show))
    assert (kept["version"], [each["key"] for each in kept["tasks"]]) == (
        1,
        ["post-deploy-command"],
    )
    old = (
        f"{find} | xargs docker config rm >/dev/null; printf - | docker config create"
        f" --label {label}='POST_DEPLOY_COMMAND is to be run' --label com.ci-deploy.kind=note"
        f" --label com.ci-deploy.stack={live.name} ci-deploy.{live.name}.note-1 -"
    )
    for change in ("true", old):
        manager.root("sh", "-c", change)
        told = json.loads(live.run("status", "--json").output)
        assert told["unfinished"] == ["run POST_DEPLOY_COMMAND"]
        done = live.deploy("good2", POST_DEPLOY_COMMAND="echo once more")
        assert (done.code, done.report["status"]) == (0, "skipped"), done.output
        assert "once more" in done.output
        assert manager.root("sh", "-c", find).strip() == ""
