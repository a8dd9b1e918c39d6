"""The image on twins of the real runners: hostile logs, outputs, inputs, secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from standins.support import Checkout
from tests.containers import Container
from tests.runners.github_runner import log_without_colour
from tests.runners.gitlab_runner import SCRIPT, GitLabRunner
from tests.runners.twins import github_runner, inputs_for, quick

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

FORGED = [
    "::set-output name=status::hacked",
    "   ::set-output name=url::https://evil.example.com",
    "\t::add-mask::hello",
    "##[set-output name=revision]0000",
    "in a line ##[add-mask]hello",
    "::add-matcher::/github/workspace/evil.json",
    "::stop-commands::x",
    "::endgroup::",
    "::group::fake",
    "::error::not ours",
    "\x1b[0m::warning::coloured",
    "::save-state name=a::b",
    "::echo::on",
    "progress 10%\r::set-output name=status::hacked",
]


# --- GitHub --------------------------------------------------------------------------------------


def test_step_outputs_summary_and_annotations_on_github(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    quick(app)
    runner = github_runner(image, dokku_container, app, tmp_path)
    variables = {"GITHUB_SHA": app.head}
    inputs = inputs_for(dokku_container, APP_NAME="twin-outputs", DEPLOY_ENVIRONMENT="staging")
    step = runner.start({"command": "", **inputs}, variables=variables).done()
    assert step.code == 0, step.raw
    assert step.outputs["status"] == "succeeded"
    assert step.outputs["revision"] == app.head
    assert step.outputs["changed"] == "true"
    assert step.parsed.groups == 0
    assert not step.parsed.stopped_by
    assert not step.parsed.outputs
    assert f"twin-outputs runs {app.head[:7]}" in step.summary
    assert [level for level, _, _ in step.parsed.annotations] == []


def test_hostile_build_log_changes_nothing_on_github(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    # each once in one piece and once split over two writes, on both streams
    script = "import sys, time\n" + "".join(
        f"for part in {parts!r}: sys.{stream}.write(part); sys.{stream}.flush(); time.sleep(0.02)\n"
        for number, line in enumerate(FORGED)
        for stream in (("stdout", "stderr") if number % 2 else ("stderr", "stdout"))
        for parts in ([f"{line}\n"], [line[: len(line) // 2], line[len(line) // 2 :], "\n"])
    )
    app.commit("Hostile", {"Procfile": "release: python3 evil.py\nworker: sleep 9\n",
                           "evil.py": script})  # fmt: skip
    runner = github_runner(image, dokku_container, app, tmp_path)
    inputs = inputs_for(dokku_container, APP_NAME="twin-hostile")
    step = runner.start(inputs, variables={"GITHUB_SHA": app.head}).done()
    assert step.code == 0, step.raw
    parsed = step.parsed
    assert not parsed.outputs
    assert not parsed.matchers
    assert not parsed.annotations
    assert parsed.groups == 0
    assert not parsed.stopped_by
    assert "hello" not in parsed.masks
    assert step.outputs["status"] == "succeeded"
    assert "evil.example.com" in log_without_colour(step)


def test_secrets_are_masked_first_and_appear_nowhere_on_github(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    printed = dokku_container.settings()["SSH_PRIVATE_KEY"]
    files = {"Procfile": "release: cat key.txt\nworker: sleep 9\n", "key.txt": printed}
    app.commit("Print the key", files)
    runner = github_runner(image, dokku_container, app, tmp_path)
    inputs = inputs_for(dokku_container, APP_NAME="twin-secrets")
    step = runner.start(inputs, variables={"GITHUB_SHA": app.head}).done()
    assert step.code == 0, step.raw
    key = [line for line in inputs["ssh-private-key"].splitlines() if "-----" not in line]
    # as we print it: what the runner shows has its own masks too
    said = [line for line in step.raw.splitlines() if not line.startswith("::add-mask::")]
    shown = "\n".join(said) + step.summary + json.dumps(step.outputs)
    assert "[REDACTED]" in shown, "the server has printed it"
    assert not [line for line in key if line in shown]
    first = next(i for i, line in enumerate(step.raw.splitlines()) if "::add-mask::" in line)
    assert first == 0
    assert "runtime-token-of-the-job" not in shown


def test_failure_on_github_has_one_root_cause_annotation(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    quick(app, release="false")
    runner = github_runner(image, dokku_container, app, tmp_path)
    inputs = inputs_for(dokku_container, APP_NAME="twin-failure")
    step = runner.start(inputs, variables={"GITHUB_SHA": app.head}).done()
    assert step.code == 20
    errors = [text for level, _, text in step.parsed.annotations if level == "error"]
    assert len(errors) == 1
    assert "the release task failed" in errors[0]
    assert step.outputs["status"] == "failed"


def test_pull_request_deploys_its_head_and_not_the_merge_commit(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    quick(app)
    head = app.head
    merge = app.commit("Merge commit that GitHub has made")
    event = {"pull_request": _pull(head, "acme/hello")}
    runner = github_runner(image, dokku_container, app, tmp_path)
    variables = {"GITHUB_SHA": merge, "GITHUB_EVENT_NAME": "pull_request",
                 "GITHUB_HEAD_REF": "feature", "GITHUB_REF_NAME": "7/merge"}  # fmt: skip
    inputs = {**inputs_for(dokku_container, APP_NAME="twin-pull"), "command": "review"}
    step = runner.start(inputs, event=event, variables=variables).done()
    assert step.code == 0, step.raw
    assert step.outputs["revision"] == head
    assert step.outputs["app"] == "twin-pull-feature"
    closed = {**inputs, "command": "destroy"}
    step = runner.start(closed, event=event, variables=variables).done()
    assert step.code == 0, step.raw


def _pull(head: str, repository: str) -> dict[str, object]:
    return {"number": 7, "html_url": "https://github.com/acme/hello/pull/7",
            "head": {"sha": head, "ref": "feature", "repo": {"full_name": repository}}}  # fmt: skip


def test_pull_request_from_a_fork_is_skipped_and_green(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path
) -> None:
    runner = github_runner(image, dokku_container, app, tmp_path)
    variables = {"GITHUB_SHA": app.head, "GITHUB_EVENT_NAME": "pull_request"}
    inputs = dict.fromkeys(inputs_for(dokku_container), "")
    event = {"pull_request": _pull(app.head, "stranger/hello")}
    step = runner.start(inputs, event=event, variables=variables).done()
    assert step.code == 0, step.raw
    assert step.outputs["status"] == "skipped"
    assert [level for level, _, _ in step.parsed.annotations] == ["notice"]


@pytest.mark.parametrize("event_name", ["pull_request_target", "workflow_run"])
def test_strangers_code_with_secrets_is_refused(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path, event_name: str
) -> None:
    event: dict[str, object] = {"pull_request": _pull(app.head, "stranger/hello")}
    if event_name == "workflow_run":
        event = {"workflow_run": {"head_repository": {"full_name": "stranger/hello"}}}
    runner = github_runner(image, dokku_container, app, tmp_path)
    variables = {"GITHUB_SHA": app.head, "GITHUB_EVENT_NAME": event_name}
    inputs = inputs_for(dokku_container, APP_NAME="twin-stranger")
    step = runner.start(inputs, event=event, variables=variables).done()
    assert step.code == 14, step.raw
    assert "`deploy-allow: untrusted`" in step.raw


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"aap-name": "x"}, 2, "there is no such input. Did you mean `app-name`?"),
        ({"lock-timeout": ""}, 2, "  - LOCK_TIMEOUT: `never` is not a whole"),
        ({"redeploy": "yess"}, 2, "`yess` is not a boolean"),
        ({"deploy-method": "psuh"}, 2, "Did you mean `push`?"),
        ({"app-name": "$(id)"}, 2, "`$(id)` is not valid"),
        ({"deploy-environment": ""}, 0, "already"),
        ({"lock-timeout": "900"}, 0, "already"),
    ],
    ids=[
        "unknown",
        "a variable alone",
        "typo in a boolean",
        "typo in an option",
        "$(id)",
        "empty",
        "a default",
    ],
)
def test_inputs_get_right_answers_on_github(
    image: str, dokku_container: Container, app: Checkout, tmp_path: Path,
    inputs: dict[str, str], code: int, words: str,
) -> None:  # fmt: skip
    quick(app)
    runner = github_runner(image, dokku_container, app, tmp_path)
    given = inputs_for(dokku_container, APP_NAME=f"twin-inputs-{app.head[:6]}")
    variables = {"GITHUB_SHA": app.head}
    if code == 0:
        assert runner.start(given, variables=variables).done().code == 0
    if "lock-timeout" in inputs:  # an input wins over it, also one that equals the default
        variables["LOCK_TIMEOUT"] = "never"
    step = runner.start({**given, **inputs}, variables=variables).done()
    assert step.code == code, step.raw
    assert words in step.raw


# --- GitLab --------------------------------------------------------------------------------------


def test_file_variables_and_script_by_stdin_on_gitlab(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    quick(app)
    settings = dokku_container.settings(APP_NAME="twin-gitlab")
    files = {name: settings.pop(name) for name in ("SSH_PRIVATE_KEY", "SSH_SERVER_HOSTKEYS")}
    settings |= {"CI_COMMIT_SHA": app.head, "CI_COMMIT_REF_NAME": "main"}
    runner = GitLabRunner(image, dokku_container.network, app.path)
    job = runner.start(SCRIPT, settings, files).done()
    assert job.code == 0, job.log
    assert "DEPLOYED_STATUS=succeeded" in (app.path / "deploy.env").read_text()
    key = [line for line in files["SSH_PRIVATE_KEY"].splitlines() if "-----" not in line]
    assert not [line for line in key if line in job.log]


def test_input_that_does_not_exist_is_told_on_gitlab_too(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    """GitLab refuses it in an `include`; a job of one's own can still misspell one."""
    settings = dokku_container.settings(APP_NAME="twin-unknown", CI_COMMIT_SHA=app.head)
    settings["INPUT_AAP_NAME"] = settings.pop("APP_NAME")
    job = GitLabRunner(image, dokku_container.network, app.path).start(SCRIPT, settings).done()
    assert job.code == 2, job.log
    assert "input `aap-name`: there is no such input. Did you mean `app-name`?" in job.log
    assert dokku_container.pushes("twin-unknown") == []


