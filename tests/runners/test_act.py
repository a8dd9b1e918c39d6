"""The GitHub Action on a real runner: act runs the example workflows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ci_deploy import __version__
from ci_deploy.commands.pipelines.github import github
from standins.engine import build_image
from standins.heroku.server import HerokuStandIn
from standins.support import BIN, ROOT, Checkout
from tests.containers import Container
from tests.contract.test_init_files import wishes
from tests.runners.examples import EXAMPLES, TOOLS, act, action

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def _project(path: Path, app: str, *workflows: str) -> Checkout:
    made = Checkout(path, {"Procfile": "worker: sleep 600\n"})
    texts = {f".github/workflows/{name}": _workflow(name, app) for name in workflows}
    made.commit("Workflows", texts)
    made.git("remote", "add", "origin", "https://github.com/acme/hello.git")
    return made


def _workflow(name: str, app: str) -> str:
    text = (EXAMPLES / "github" / name).read_text()
    text = text.replace("dokku@dokku.example.com", "root@dokku")
    text = text.replace(
        "          dokku-host", "          dokku-create-app: true\n          dokku-host"
    )
    text = text.replace("hello", app)
    return text.replace("name: ", f"name: {app} ", 1)  # act calls its containers after it


def test_push_to_main_deploys_to_staging(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    made = _project(tmp_path / "project", "act", "deploy.yml")
    released = action(tmp_path / "action", image)
    payload = {"ref": "refs/heads/main", "after": made.head}
    done = act(made, dokku_container, released, "push", payload=payload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dokku_container.running("act-staging") == made.head
    assert "deploy act-staging to staging" in done.stdout


@pytest.mark.long
def test_tag_deploys_to_production_and_one_click_rolls_back(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    """Takes half a minute on a busy machine: act starts containers for each of four jobs."""
    made = _project(tmp_path / "project", "acttag", "deploy.yml", "by-hand.yml")
    released = action(tmp_path / "action", image)
    revisions = [made.head, made.commit("More")]
    for number, revision in enumerate(revisions, 1):
        made.git("tag", f"v{number}.0.0", revision)
        made.git("checkout", "--quiet", "--detach", revision)
        payload: dict[str, object] = {"ref": f"refs/tags/v{number}.0.0", "after": revision}
        done = act(made, dokku_container, released, "push", payload=payload)
        assert done.returncode == 0, done.stdout + done.stderr
        assert dokku_container.running("acttag") == revision

    def by_hand(name: str, **chosen: str) -> str:
        payload = {"ref": "refs/heads/main", "inputs": chosen}
        one = ("--workflows", f".github/workflows/{name}.yml")
        done = act(made, dokku_container, released, "workflow_dispatch", *one, payload=payload)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    by_hand("deploy", environment="production")
    assert dokku_container.running("acttag") == revisions[0]
    assert f"acttag runs {revisions[0][:7]}" in by_hand("by-hand", command="status")


def test_pull_request_makes_a_review_app_and_closing_it_removes_it(
    image: str, dokku_container: Container, tmp_path: Path
) -> None:
    made = _project(tmp_path / "project", "actpull", "review-apps.yml")
    released = action(tmp_path / "action", image)
    pull = {
        "number": 7,
        "html_url": "https://github.com/acme/hello/pull/7",
        "head": {"sha": made.head, "ref": "feature-x", "repo": {"full_name": "acme/hello"}},
        "base": {"sha": made.head, "ref": "main", "repo": {"full_name": "acme/hello"}},
    }
    for kind, expected in (("opened", made.head), ("closed", "")):
        payload = {"action": kind, "number": 7, "pull_request": pull}
        done = act(made, dokku_container, released, "pull_request", payload=payload)
        assert done.returncode == 0, done.stdout + done.stderr
        assert dokku_container.running("actpull-feature-x") == expected


@pytest.mark.parametrize(
    ("ref", "app"), [("refs/heads/main", "hello-staging"), ("refs/tags/v1.0.0", "hello")]
)
def test_heroku_staging_from_main_and_production_from_tags(
    tmp_path: Path, heroku: HerokuStandIn, ref: str, app: str
) -> None:
    variables = ("HEROKU_API_URL", "HEROKU_GIT_URL", "HEROKU_BOOT_TIMEOUT", "CA_BUNDLE")
    text = (EXAMPLES / "github/heroku.yml").read_text().replace("name: ", f"name: {app} ", 1)
    text += "env:\n" + "".join(f"  {name}: ${{{{ vars.{name} }}}}\n" for name in variables)
    made = Checkout(tmp_path / "project", {"Procfile": "worker: sleep 600\n"})
    made.commit("Workflow", {".github/workflows/heroku.yml": text, "ca.pem": heroku.ca.read_text()})
    made.git("remote", "add", "origin", "https://github.com/acme/hello.git")
    if ref.startswith("refs/tags/"):
        made.git("tag", ref.rpartition("/")[2])
    released = action(tmp_path / "action", build_image("heroku"))
    done = act(made, heroku, released, "push", payload={"ref": ref, "after": made.head})
    assert done.returncode == 0, done.stdout + done.stderr
    running = {name: each.running_revision for name, each in heroku.apps.items()}
    assert running == {"hello": "", "hello-staging": "", app: made.head}


OURS = f"uses: ci-deploy/ci-deploy@v{__version__}"
WORKFLOWS = [*sorted((EXAMPLES / "github").glob("*.yml")), EXAMPLES / "compose/github-workflow.yml"]


def _linted(*argv: str | Path, cwd: Path = ROOT) -> str:
    """What a linter says; empty when it is content."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_example_satisfies_the_schema_zizmor_and_actionlint(tmp_path: Path, path: Path) -> None:
    """For actionlint our action is a local one: then it knows our inputs, and refuses others."""
    schema = (BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows")
    assert _linted(*schema, path) == ""
    security = (BIN / "zizmor", "--offline", "--no-progress", "--min-severity", "medium")
    assert _linted(*security, "--config", ROOT / "tests/runners/zizmor.yml", path) == ""
    assert OURS in path.read_text()
    local = path.read_text().replace(OURS, "uses: ./")
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".git").mkdir()  # what a project is known by
    shutil.copy(ROOT / "Dockerfile", tmp_path)
    ours = (ROOT / "action.yml").read_text()  # actionlint takes a program of the image for a file
    (tmp_path / "action.yml").write_text(ours.replace("  entrypoint: ci-deploy\n", ""))
    lint = (TOOLS / "actionlint", "-no-color")
    (tmp_path / ".github/workflows/example.yml").write_text(local)
    assert _linted(*lint, cwd=tmp_path) == ""
    wrong = local.replace("uses: ./", "uses: ./\n        with: { app-nam: x }", 1)
    wrong = re.sub(r"(app-nam: x }\n)        with:\n(?:          .*\n)*", r"\1", wrong)
    (tmp_path / ".github/workflows/example.yml").write_text(wrong)
    assert 'input "app-nam" is not defined in action' in _linted(*lint, cwd=tmp_path)


