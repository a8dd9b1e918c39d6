"""The GitLab component on a real runner: gitlab-ci-local runs complete pipelines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.containers import Container
from tests.docker import build_image
from tests.runners.examples import gitlab_ci_local, pipeline, project
from tests.standins.heroku.server import HerokuStandIn
from tests.support import BIN

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


def test_component_deploys_and_hands_its_outputs_on(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    text = INCLUDE.format(image=image, app="component", more=AFTER)
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("component") == made.head
    assert f"status=succeeded revision={made.head}" in done.stdout
    assert "deploy component to staging" in done.stdout


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
    text = INCLUDE.format(image=image, app="from-input", more="")
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container, "--variable", "APP_NAME=from-variable")
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
    assert "`$(touch /tmp/pwned)` does not look right" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("redeploy: 'yess'", "option"),
        ("deploy-timeout: ten", "regex"),
        ("live-but-failed: wran", "option"),
    ],
)
def test_bad_input_is_refused_before_the_job(
    image: str, dokku_container: Container, tmp_path: Path, line: str, words: str
) -> None:
    text = INCLUDE.format(image=image, app="bad-input", more="")
    text = text.replace("      dokku-create-app", f"      {line}\n      dokku-create-app")
    made = project(tmp_path / "project", text)
    done = gitlab_ci_local(made, dokku_container)
    assert done.returncode != 0
    assert words in (done.stdout + done.stderr).lower()
    assert dokku_container.running("bad-input") == ""


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


@pytest.mark.parametrize("name", ["staging-and-production", "production-on-tags", "review-apps"])
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
    assert text.count("- component:") == 2
    assert "rules: [" in text
    made = project(tmp_path / "project", text)
    tag = ("--variable", "CI_COMMIT_TAG=1.0.0", "--unset-variable", "CI_COMMIT_BRANCH")
    found = {}
    for kind, facts in (("branch", ()), ("tag", tag)):
        listed = gitlab_ci_local(made, dokku_container, "--list-json", *facts)
        assert listed.returncode == 0, listed.stderr
        found[kind] = [job["name"] for job in json.loads(listed.stdout)]
    assert found == {"branch": ["staging"], "tag": ["production"]}


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
