"""Going back to what was proven, seeing what was live when, and commands in what is live."""

from __future__ import annotations

import json
import re
import shlex

from standins.compose.app import App
from tests.golden import Golden


def test_rollback_goes_to_the_release_before_and_says_for_how_long_nothing_ran(live: App) -> None:
    assert live.deploy("good2").code == 0
    done = live.run("rollback")
    assert done.code == 0, done.output
    live.runs("good1")
    assert "stopped: app for " in done.output
    assert done.report["status"] == "succeeded"
    assert done.report["release"].startswith("good1-")


def test_rollback_needs_no_registry_when_the_images_are_there(live: App) -> None:
    assert live.deploy("good2").code == 0
    live.hosts[0].fault('case "$*" in pull*|login*) exit 1;; esac')
    done = live.run("rollback", DOCKER_USER="", DOCKER_PASS="", DOCKER_REGISTRY="")
    assert done.code == 0, done.output
    live.runs("good1")


def test_rollback_fetches_by_digest_what_a_clean_up_has_removed(live: App) -> None:
    """Whatever the tag means by now."""
    assert live.deploy("good2").code == 0
    image = live.registry.image
    [found] = live.hosts[0].sh(f"cat {live.state}/releases/good1-*/proven/images").splitlines()
    live.hosts[0].root("docker", "rmi", "-f", found.split()[3])
    done = live.run("rollback", "previous")
    assert done.code == 0, done.output
    assert f"pulling {image}:good1@sha256:" in done.output
    live.runs("good1")


def test_rollback_takes_a_release_a_tag_or_a_revision(live: App) -> None:
    first, first_id = live.checkout.git("rev-parse", "HEAD~1"), live.current()
    assert live.deploy("good2").code == 0
    assert live.run("rollback", first_id).code == 0
    live.runs("good1")
    assert live.run("rollback", "good2").code == 0
    live.runs("good2")
    assert live.run("rollback", first[:8]).code == 0
    live.runs("good1")
    again = live.run("rollback", "good1")
    assert again.code == 0
    assert again.report["status"] == "skipped"
    missing = live.run("rollback", "good9")
    assert missing.code == 14
    assert "no release good9 of " in missing.output
    assert "good2-" in missing.output, "what there is"


def test_rollback_that_is_not_healthy_any_more_returns_to_where_it_was(live: App) -> None:
    """What was proven once may have lost what it needs since."""
    assert live.deploy("good2").code == 0
    live.hosts[0].fault('case "$*" in *releases/good1-*" up -d"*) exit 1;; esac')
    done = live.run("rollback")
    assert done.code == 23, done.output
    live.runs("good2")


def test_nothing_to_go_back_to_is_refused(live: App, golden: Golden) -> None:
    done = live.run("rollback")
    assert done.code == 14, done.output
    golden("compose/rollback without history", done.output, live.places)
    assert (
        f"there is no release of {live.name} on {live.hosts[0].address} to roll back to"
        in done.output
    )


def test_plan_changes_nothing_and_tells_of_the_stop(live: App, golden: Golden) -> None:
    before = live.hosts[0].sh(f"ls -lR --time-style=full-iso {live.state}")
    for words in ((), ("rollback",)):
        done = live.run("plan", *words, DEPLOY_TAG="good2")
        assert done.code == (14 if words else 0), done.output
    done = live.run("plan", DEPLOY_TAG="good2")
    golden("compose/plan", done.output, live.places)
    assert "Compose stops the containers of app before it starts the new ones." in done.output
    assert re.search(r"deploy good2-\w{6} to [\d.]+: pull, switch, verify", done.output)
    assert live.hosts[0].sh(f"ls -lR --time-style=full-iso {live.state}") == before
    live.runs("good1")


def test_history_tells_what_was_live_when_and_from_which_pipeline(
    live: App, golden: Golden
) -> None:
    job = {"GITLAB_CI": "true", "CI_JOB_URL": "https://ci.example.com/jobs/7"}
    assert live.deploy("good2", **job).code == 0
    live.checkout.commit("Broken")
    assert live.deploy("bad1").code == 23
    assert live.run("rollback").code == 0
    done = live.run("history")
    assert done.code == 0, done.output
    golden("compose/history", done.output, live.places)
    lines = [line for line in done.output.splitlines() if re.search("good|bad", line)]
    assert "live by rollback" in lines[0]
    assert "bad1-" in lines[1]
    assert "rolled-back" in lines[1]
    assert "good2-" in lines[2]
    assert "https://ci.example.com/jobs/7" in lines[2]
    assert "good1-" in lines[3]


