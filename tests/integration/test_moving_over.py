"""What public pipelines do by hand, as a job of ours: the first deployment after another tool,
files that the job has built, and options of a review app that only the server has."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for

WORKER = "worker: sleep 600\n"
BUILT = {".gitignore": "dist\n", "Procfile": f"release: cat dist/app.js\n{WORKER}"}


def test_app_that_was_pushed_by_subtree_is_taken_over_when_asked(
    dokku: DokkuStandIn, naive: Client, tmp_path: Path
) -> None:
    """`git subtree push --prefix api dokku main`: its commits are in nobody's repository."""
    mono = Checkout(tmp_path / "mono", {"api/Procfile": f"release: echo built api\n{WORKER}"})
    split = mono.git("commit-tree", "-m", "Split", "HEAD:api")
    naive.dokku("apps:create hello")
    assert naive.push(mono.path, "hello", f"{split}:refs/heads/main").returncode == 0
    assert dokku.app("hello").running_revision == split
    mono.git("reflog", "expire", "--expire=now", "--all")
    mono.git("gc", "--prune=now", "--quiet")
    env = settings_for(dokku, APP_DIR="api")
    refused = run("deploy", cwd=mono.path, env=env)
    assert refused.code == 14, refused.output
    assert "or set FORCE_PUSH=true to replace it." in refused.output
    done = run("deploy", cwd=mono.path, env={**env, "FORCE_PUSH": "true"})
    assert done.code == 0, done.output
    mono.commit("Next", {"api/README": "x"})
    done = run("deploy", cwd=mono.path, env=env)
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == mono.head


def test_files_that_the_job_has_built_are_deployed_with_their_commit(
    dokku: DokkuStandIn, tmp_path: Path
) -> None:
    """As docs/troubleshooting.md says; each job starts from the branch, so no such commit contains
    the one before."""
    checkout = Checkout(tmp_path / "built", BUILT)
    env = settings_for(dokku, DEPLOY_REVISION="HEAD", DEPLOY_METHOD="archive")
    for number in (1, 2):
        main = checkout.commit(f"Change {number}", {"README": str(number)})
        (checkout.path / "dist").mkdir(exist_ok=True)
        (checkout.path / "dist/app.js").write_text(f"built {number}\n")
        checkout.git("add", "--force", "dist")
        checkout.git("commit", "--quiet", "--message", "Build")
        ci = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(checkout.path), "CI_COMMIT_SHA": main}
        done = run("deploy", cwd=checkout.path, env={**env, **ci})
        assert done.code == 0, done.output
        assert f"built {number}" in done.output
        assert done.report["revision"] == checkout.git("rev-parse", "HEAD") != main
        checkout.git("reset", "--hard", "--quiet", main)
        checkout.git("reflog", "expire", "--expire=now", "--all")
        checkout.git("gc", "--prune=now", "--quiet")
    back = run("ci-deploy", "rollback", cwd=checkout.path, env=env)
    assert back.code == 14, back.output
    assert "run that pipeline again instead" in back.output


@pytest.mark.parametrize("config", [False, True])
def test_app_that_a_step_before_has_prepared_becomes_the_review_app(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, config: bool
) -> None:
    """Docker options, ports and mounts are set on an app that exists, before its first build."""
    naive.dokku("apps:create hello")
    naive.dokku("apps:create hello-pr-7")
    naive.dokku("git:set hello-pr-7 deploy-branch main")
    if config:
        naive.dokku("config:set hello-pr-7 --no-restart A=1")
    env = settings_for(dokku, REVIEW_APP_NAME="hello-pr-7")
    done = run("ci-deploy", "review", cwd=checkout.path, env=env)
    assert done.code == (14 if config else 0), done.output
    if config:
        assert "`ci-deploy review --adopt --yes`" in done.output
        return
    assert dokku.app("hello-pr-7").running_revision == checkout.head
    assert "main" in dokku.app("hello-pr-7").branches
    assert run("ci-deploy", "destroy", cwd=checkout.path, env=env).code == 0
    assert "hello-pr-7" not in dokku.apps()
