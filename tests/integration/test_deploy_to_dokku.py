"""`deploy` against the stand-in Dokku: real git, real ssh, and what the server says afterwards."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, run, settings_for
from tests.golden import Golden


def test_deploys_and_reports_what_the_server_reports(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    golden("dokku/deploy", done.output)
    assert dokku.app("hello").running_revision == checkout.head
    assert done.report["status"] == "succeeded"
    assert done.report["live_revision"] == checkout.head
    assert done.report["changed"] is True
    assert f"verified: hello runs {checkout.head[:7]}" in done.output


def test_second_deploy_of_the_same_revision_is_skipped_with_one_connection(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    before = len(dokku.connections())
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0
    golden("dokku/nothing to do", done.output)
    assert done.report["status"] == "skipped"
    assert done.report["changed"] is False
    assert len(dokku.connections()) - before == 1


def test_a_whole_deploy_needs_one_connection(dokku: DokkuStandIn, checkout: Checkout) -> None:
    before = len(dokku.connections())
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    assert len(dokku.connections()) - before == 1


def test_failed_release_keeps_the_old_revision_and_ends_with_20(
    dokku: DokkuStandIn, tmp_path: Path, golden: Golden
) -> None:
    checkout = Checkout(tmp_path / "app")
    good = checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("Break it", {"release.py": "raise SystemExit('boom')\n"})
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 20
    golden("dokku/release task fails", done.output)
    assert "the release task failed: python3 release.py" in done.output
    assert f"hello still runs {good[:7]}" in done.output
    assert done.report["failed_event"] == "deploy"
    assert done.report["failed_layer"] == "dokku"
    with urllib.request.urlopen(dokku.app("hello").url + "/health") as answer:
        assert json.load(answer)["revision"] == good


def test_app_that_does_not_exist_is_named_with_its_neighbour_and_never_created(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, APP_NAME="helo"))
    assert done.code == 2
    golden("dokku/no such app", done.output)
    assert "there is no app `helo`" in done.output
    assert "Did you mean `hello`?" in done.output
    assert dokku.apps() == ["hello"]


def test_app_is_created_when_asked(empty_dokku: DokkuStandIn, checkout: Checkout) -> None:
    env = settings_for(empty_dokku, DOKKU_CREATE_APP="true")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    assert empty_dokku.app("hello").running_revision == checkout.head


def test_deploy_branch_is_asked_from_the_server(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("git:set hello deploy-branch production")
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "deploy branch production" in done.output
    assert dokku.app("hello").running_revision == checkout.head


def test_push_to_a_wrong_branch_fails_although_git_succeeds(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("git:set hello deploy-branch production")
    env = settings_for(dokku, DOKKU_DEPLOY_BRANCH="main")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 20
    assert "it deploys `production`" in done.output
    assert dokku.app("hello").running_revision == ""


def test_shallow_checkout_is_deepened_from_its_origin(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    for number in range(3):
        checkout.commit(f"Commit {number}")
    shallow = tmp_path / "shallow"
    url = f"file://{checkout.path}"
    checkout.git("clone", "--quiet", "--depth=1", url, str(shallow))
    done = run("deploy", cwd=shallow, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert (shallow / ".git/shallow").is_file(), "the workspace itself is left as it was"


def test_shallow_checkout_that_cannot_be_deepened_says_which_line_to_add(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit("Second")
    shallow = tmp_path / "shallow"
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", str(shallow))
    Checkout.git(_at(shallow), "remote", "set-url", "origin", "file:///nowhere")
    env = settings_for(dokku, GITLAB_CI="true", CI_PROJECT_DIR=str(shallow))
    done = run("deploy", cwd=shallow, env={**env, "DEPLOY_METHOD": "push"})
    assert done.code == 2
    assert 'GIT_DEPTH: "0"' in done.output
    assert _pushes(dokku) == 0


def test_shallow_checkout_that_cannot_be_deepened_goes_as_an_archive(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, tmp_path: Path
) -> None:
    naive.dokku("git:set hello deploy-branch main")  # then the server's report only says `HEAD`
    head = checkout.commit("Second")
    shallow = tmp_path / "shallow"
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", str(shallow))
    Checkout.git(_at(shallow), "remote", "set-url", "origin", "file:///nowhere")
    done = run("deploy", cwd=shallow, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "send an archive" in done.output
    assert done.report["live_revision"] == head
    assert run("deploy", cwd=shallow, env=settings_for(dokku)).report["status"] == "skipped"


@pytest.mark.parametrize("fetched", [True, False])
def test_partial_checkout_is_completed_or_goes_as_an_archive(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, fetched: bool
) -> None:
    """A clone without blobs has the whole history, and yet a push of it fails in the middle."""
    for number in range(3):
        checkout.commit(f"Commit {number}", {"data.txt": f"{number}\n"})
    checkout.git("config", "uploadpack.allowFilter", "true")
    partial, url = tmp_path / "partial", f"file://{checkout.path}"
    checkout.git("clone", "--quiet", "--filter=blob:none", url, str(partial))
    if not fetched:
        Checkout.git(_at(partial), "remote", "set-url", "origin", "file:///nowhere")
    done = run("deploy", cwd=partial, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert ("send an archive" in done.output) is not fetched
    assert done.report["live_revision"] == checkout.head


def test_redeploy_builds_the_same_revision_again(dokku: DokkuStandIn, checkout: Checkout) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    releases = dokku.app("hello").releases
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, REDEPLOY="true"))
    assert done.code == 0, done.output
    assert dokku.app("hello").releases == releases + 1


def test_processes_that_are_down_are_started_again_although_the_revision_is_live(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout
) -> None:
    naive.dokku("ps:scale hello worker=1")
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    naive.dokku("ps:stop hello")
    assert not dokku.app("hello").running
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert done.report["status"] == "succeeded"
    assert dokku.app("hello").running


def test_connection_lost_in_the_push_is_followed_on_the_server(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    dokku.configure(build_seconds=1.0)
    dokku.faults(Fault("build", "drop", times=1, finish=True))
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert "the connection was lost" in done.output
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head


def test_run_streams_the_output_and_gives_the_true_exit_code(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    words = ("run", "--", "sh", "-c", "echo 'a  b' \"$0\" $((1+1)); exit 17", "it's")
    done = run("ci-deploy", *words, cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 17
    assert done.output == "a  b it's 2\n"


def test_doctor_is_content_with_a_healthy_setup_and_changes_nothing(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    done = run("ci-deploy", "doctor", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "Dokku 0.38.27" in done.output
    assert _pushes(dokku) == 0


def test_plan_names_the_push_and_does_not_make_it(dokku: DokkuStandIn, checkout: Checkout) -> None:
    done = run("ci-deploy", "plan", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert done.report["changes"][0] == f"push {checkout.head[:7]} to master of hello"
    assert dokku.app("hello").running_revision == ""
    assert _pushes(dokku) == 0


def _pushes(server: DokkuStandIn) -> int:
    return sum("git-receive-pack" in call.raw for call in server.calls())


def _at(path: Path) -> Checkout:
    found = Checkout.__new__(Checkout)
    found.path = path
    return found
