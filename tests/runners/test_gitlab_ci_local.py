"""The GitLab component on a real runner: gitlab-ci-local runs complete pipelines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from ci_deploy import __version__
from ci_deploy.commands.pipelines.gitlab import gitlab
from standins.engine import build_image
from standins.heroku.server import HerokuStandIn
from standins.loopback import serving
from standins.support import BIN, ROOT, Checkout
from tests.containers import Container
from tests.contract.test_init_files import FETCHED, wishes
from tests.runners.examples import OURS, TOOLS, gitlab_ci_local, pipeline, project, refresh

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

INCLUDE = """
stages: [deploy, after]
include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/deploy@$CI_COMMIT_SHA
    inputs:
      image: {image}
      job-name: "deploy:staging"
      environment: staging
      tier: staging
      app-name: {app}
      dokku-host: root@dokku
      dokku-create-app: "true"
{more}
"""
AFTER = """
after:
  stage: after
  image: ci-deploy-test/helper
  needs: ["deploy:staging"]
  script:
    - echo "status=$DEPLOYED_STATUS revision=$DEPLOYED_REVISION"
"""


@pytest.mark.long
def test_component_deploys_and_hands_its_outputs_on(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    """Takes half a minute on a busy machine: gitlab-ci-local is Node, and each job a container."""
    text = INCLUDE.format(image=image, app="component", more=AFTER)
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("component") == made.head
    assert f"status=succeeded revision={made.head}" in done.stdout
    assert "deploy component to staging" in done.stdout


BESIDE = """
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/{job}@$CI_COMMIT_SHA
    inputs:
      image: {image}
      rules: [{{ if: $CI_COMMIT_BRANCH }}]
      app-name: {app}
      dokku-host: root@dokku
