"""The ten faults that every existing Dokku client has (facts/dokku.md, section 0).

Each test first lets naive commands fall into the trap, then shows that ci-deploy does not.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import HELLO, Checkout, Run, run, settings_for, until


def test_1_push_to_a_wrong_branch_is_never_green(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("git:set hello deploy-branch production")
    pushed = naive.push(checkout.path, "hello", "main:main")
    assert pushed.returncode == 0
    assert dokku.app("hello").running_revision == ""

    env = settings_for(dokku, DOKKU_DEPLOY_BRANCH="main")
    assert run("deploy", cwd=checkout.path, env=env).code == 20
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    assert dokku.app("hello").running_revision == checkout.head


def test_2_up_to_date_push_of_a_revision_that_does_not_run_deploys_it(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    """Before 0.35.4 a failing release task leaves the ref moved and ends with exit code 0."""
    dokku.configure(version="0.34.9")
    good = checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    broken = {"Procfile": "release: test -e /tmp/does-not-exist\nworker: sleep 600\n"}
    checkout.commit("Broken", broken)
    assert naive.push(checkout.path, "hello", "main:master").returncode == 0
    again = naive.push(checkout.path, "hello", "main:master")
    assert again.returncode == 0
    assert "Everything up-to-date" in again.stderr
    assert dokku.app("hello").running_revision == good

    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 20, done.output
    assert "the release task failed" in done.output, done.output
    assert dokku.app("hello").running_revision == good


def test_3_shallow_push_is_never_deployed_and_then_rejected(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit("Second")
    shallow = tmp_path / "shallow"
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", str(shallow))
    pushed = naive.push(shallow, "hello", "main:master")
    assert pushed.returncode != 0
    assert "shallow update not allowed" in pushed.stderr
    assert dokku.app("hello").running_revision == checkout.head  # live, and red

    naive.dokku("apps:destroy --force hello")
    naive.dokku("apps:create hello")
    done = run("deploy", cwd=shallow, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert dokku.app("hello").branches["master"] == checkout.head


def test_4_a_lock_file_is_only_a_hint(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("apps:lock hello")
    assert naive.push(checkout.path, "hello", "main:master").returncode == 0  # it locks nothing

    checkout.commit("Second")
    naive.dokku("apps:lock hello")
    shown = run("ci-deploy", "unlock", cwd=checkout.path, env=settings_for(dokku))
    assert "no running build: the lock is stale" in shown.errors + shown.output
    assert dokku.app("hello").locked
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output


def test_5_somebody_elses_deploy_is_waited_for_and_never_unlocked(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    go, gate = checkout.path.with_name("go"), checkout.path / "bin/post_compile"
    gate.parent.mkdir()
    gate.write_text(f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.05; done\n")
    gate.chmod(0o755)
    first = checkout.commit("Gate")
    other = threading.Thread(
        target=lambda: naive.push(checkout.path, "hello", f"{first}:refs/heads/master")
    )
    other.start()
    until(lambda: dokku.app("hello").locked)
    second = checkout.commit("Second")
    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    try:
        seen = running.wait_for("hello is locked, by another deploy or manually; waiting", 60)
    finally:
        go.touch()
    done = running.done()
    other.join()
    assert done.code == 0, seen + done.output
    assert dokku.app("hello").running_revision == second
    assert not any("unlock" in call.raw for call in dokku.calls())


def test_6_passphrase_works(dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", key], check=True
    )
    dokku.authorize(key.with_suffix(".pub").read_text())
    naive = subprocess.run(
        ["ssh", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={dokku.known_hosts_path}",
         "-o", "IdentitiesOnly=yes", "-i", key, "-p", str(dokku.port), f"{dokku.user}@{dokku.host}",
         "version"],
        capture_output=True, check=False, env={"SSH_PASSPHRASE": "secret words"},
    )  # fmt: skip
    assert naive.returncode == 255

    env = settings_for(
        dokku, SSH_PRIVATE_KEY=key.read_text(), SSH_PRIVATE_KEY_PASSPHRASE="secret words"
    )
    assert run("ci-deploy", "doctor", cwd=checkout.path, env=env).code == 0


def test_7_review_app_never_has_the_base_apps_database(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.push(checkout.path, "hello", "main:master")
    naive.dokku("postgres:create hello-db")
    naive.dokku("postgres:link hello-db hello --no-restart")
    production = dokku.app("hello").config["DATABASE_URL"]
    naive.dokku("apps:clone --skip-deploy hello naive-clone")
    assert dokku.app("naive-clone").config["DATABASE_URL"] == production

    env = settings_for(dokku, DOKKU_SERVICES="postgres", REVIEW_APP_NAME="review-1")
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert dokku.app("review-1").config["DATABASE_URL"] != production


def test_8_what_is_live_is_not_read_from_git_rev_or_head(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("git:set hello deploy-branch main")
    good = checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("Broken", {"Procfile": "release: false\nworker: sleep 600\n"})
    naive.push(checkout.path, "hello", "main:main")
    assert naive.dokku("config:get hello GIT_REV").stdout.strip() == checkout.head
    assert naive.dokku("git:report hello --git-sha").stdout.strip() == "HEAD"

    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 20
    assert f"hello still runs {good[:7]}" in done.output
    assert done.report["live_revision"] == good


def test_9_arguments_arrive_as_they_are(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    assert naive.dokku("run hello printf [%s] -n x").stdout != "[-n][x]"

    words = [
        "-n",
        "-e",
        "-E",
        "--version",
        "--help",
        "a b",
        "it's",
        '"q"',
        "$HOME",
        "`id`",
        "\\",
        "",
    ]
    words += ["two\nlines", "ünï", "*", "%s"]
    done = run(
        "ci-deploy", "run", "--", "printf", "[%s]", *words, cwd=checkout.path,
        env=settings_for(dokku),
    )  # fmt: skip
    assert done.output.rstrip("\n") == "".join(f"[{word}]" for word in words)


def test_10_cancelled_deploy_cancels_its_own_build_on_the_server(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    dokku.configure(build_seconds=60.0)
    push = naive.begin_push(checkout.path, "hello", "main:master")
    until(lambda: dokku.app("hello").locked)
    push.kill()
    push.wait()
    assert dokku.app("hello").locked  # the naive client's build goes on
    naive.dokku("builds:cancel hello")

    running = Run("deploy", cwd=checkout.path, env=settings_for(dokku))
    running.wait_for("Building hello")
    running.process.terminate()
    done = running.done(timeout=10)
    assert done.code == 143
    until(lambda: sum("builds:cancel hello" in call.raw for call in dokku.calls()) == 2)
    until(lambda: not dokku.app("hello").locked)
    assert not any("unlock" in call.raw for call in dokku.calls())


def test_push_that_was_rejected_after_it_went_live_is_22(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("ps:scale hello worker=1")
    dokku.faults(Fault("live", "refuse", text="something after it went live failed", times=1))
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert dokku.app("hello").running_revision == checkout.head
    assert (done.code, done.report["live_revision"]) == (22, checkout.head), done.output


def test_revision_that_took_over_before_its_deploy_failed_is_what_is_live(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Dokku records a deploy only when its last task has ended; the web processes are new then."""
    env, tasks = settings_for(dokku), {"dokku": {"postdeploy": "exit 4"}}
    web = {"app.py": (HELLO / "app.py").read_text(), "Procfile": "web: python3 app.py\n"}
    old = checkout.commit("Web", web)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    new = checkout.commit("Postdeploy", {"app.json": json.dumps({"scripts": tasks})})
    done = run("deploy", cwd=checkout.path, env=env)
    assert dokku.app("hello").running_revision == new
    assert (done.code, done.report["live_revision"]) == (22, new), done.output
    assert f"hello runs {new[:7]}" in done.output
    assert "the postdeploy task failed: exit 4" in done.output

    again = run("deploy", cwd=checkout.path, env=env)  # is not taken for live already
    assert again.code == 22, again.output
    assert f"live now: {new[:7]}, although Dokku records {old[:7]}" in again.output

    back = run("deploy", cwd=checkout.path, env={**env, "DEPLOY_REVISION": old})
    assert (back.code, back.report["status"]) == (0, "succeeded"), back.output
    assert dokku.app("hello").running_revision == old
    assert "CI_DEPLOY_UNFINISHED" not in dokku.app("hello").config

    fixed = checkout.commit("Repaired", {"app.json": "{}"})
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    assert dokku.app("hello").running_revision == fixed


def test_deploy_that_is_cancelled_after_its_processes_took_over_tells_so(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("ps:scale hello worker=1")
    env = settings_for(dokku)
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    tasks = {"dokku": {"postdeploy": "echo tidying; sleep 60"}}
    new = checkout.commit("Postdeploy", {"app.json": json.dumps({"scripts": tasks})})
    running = Run("deploy", cwd=checkout.path, env=env)
    running.wait_for("tidying")
    running.process.terminate()
    done = running.done(timeout=10)
    assert done.code == 143
    assert f"cancelled: hello runs {new[:7]}" in done.output