def test_protected_variable_on_an_unprotected_branch_is_explained(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    settings = dokku_container.settings(APP_NAME="twin-protected")
    del settings["SSH_PRIVATE_KEY"]
    settings |= {"CI_COMMIT_SHA": app.head, "CI_COMMIT_REF_NAME": "feature",
                 "CI_COMMIT_REF_PROTECTED": "false"}  # fmt: skip
    job = GitLabRunner(image, dokku_container.network, app.path).start(SCRIPT, settings).done()
    assert job.code == 2
    assert "`feature` is not a protected branch" in job.log


def test_deploy_freeze_is_refused_unless_allowed(
    image: str, dokku_container: Container, app: Checkout
) -> None:
    quick(app)
    settings = dokku_container.settings(APP_NAME="twin-freeze", CI_DEPLOY_FREEZE="true")
    settings |= {"CI_COMMIT_SHA": app.head, "CI_COMMIT_REF_NAME": "main"}
    runner = GitLabRunner(image, dokku_container.network, app.path)
    job = runner.start(SCRIPT, settings).done()
    assert job.code == 14
    assert "deploy freeze" in job.log
    job = runner.start(SCRIPT, {**settings, "DEPLOY_ALLOW": "freeze"}).done()
    assert job.code == 0, job.log


@pytest.mark.parametrize("new_eval", [False, True], ids=["old", "new"])
def test_exit_codes_reach_gitlab_by_both_of_the_runners_strategies(
    image: str, dokku_container: Container, app: Checkout, *, new_eval: bool
) -> None:
    """… and the twin loses the code of a plain command, as the real runner does. (faults E1)"""
    runner = GitLabRunner(image, dokku_container.network, app.path)
    given = {"APP_NAME": "My App"}
    assert runner.start(SCRIPT, given, new_eval=new_eval).done().code == 2
    assert runner.start("deploy", given, new_eval=new_eval).done().code == (2 if new_eval else 1)
