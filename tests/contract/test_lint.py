"""What linters say of all that is not Python: nothing. And the rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from release import pins
from release.project import PLATFORMS, load
from standins.support import BIN, ROOT
from tests.contract.test_manifest import check_schema

TRACKED = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
SHELL = re.compile(r"#!/(?:usr/bin/env )?(?:bin/)?(?:ba)?sh\b|# shellcheck shell=")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = {
    ".github/workflows/*.yml": "vendor.github-workflows",
    ".github/ISSUE_TEMPLATE/[!c]*.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
    ".github/dependabot.yml": "vendor.dependabot",
}


def tracked() -> list[Path]:
    """The files of this project."""
    try:
        done = subprocess.run(TRACKED, cwd=ROOT, capture_output=True, text=True, check=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("no git repository: the files of the project are not known")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def complaints(program: str, *arguments: object) -> str:
    """What a linter says; empty when it is content."""
    argv = [str(BIN / program), *map(str, arguments)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))["jobs"]
    return found


def test_shell_scripts() -> None:
    scripts = [path for path in tracked() if SHELL.match(path.read_bytes()[:40].decode("latin-1"))]
    assert len(scripts) > 8
    assert complaints("shellcheck", *scripts) == ""


def test_scripts_wait_by_a_clock_that_nobody_sets() -> None:
    """A wall clock that is set back makes a wait endless, one that is set ahead ends it at once."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in tracked()
        if path.suffix == ".sh" and "host" in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\buntil=.*\bdate\b|\bdate\b.* -(lt|le|gt|ge) ", line)
    ]
    assert found == []


def test_dockerfiles() -> None:
    files = [path for path in tracked() if path.name == "Dockerfile"]
    assert len(files) > 4
    assert complaints("hadolint", *files) == ""


def test_workflows_and_action() -> None:
    assert (
        complaints("zizmor", "--offline", "--no-progress", "--quiet", ".github", "action.yml") == ""
    )


@pytest.mark.parametrize("pattern", SCHEMAS)
def test_files_of_github_follow_their_schema(pattern: str) -> None:
    paths = sorted(map(str, ROOT.glob(pattern)))
    assert paths
    assert check_schema("--builtin-schema", SCHEMAS[pattern], *paths) == ""


def test_our_pipeline_follows_its_schema() -> None:
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    assert check_schema(*schema, str(ROOT / ".gitlab-ci.yml")) == ""


def test_everything_is_pinned() -> None:
    assert list(pins.problems(load(ROOT))) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_a_limit_and_only_the_rights_they_need(path: Path) -> None:
    assert "\npermissions: {}\n" in path.read_text("utf-8")
    for job in jobs(path).values():
        assert job["permissions"]
        assert "timeout-minutes" in job or "uses" in job
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", ""), "an input of a shell comes by variable"
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_rights_of_a_release_are_spread() -> None:
    """No job can both sign and push a tag; none but the last two has a secret of GitLab."""
    release = jobs(ROOT / ".github/workflows/release.yml")
    rights = {name: job["permissions"] for name, job in release.items()}
    assert [name for name, each in rights.items() if each.get("contents") == "write"] == ["tag"]
    assert [name for name, each in rights.items() if "id-token" in each] == ["publish"]
    told = [name for name, job in release.items() if "secrets.GITLAB_TOKEN" in str(job)]
    assert told == ["publish", "tag"]
    assert {release[name]["environment"] for name in told} == {"release"}
    matrix = release["build"]["strategy"]["matrix"]["include"]
    assert [each["platform"] for each in matrix] == list(PLATFORMS)


def test_the_catalog_gets_what_its_own_component_has_run() -> None:
    pipeline = YAML(typ="safe", pure=True).load((ROOT / ".gitlab-ci.yml").read_text("utf-8"))
    (included,) = pipeline["include"]
    assert included["component"] == "$CI_SERVER_FQDN/$CI_PROJECT_PATH/deploy@$CI_COMMIT_SHA"
    assert included["inputs"]["ci-deploy"] == "false"
    assert included["inputs"]["stage"] == "test"
    release = pipeline["release"]
    assert release["stage"] == "release"
    assert release["rules"] == included["inputs"]["rules"] == [{"if": "$CI_COMMIT_TAG"}]
    assert release["release"]["description"] == "$CI_COMMIT_TAG_MESSAGE"
