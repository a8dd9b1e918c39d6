"""The comment on a pull request over the whole life of a review app, on three platforms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from standins.dokku.faults import Fault
from standins.dokku.server import DokkuStandIn
from standins.forge import GITEA, GITHUB, GITLAB, TOKEN, forge
from standins.support import Checkout, run, settings_for
from standins.webhooks import webhooks


@pytest.mark.parametrize("kind", [GITHUB, GITLAB, GITEA])
def test_one_comment_follows_the_review_app_to_its_end(
    kind: str, dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    branch = "feature/@all-`x`"
    repository = {"full_name": "acme/web", "default_branch": "main"}
    pull = {"number": 5, "head": {"repo": repository, "sha": checkout.head, "ref": branch}}
    event.write_text(json.dumps({"pull_request": pull, "repository": repository}))
    with forge(kind) as server:
        env = {
            **settings_for(
                dokku, COMMENT_TOKEN=TOKEN, REVIEW_URL="http://{app}.review.example.com"
            ),
            **server.environ(),
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_HEAD_REF": branch,
            "GITHUB_SHA": checkout.head,
            "GITHUB_WORKSPACE": str(checkout.path),
            "CI_COMMIT_SHA": checkout.head,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": branch,
            "CI_PROJECT_DIR": str(checkout.path),
        }
        planned = run("ci-deploy", "plan", "review", cwd=checkout.path, env=env)
        assert planned.code == 0, planned.output
        assert "pull-requests would send:" in planned.output
        assert server.calls == []

        done = run("ci-deploy", "review", cwd=checkout.path, env=env)
        assert (done.code, done.report["warnings"]) == (0, []), done.output
        [body] = server.bodies
        app = done.report["app"]
        assert f"<!-- ci-deploy: {app} -->" in body
        assert "deployed" in body
        assert checkout.head[:7] in body
        assert f"| Live now | {app} runs {checkout.head[:7]} |" in body
        assert f"http://{app}.review.example.com" in body
        assert "@all" not in body
        # made at the start, edited at the end
        assert [call.split()[0] for call in server.calls[:3]] == [
            "GET",
            "POST",
            "PUT" if kind == GITLAB else "PATCH",
        ]

        checkout.commit("Broken", {"Procfile": "release: sh -c 'exit 3'\nworker: sleep 9\n"})
        broken = {**env, "GITHUB_SHA": checkout.head, "CI_COMMIT_SHA": checkout.head}
        event.write_text(event.read_text().replace(env["GITHUB_SHA"], checkout.head))
        failed = run("ci-deploy", "review", cwd=checkout.path, env=broken)
        assert failed.code == 20, failed.output
        [body] = server.bodies
        assert f"{app}: deploy failed: {checkout.head[:7]}" in body
        assert f"| Live now | {failed.report['live']} |" in body
        assert done.report["revision"][:7] in failed.report["live"]
        assert "| Reason | " in body
        event.write_text(event.read_text().replace(checkout.head, env["GITHUB_SHA"]))
        checkout.git("reset", "--hard", "--quiet", env["GITHUB_SHA"])

        removed = run("ci-deploy", "destroy", cwd=checkout.path, env=env)
        assert (removed.code, removed.report["warnings"]) == (0, []), removed.output
        [body] = server.bodies
        assert f"{app} is removed" in body
        assert "review.example.com" not in body

        server.rights = "read"
        warned = run("ci-deploy", "review", cwd=checkout.path, env=env)
        assert warned.code == 0, warned.output
        [warning] = warned.report["warnings"]
        assert warning.startswith("pull-requests: the comment cannot be written: ")
        for text in (done.output, removed.output, warned.output):
            shown = [line for line in text.splitlines() if not line.startswith("::add-mask::")]
            assert TOKEN not in str(shown)
        assert server.wrong == []


@pytest.mark.parametrize("kind", [GITHUB, GITLAB, GITEA])
def test_plan_keeps_a_comment_of_its_own_where_that_is_asked_for(
    kind: str, dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    repository = {"full_name": "acme/web", "default_branch": "main"}
    pull = {"number": 5, "head": {"repo": repository, "sha": checkout.head, "ref": "feature"}}
    event.write_text(json.dumps({"pull_request": pull, "repository": repository}))
    with forge(kind) as server:
        env = {
            **settings_for(dokku, COMMENT_TOKEN=TOKEN, PLAN_COMMENT="true"),
            **server.environ(),
            "APP_CONFIG": "GREETING=@all",
            "DEPLOY_ENVIRONMENT": "production",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_HEAD_REF": "feature",
            "GITHUB_SHA": checkout.head,
            "CI_COMMIT_SHA": checkout.head,
            "GITHUB_WORKSPACE": str(checkout.path),
            "CI_PROJECT_DIR": str(checkout.path),
        }
        before = dokku.app("hello").config
        planned = run("ci-deploy", "plan", cwd=checkout.path, env=env)
        assert (planned.code, planned.report["warnings"]) == (0, []), planned.output
        [body] = server.bodies
        count = len(planned.report["changes"])
        assert f"a deploy of {checkout.head[:7]} would make {count} changes" in body
        assert f"push {checkout.head[:7]} to master of hello" in body
        assert f"nothing → {checkout.head[:7]}" in body
        assert "@all" not in body
        assert dokku.app("hello").config == before
        assert dokku.app("hello").running_revision == ""

        run("ci-deploy", "plan", cwd=checkout.path, env=env)
        assert len(server.bodies) == 1  # edited in place

        other = {**env, "APP_NAME": "shop"}
        failed = run("ci-deploy", "plan", cwd=checkout.path, env=other)
        assert failed.code == 2, failed.output
        assert len(server.bodies) == 2
        assert "cannot be made" in server.bodies[1]
        assert "there is no app" in server.bodies[1]

        server.rights = "read"
        warned = run("ci-deploy", "plan", cwd=checkout.path, env=env)
        assert warned.code == 0, warned.output
        [warning] = warned.report["warnings"]
        assert warning.startswith("pull-requests: the comment cannot be written: ")
        strict = run("ci-deploy", "plan", cwd=checkout.path, env={**env, "NOTIFY_STRICT": "true"})
        assert (strict.code, strict.report["status"]) == (20, "failed"), strict.output

        unlike = ("CI_MERGE_", "GITHUB_EVENT_", "GITHUB_HEAD_")
        nobody = {name: text for name, text in env.items() if not name.startswith(unlike)}
        said = run("ci-deploy", "plan", cwd=checkout.path, env=nobody)
        assert "does not belong to a pull or merge request" in said.output
        assert server.wrong == []


def test_a_deployment_follows_the_review_app_to_its_end(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    with forge(GITHUB) as server:
        env = {
            **settings_for(dokku, DEPLOYMENTS_TOKEN=TOKEN),
            "REVIEW_URL": "http://{app}.review.example.com",
            **server.environ(),
            "GITHUB_REF_NAME": 'feature/"},$(id)&task=x/@all-`y`',
            "GITHUB_SHA": checkout.head,
            "GITHUB_WORKSPACE": str(checkout.path),
        }
        done = run("ci-deploy", "review", cwd=checkout.path, env=env)
        assert (done.code, done.report["warnings"]) == (0, []), done.output
        [made] = server.deployments
        app = done.report["app"]
        assert (made["ref"], made["environment"]) == (checkout.head, "review")
        assert made["task"] == f"review:{app}"
        assert re.fullmatch(r"hello-feature[a-z0-9-]+", app)
        assert [each["state"] for each in made["statuses"]] == ["in_progress", "success"]
        address = f"http://{app}.review.example.com"
        assert made["statuses"][-1]["environment_url"] == address

        good = checkout.head
        checkout.commit("Broken", {"Procfile": "release: sh -c 'exit 3'\nworker: sleep 9\n"})
        failed = run(
            "ci-deploy", "review", cwd=checkout.path, env={**env, "GITHUB_SHA": checkout.head}
        )
        assert failed.code == 20, failed.output
        states = [each["statuses"][-1]["state"] for each in server.deployments]
        assert states == ["success", "failure"]

        removed = run("ci-deploy", "destroy", cwd=checkout.path, env=env)
        assert (removed.code, removed.report["warnings"]) == (0, []), removed.output
        assert server.deployments == []

        server.rights = "read"
        checkout.git("reset", "--hard", "--quiet", good)
        warned = run("ci-deploy", "review", cwd=checkout.path, env=env)
        assert warned.code == 0, warned.output
        [warning] = warned.report["warnings"]
        assert warning.startswith("github-deployments: ")
        assert "deployments: write" in warning
        assert server.wrong == []


def test_swept_review_apps_leave_no_deployment_and_are_told_one_by_one(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    main = {"GITHUB_REF_NAME": "main"}
    with forge(GITHUB) as server, webhooks() as chat:
        env = {
            **settings_for(dokku, DEPLOYMENTS_TOKEN=TOKEN),
            **server.environ(),
            "GITHUB_SHA": checkout.head,
            "GITHUB_WORKSPACE": str(checkout.path),
        }
        for branch in ("one", "two"):
            there = {**env, "GITHUB_REF_NAME": branch}
            assert run("ci-deploy", "review", cwd=checkout.path, env=there).code == 0
        deployed = run("ci-deploy", "deploy", cwd=checkout.path, env={**env, **main})
        assert deployed.code == 0, deployed.output
        assert len(server.deployments) == 3

        env |= {**main, "MATTERMOST_WEBHOOK_URL": f"{chat.url}/hooks/x"}
        dokku.faults(Fault("apps:destroy", "refuse", times=1))
        swept = run("ci-deploy", "destroy", "--stale", "0", "--yes", cwd=checkout.path, env=env)
        assert swept.code == 20, swept.output
        assert len(dokku.apps()) == 2, "one could not be removed, the other was"
        assert sorted(each["task"].partition(":")[0] for each in server.deployments) == [
            "deploy",
            "review",
        ]
        kept, removed = (title.partition(": ")[2] for title in chat.titles)
        assert (kept, removed) == ("could not be destroyed", "destroyed")
        swept = run("ci-deploy", "destroy", "--stale", "0", "--yes", cwd=checkout.path, env=env)
        assert swept.code == 0, swept.output
        assert [each["task"] for each in server.deployments] == ["deploy:hello"]
        assert server.wrong == []