"""


def test_jobs_beside_the_deploy_plan_go_back_and_sweep(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    app = "beside"
    text = INCLUDE.format(image=image, app=app, more="")
    for job in ("plan", "rollback", "sweep"):
        text = text.rstrip() + BESIDE.format(job=job, image=image, app=app)
    made = project(tmp_path / "project", text)
    first = made.head
    for _ in range(2):
        done = gitlab_ci_local(made, dokku_container, "deploy:staging")
        assert done.returncode == 0, done.stdout + done.stderr
        made.commit("Another")
        refresh(made)
    told = {}
    for job in ("plan", "rollback", "sweep"):
        done = gitlab_ci_local(made, dokku_container, job)
        assert done.returncode == 0, done.stdout + done.stderr
        told[job] = done.stdout
    assert f"push {made.head[:7]} to" in told["plan"]
    assert dokku_container.running(app) == first
    assert f"{app} is back on {first[:7]}" in told["rollback"]
    assert f"0 review apps of {app} not deployed for 14 days" in told["sweep"]


def test_project_wide_defaults_and_a_job_of_the_same_name_fit_together(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    """`default:before_script` is for other images; one in the job of the same name is meant."""
    more = (
        "default:\n  before_script: [this-would-fail]\n"
        '"deploy:staging":\n  before_script: ["echo prepared"]\n  tags: [any]\n'
    )
    text = INCLUDE.format(image=image, app="same-name", more=more)
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "prepared" in done.stdout
    assert dokku_container.running("same-name") == made.head


def test_an_input_beats_a_project_variable(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    """Also one that says what the default is; one that is empty does not."""
    text = INCLUDE.format(image=image, app="from-input", more="")
    inputs = "      lock-timeout: '900'\n      deploy-timeout: ''\n      dokku-create-app"
    made = project(tmp_path / "project", text.replace("      dokku-create-app", inputs))
    given = ("--variable", "APP_NAME=from-variable", "--variable", "LOCK_TIMEOUT=never")
    refused = gitlab_ci_local(made, dokku_container, *given, "--variable", "DEPLOY_TIMEOUT=never")
    assert refused.returncode != 0
    assert "1 setting" in refused.stdout or "a setting is" in refused.stdout
    assert "DEPLOY_TIMEOUT: `never` is not" in refused.stdout
    done = gitlab_ci_local(made, dokku_container, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("from-input") == made.head
    assert dokku_container.running("from-variable") == ""


def test_command_in_an_input_is_no_shell_code(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    more = "      app-dir: $(touch /tmp/pwned)\n"
    text = INCLUDE.format(image=image, app="no-shell", more="").replace(
        "      dokku-create-app", f"{more}      dokku-create-app"
    )
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode != 0
    assert "`$(touch /tmp/pwned)` is not valid" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("redeploy: 'yess'", "option"),
        ("live-but-failed: wran", "option"),
        ("deploy-timeout: ten", "deploy_timeout (input `deploy-timeout`): `ten` is not"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(
    image: str, dokku_container: Container, tmp_path: Path, line: str, words: str
) -> None:
    text = INCLUDE.format(image=image, app="bad-input", more="")
    text = text.replace("      dokku-create-app", f"      {line}\n      dokku-create-app")
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode != 0
    assert words in (done.stdout + done.stderr).lower()
    assert dokku_container.running("bad-input") == ""


@pytest.mark.parametrize("when", ["always", "manual"])
def test_rules_with_a_when_reach_the_stop_job_too(
    image: str, dokku_container: Container, tmp_path: Path, when: str
) -> None:
    """Why `ci-deploy destroy` refuses to be started by itself: GitLab lets a rule win here."""
    text = pipeline("review-apps", image)
    text = text.replace("$CI_DEFAULT_BRANCH }]", f"$CI_DEFAULT_BRANCH, when: {when} }}]")
    made = project(tmp_path / "project", text)
    made.git("checkout", "--quiet", "-b", "feature-x")
    listed = gitlab_ci_local(made, dokku_container, "--list-json")
    assert listed.returncode == 0, listed.stderr
    found = {job["name"]: job["when"] for job in json.loads(listed.stdout)}
    assert found == {"review": when, "review:stop": when}


def test_variables_differ_by_the_scope_of_their_environment(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    text = pipeline("staging-and-production", image).replace("app-name: hello", "app-name: scoped")
    made = project(tmp_path / "project", text)
    scoped = {"APP_CONFIG": {"staging": "COLOUR=blue\n", "production": "COLOUR=green\n"}}
    for job in ("staging", "production"):
        done = gitlab_ci_local(made, dokku_container, job, scoped=scoped)
        assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.config("scoped-staging")["COLOUR"] == "blue"
    assert dokku_container.config("scoped")["COLOUR"] == "green"


def test_rails_is_migrated_as_by_the_deployer_of_old(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    text = pipeline("rails", image).replace("app-name: my-project", "app-name: rails-example")
    made = project(tmp_path / "project", text)
    script = "#!/bin/sh\necho rails $1\n"
    files = {"Gemfile": "gem 'rails'\n", "config/application.rb": "", "bin/rails": script}
    made.commit("Rails", files)
    (made.path / "bin/rails").chmod(0o755)
    made.commit("Executable")
    refresh(made)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("rails-example") == made.head
    assert "rails db:migrate" in done.stdout


class OurFiles(SimpleHTTPRequestHandler):
    """What a web server shows of this repository."""

    protocol_version = "HTTP/1.1"  # who asks closes the connection, which nobody resets then

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(ROOT))

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _by_project(made: Checkout, folder: Path) -> tuple[str, dict[str, str]]:
    """From another project of the instance, by git, as a mirror is included."""
    mirror = Checkout(folder / "mirror", {"README.md": ""})
    shutil.copytree(ROOT / "templates", mirror.path / "templates")
    mirror.commit("Mirror")
    mirror.git("tag", "0.1.0")
    mirror.git("config", "uploadpack.allowFilter", "true")
    found = "- project: devops/ci-deploy\n    ref: 0.1.0\n    file: /templates/deploy.yml"
    return found, {f"url.file://{mirror.path}.insteadOf": "https://gitlab.com/devops/ci-deploy.git"}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["local", "project", "remote"])
def test_component_works_by_every_other_include(
    image: str, dokku_container: Container, tmp_path: Path, kind: str
) -> None:
    """Takes half a minute on a busy machine, as each pipeline in gitlab-ci-local does."""
    text = INCLUDE.format(image=image, app=f"by-{kind}", more="")
    made = project(tmp_path / "project", "")
    component = "- component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/deploy@$CI_COMMIT_SHA"
    git: dict[str, str] = {}
    with serving(OurFiles, threading.Event()) as url:
        found = {"local": "- local: /templates/deploy.yml",
                 "remote": f"- remote: {url}/templates/deploy.yml"}  # fmt: skip
        if kind == "project":
            found[kind], git = _by_project(made, tmp_path)
        made.commit("Include", {".gitlab-ci.yml": text.replace(component, found[kind])})
        refresh(made)
        done = gitlab_ci_local(made, dokku_container, git=git)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running(f"by-{kind}") == made.head


def test_staging_by_itself_and_production_by_hand(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    made = project(tmp_path / "project", pipeline("staging-and-production", image))
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("hello-staging") == made.head
    assert dokku_container.running("hello") == ""
    done = gitlab_ci_local(made, dokku_container, "production")
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("hello") == made.head


def test_production_on_tags(image: str, dokku_container: Container, tmp_path: Path) -> None:
    text = pipeline("production-on-tags", image).replace("app-name: hello", "app-name: tagged")
    made = project(tmp_path / "project", text)
    tag = ("--variable", "CI_COMMIT_TAG=1.0.0", "--unset-variable", "CI_COMMIT_BRANCH")
    done = gitlab_ci_local(made, dokku_container, *tag)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("tagged") == made.head
    assert dokku_container.running("tagged-staging") == ""


def test_review_app_is_started_and_stopped_without_a_checkout(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    text = pipeline("review-apps", image).replace("app-name: hello", "app-name: base")
    made = project(tmp_path / "project", text)
    made.git("checkout", "--quiet", "-b", "feature-x")
    made.commit("On a branch")
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("base-feature-x") == made.head
    done = gitlab_ci_local(made, dokku_container, "review:stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("base-feature-x") == ""


@pytest.mark.parametrize(
    "name", ["staging-and-production", "production-on-tags", "review-apps", "rails", "many-apps"]
)
def test_rendered_pipeline_follows_the_published_schema(
    image: str, dokku_container: Container, tmp_path: Path, name: str
) -> None:
    made = project(tmp_path / "project", pipeline(name, image))
    if name == "review-apps":
        made.git("checkout", "--quiet", "-b", "feature-x")
    rendered = gitlab_ci_local(made, dokku_container, "--preview")
    path = tmp_path / "rendered.gitlab-ci.yml"
    path.write_text(rendered.stdout)
    checked = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci",
         "--data-transform", "gitlab-ci", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    assert "$[[" not in rendered.stdout


def test_component_twice_with_names_of_their_own_and_once_with_an_array_of_rules(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    text = pipeline("production-on-tags", image)
    assert text.count("/deploy@") == 2
    assert "rules: [" in text
    made = project(tmp_path / "project", text)
    tag = ("--variable", "CI_COMMIT_TAG=1.0.0", "--unset-variable", "CI_COMMIT_BRANCH")
    found = {}
    for kind, facts in (("branch", ()), ("tag", tag)):
        listed = gitlab_ci_local(made, dokku_container, "--list-json", *facts)
        assert listed.returncode == 0, listed.stderr
        jobs = json.loads(listed.stdout)
        found[kind] = [job["name"] for job in jobs if job["when"] != "never"]
    assert found == {"branch": ["staging"], "tag": ["production", "rollback"]}


def test_heroku_staging_from_the_branch_and_production_from_a_tag(
    tmp_path: Path, heroku: HerokuStandIn
) -> None:
    text = pipeline("heroku", build_image("heroku"))
    made = project(tmp_path / "project", text.replace("      dokku-create-app: 'true'\n", ""))
    made.commit("Trust the stand-in", {"ca.pem": heroku.ca.read_text()})
    done = gitlab_ci_local(made, heroku)
    assert done.returncode == 0, done.stdout + done.stderr
    assert heroku.apps["hello-staging"].running_revision == made.head
    assert heroku.apps["hello"].running_revision == ""
    tag = ("--variable", "CI_COMMIT_TAG=v1.0.0", "--unset-variable", "CI_COMMIT_BRANCH")
    done = gitlab_ci_local(made, heroku, *tag)
    assert done.returncode == 0, done.stdout + done.stderr
    assert heroku.apps["hello"].running_revision == made.head


def test_the_runner_takes_every_kind_of_file_that_init_writes(tmp_path: Path) -> None:
    """Its jobs, as it expands our components with these inputs."""
    for name in (
        "dokku-1-false-none",
        "dokku-2-true-none",
        "heroku-3-true-none",
        "compose-2-true-two",
    ):
        wish = wishes("gitlab")[f"gitlab-{name}"]
        text = gitlab(wish).replace(f"@{__version__}", "@$CI_COMMIT_SHA")
        here = "$CI_SERVER_FQDN/$CI_PROJECT_PATH/"
        text = re.sub(f"remote: {FETCHED.pattern}", rf"component: {here}\2@$CI_COMMIT_SHA", text)
        made = project(tmp_path / name, text.replace(OURS, here))
        done = subprocess.run(
            [TOOLS / "gitlab-ci-local", "--list-csv-all", "--no-color"],
            cwd=made.path,
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        jobs = {line.split(";")[0] for line in done.stdout.splitlines()[1:]}
        expected = {"plan", "rollback", *(f"deploy:{each}" for each in wish.environments)}
        expected |= {"review", "review:stop"} if wish.review else set()
        expected |= {"build"} if wish.images else set()
        assert jobs == expected