def test_five_good_releases_are_kept_with_their_images_and_no_failed_one_of_last_week(
    live: App,
) -> None:
    """The older ones here are copies of the first; one has an image of its own."""
    host, image, releases = live.hosts[0], live.registry.image, f"{live.state}/releases"
    own = host.root("docker", "import", "/tmp/rootfs.tar", f"{image}:own").strip()
    host.sh(
        f"cd {releases}; for n in 1 2 3 4 5 6; do cp -a good1-* old$n; echo $n >old$n/live; done; "
        f"sed -i 's/sha256:[0-9a-f]* /{own} /' old1/proven/images; "
        f"echo {own} >>../pulled; rm old6/live; touch -d -4days old6"
    )
    assert live.deploy("good2").code == 0
    live.settle()
    kept = host.sh(f"ls {live.state}/releases").split()
    assert sorted(name.partition("-")[0] for name in kept) == [
        "good1", "good2", "old3", "old4", "old5",
    ]  # fmt: skip
    images = host.root("docker", "images", "--format", "{{.Tag}}", image).split()
    assert {"good1", "good2"} <= set(images)
    assert "own" not in images


# --- commands in what is live ---


def test_one_off_command_runs_in_the_live_release_with_its_true_exit_code(live: App) -> None:
    env = {"APP_CONFIG": "SECRET=pa$word"}
    assert live.deploy("good2", **env).code == 0
    words = 'echo $VERSION $SECRET $RAILS_ENV "$1"; exit 7'
    done = live.run("run", "--", "sh", "-c", words, "x", "a b'c", **env)
    assert done.code == 7
    assert done.output == "good2 [REDACTED] production a b'c\n"
    leftovers = live.hosts[0].sh(f"docker ps -aq --filter name={live.name}-run")
    assert leftovers == ""


def test_doctor_tells_of_every_host_and_of_what_is_unfinished(live: App) -> None:
    done = live.run("doctor")
    assert done.code == 0, done.output
    assert f"{live.hosts[0].address}" in done.output
    assert re.search(r"Compose 2\.\d+", done.output)


def test_audit_is_one_json_object_a_line_also_with_odd_names(app: App) -> None:
    odd = 'Jane "the \\ deployer" Dœ\n$(id)'
    circle = {"CIRCLECI": "true", "CIRCLE_USERNAME": odd, "CIRCLE_BUILD_NUM": "5"}
    assert app.deploy("good1", **circle).code == 0
    lines = [json.loads(line) for line in app.read("audit.jsonl").splitlines()]
    assert {line["actor"] for line in lines} <= {odd, " ".join(odd.split()), odd.strip()}


# --- what is left for the next run ---


def test_command_that_was_not_run_is_kept_as_a_key_and_run_by_the_next_job(live: App) -> None:
    """Also where an earlier version has kept it as a sentence."""
    failing = {"POST_DEPLOY_COMMAND": "sh -c 'exit 3'"}
    assert live.deploy("good2", **failing).code == 22
    kept = json.loads(live.read("note"))
    assert (kept["version"], [each["key"] for each in kept["tasks"]]) == (
        1,
        ["post-deploy-command"],
    )
    for note in (json.dumps(kept), "POST_DEPLOY_COMMAND is to be run"):
        live.hosts[0].sh(f"printf %s {shlex.quote(note)} >{live.state}/note")
        told = json.loads(live.run("status", "--json").output)
        assert told["tasks"] == ["post-deploy-command"]
        assert told["unfinished"] == ["run POST_DEPLOY_COMMAND"]
        done = live.deploy("good2", POST_DEPLOY_COMMAND="echo once more")
        assert (done.code, done.report["status"]) == (0, "skipped"), done.output
        assert "once more" in done.output
        assert json.loads(live.run("status", "--json").output)["tasks"] == []