def test_every_workflow_that_init_writes_satisfies_zizmor_and_actionlint(tmp_path: Path) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for name, wish in wishes("github").items():
        (folder / f"{name}.yml").write_text(github(wish))
    security = (BIN / "zizmor", "--offline", "--no-progress", "--min-severity", "medium")
    assert _linted(*security, "--config", ROOT / "tests/runners/zizmor.yml", folder) == ""
    shutil.copy(ROOT / "Dockerfile", tmp_path)
    for provider in {wish.provider for wish in wishes("github").values()}:
        (tmp_path / provider).mkdir()
        ours = (ROOT / provider / "action.yml").read_text()
        ours = ours.replace("  entrypoint: ci-deploy\n", "")
        (tmp_path / provider / "action.yml").write_text(ours)
    for name, wish in wishes("github").items():
        text, ours = github(wish), OURS.replace("@", f"/{wish.provider}@")
        assert ours in text
        (folder / f"{name}.yml").write_text(text.replace(ours, f"uses: ./{wish.provider}"))
    assert _linted(TOOLS / "actionlint", "-no-color", cwd=tmp_path) == ""


def test_our_own_workflows_satisfy_actionlint() -> None:
    assert _linted(TOOLS / "actionlint", "-no-color") == ""


def test_action_follows_the_schema_and_zizmor_finds_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "action.yml", tmp_path)
    schema = (BIN / "check-jsonschema", "--builtin-schema", "vendor.github-actions")
    assert _linted(*schema, tmp_path / "action.yml") == ""
    assert _linted(BIN / "zizmor", "--offline", "--no-progress", tmp_path / "action.yml") == ""
