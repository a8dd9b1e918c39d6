"""Which checkout is deployed, and what is wrong with it, before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Done, run, settings_for

CHECKS = (["deploy"], ["ci-deploy", "plan"], ["ci-deploy", "doctor"])


def _gitlab(dokku: DokkuStandIn, job: Checkout, **more: str) -> dict[str, str]:
    facts = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(job.path), "CI_COMMIT_SHA": job.head}
    url = {"CI_REPOSITORY_URL": "https://git.example.com/acme/web.git"}
    return settings_for(dokku, **{**facts, **url, **more})


def _refused(dokku: DokkuStandIn, where: Path, env: dict[str, str], *words: str) -> None:
    """By each command, with these words, and nothing is touched."""
    for command in CHECKS:
        done = run(*command, cwd=where, env=env)
        assert done.code == 2, (command, done.output)
        for each in words:
            assert each in done.output + done.errors, command
    assert not [call for call in dokku.calls() if "git-receive-pack" in call.raw]
    assert not dokku.app("hello").running_revision


def _deployed(dokku: DokkuStandIn, where: Path, env: dict[str, str]) -> Done:
    done = run("deploy", cwd=where, env=env)
    assert done.code == 0, done.output
    return done


def test_gitlab_job_that_has_gone_into_a_clone_of_another_repository(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """`git clone app && cd app && ci-deploy deploy`: both are named, and what decides; once said,
    that one is deployed (faults A1)."""
    app = Checkout(checkout.path / "app", {"Procfile": "release: echo inner\nworker: sleep 600\n"})
    app.git("config", "remote.origin.url", "https://git.example.com/acme/app.git")
    env = _gitlab(dokku, checkout)
    for more in ({}, {"DEPLOY_REVISION": "HEAD"}):
        words = (str(checkout.path), str(app.path), "CHECKOUT_DIR", "`app` for the other one")
        _refused(dokku, app.path, {**env, **more}, *words)
    done = _deployed(dokku, app.path, {**env, "CHECKOUT_DIR": "app"})
    assert dokku.app("hello").running_revision == app.head
    assert "inner" in done.output
    assert (checkout.path / "deploy.env").is_file()
    _deployed(dokku, app.path, {**env, "CHECKOUT_DIR": ".", "FORCE_PUSH": "true"})
    assert dokku.app("hello").running_revision == checkout.head


def test_checkout_of_another_repository_gets_a_hint_that_works(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """`actions/checkout` with `repository:` (faults A1)."""
    checkout.git("config", "remote.origin.url", "https://git.example.com/acme/other")
    env = _gitlab(dokku, checkout, CI_COMMIT_SHA="1" * 40)
    _refused(dokku, checkout.path, env, "of acme/other", "Set it to `HEAD` for what is")
    _deployed(dokku, checkout.path, {**env, "DEPLOY_REVISION": "HEAD"})
    assert dokku.app("hello").running_revision == checkout.head


def test_checkout_in_a_folder_of_the_workspace_is_named(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """`path: web` (faults A12)."""
    folder = checkout.path.name
    env = _gitlab(dokku, checkout, CI_PROJECT_DIR=str(checkout.path.parent))
    words = ("there is no git checkout in", f"There is one in `{folder}`", "CHECKOUT_DIR")
    _refused(dokku, checkout.path.parent, env, *words)
    _deployed(dokku, checkout.path.parent, {**env, "CHECKOUT_DIR": folder})
    assert dokku.app("hello").running_revision == checkout.head


def test_folder_of_a_checkout_deploys_its_checkout(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """`docker run -w /w/sub` (faults A12)."""
    (checkout.path / "sub").mkdir()
    where, env = checkout.path / "sub", settings_for(dokku, DEPLOY_METHOD="archive")
    assert _deployed(dokku, where, env).report["live_revision"] == checkout.head


def test_worktree_without_its_repository_is_explained(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """Git's own reason, and what is needed too (faults A12)."""
    tree = tmp_path / "tree"
    checkout.git("worktree", "add", "--quiet", "--detach", str(tree))
    checkout.path.rename(tmp_path / "away")
    gone = f"{checkout.path}/.git/worktrees/tree"
    _refused(dokku, tree, settings_for(dokku), gone, "the repository that its `.git` file")


def test_doctor_by_hand_without_a_checkout_says_what_it_has_not_checked(
    dokku: DokkuStandIn, tmp_path: Path
) -> None:
    """It does not say that all is there (faults A12)."""
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("ci-deploy", "doctor", cwd=empty, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "the revision to deploy is not checked" in done.output


def test_directory_that_is_missing_is_met_by_plan_and_doctor(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Each check that a deploy makes before its first change (faults B3)."""
    words = f"there is no directory nothing at {checkout.head[:7]}"
    env = settings_for(dokku, APP_DIR="nothing")
    _refused(dokku, checkout.path, env, words)
    assert "commit it" not in run("ci-deploy", "plan", cwd=checkout.path, env=env).output
    (checkout.path / "nothing").mkdir()
    _refused(dokku, checkout.path, env, words, "It is in the checkout, but not committed")


def test_revision_that_is_no_commit_is_met_by_plan_and_doctor(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """A tree's id; a tag's own id means its commit (faults B3)."""
    checkout.git("tag", "--annotate", "--message", "One", "v1")
    tag, tree = checkout.git("rev-parse", "v1"), checkout.git("rev-parse", "HEAD^{tree}")
    env = settings_for(dokku, DEPLOY_REVISION=tree)
    _refused(dokku, checkout.path, env, "is a tree, not a commit", "DEPLOY_REVISION")
    done = run("ci-deploy", "doctor", cwd=checkout.path, env={**env, "DEPLOY_REVISION": tag})
    assert done.code == 0, done.output
    assert f"revision: {checkout.head[:7]}" in done.output


def test_sha256_repository_goes_as_an_archive(dokku: DokkuStandIn, tmp_path: Path) -> None:
    """By a push the server could not take it, and that is said in time (faults A14)."""
    path = tmp_path / "sha256"
    path.mkdir()
    made = Checkout.__new__(Checkout)
    made.path = path
    made.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    made.commit("SHA-256", {"Procfile": "worker: sleep 600\n"})
    words = ("DEPLOY_METHOD", "the repository uses SHA-256 object IDs")
    _refused(dokku, path, settings_for(dokku, DEPLOY_METHOD="push"), *words)
    done = _deployed(dokku, path, settings_for(dokku))
    assert (
        "sent as an archive instead of a push: the repository uses SHA-256 object IDs"
        in done.output
    )
    assert done.report["live_revision"] == made.head


@pytest.mark.parametrize("blobs", ["blob:none", "tree:0"])
@pytest.mark.parametrize("method", ["auto", "push", "archive"])
def test_partial_clone_that_cannot_be_completed(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, blobs: str, method: str
) -> None:
    """Met before anything is touched, with what to do (faults A10)."""
    checkout.commit("Second", {"Procfile": "worker: sleep 601\n"})
    checkout.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    url = f"file://{checkout.path}"
    checkout.git("clone", "--quiet", "--no-checkout", f"--filter={blobs}", url, str(partial))
    checkout.path.rename(tmp_path / "away")
    env = settings_for(dokku, DEPLOY_METHOD=method, GITLAB_CI="true", CI_PROJECT_DIR=str(partial))
    words = ("the checkout is partial, and what it lacks cannot be fetched", "GIT_DEPTH")
    _refused(dokku, partial, env, *words)
