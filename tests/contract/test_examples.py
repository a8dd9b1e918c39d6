"""Each pipeline in examples/ that deploys an app can roll it back with one click."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from standins.support import ROOT
from tests.contract.test_manifest import documents

EXAMPLES = ROOT / "examples"
WHERE = ("environment", "app-name", "dokku-host", "server-host")  # which app it is, and on what
# Of a review app the branch decides what it runs: it is deployed or removed, never rolled back.
OF_REVIEW = {"examples/gitlab/review-apps.gitlab-ci.yml", "examples/github/review-apps.yml"}


def _load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


PIPELINES = [
    path
    for path in sorted(EXAMPLES.rglob("*.yml"))
    if {"include", "on", "workflows"} & _load(path).keys()
]


def rolls_back(path: Path) -> bool:
    """Whether this pipeline has a rollback of the app that it deploys last."""
    found = _load(path)
    if "include" in found:
        return _gitlab(found)
    return _github(found) if "on" in found else _circleci(found, path)


def _gitlab(found: Any) -> bool:
    uses: dict[str, list[dict[str, str]]] = {}
    for each in found["include"]:
        name = re.fullmatch(r".+/([\w-]+)@.+", each["component"])
        assert name
        [head, *_] = documents(f"templates/{name[1]}.yml")
        defaults = {key: entry.get("default") for key, entry in head["spec"]["inputs"].items()}
        uses.setdefault(name[1], []).append({**defaults, **each["inputs"]})
    last = uses["deploy"][-1]
    again = [found.get(job, {}).get("parallel") for job in ("deploy", "rollback")]
    return again[0] == again[1] and any(
        all(back[name] == last[name] for name in WHERE) for back in uses.get("rollback", ())
    )


def _github(found: Any) -> bool:
    manually = found["on"].get("workflow_dispatch", {}).get("inputs", {})
    chosen = manually.get("command", {}).get("options", [])
    backs = list[str]()
    for job in found["jobs"].values():
        environment = job["environment"]
        name = environment["name"] if isinstance(environment, dict) else environment
        # the same group for each job that changes the environment, or they would run at once
        assert job["concurrency"] == {"group": f"deploy-{name}", "cancel-in-progress": False}
        for step in job["steps"]:
            if step.get("uses", "").startswith("ci-deploy/"):
                assert step["with"]["deploy-environment"] == name
                command = step["with"].get("command", "deploy")
                if command == "rollback" or ("inputs.command" in command and "rollback" in chosen):
                    backs.append(name)
    return bool(manually and backs)


def _circleci(found: Any, path: Path) -> bool:
    chosen = found.get("parameters", {}).get("command", {}).get("enum", [])
    runs = set(_runs(found["jobs"]))
    if any(each.startswith("ci-deploy rollback") for each in runs):
        jobs = [job for flow in found["workflows"].values() for job in flow["jobs"]]
        return any("rollback" in job for job in jobs)
    if "ci-deploy << pipeline.parameters.command >>" in runs:
        return "rollback" in chosen
    button = path.with_name("rollback.yml")  # of CircleCI's page Deploys
    return button.name in path.read_text() and rolls_back(button)


def _runs(jobs: Any) -> Iterator[str]:
    for job in jobs.values():
        for step in job["steps"]:
            run = step.get("run", "") if isinstance(step, dict) else ""
            yield run["command"] if isinstance(run, dict) else run


def test_pipelines_of_each_platform_are_found() -> None:
    assert len(PIPELINES) >= 16
    assert {path.parent.name for path in PIPELINES} == {
        "gitlab", "github", "circleci", "compose", "zero-downtime",
    }  # fmt: skip


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_rolls_back_with_one_click(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() in OF_REVIEW:
        assert not re.search(r"/deploy@|command: (deploy|rollback)", path.read_text())
    else:
        assert rolls_back(path)


@pytest.mark.parametrize(
    ("path", "line", "other"),
    [
        ("gitlab/heroku.gitlab-ci.yml", "rollback@", "sweep@"),
        ("gitlab/many-apps.gitlab-ci.yml", "  parallel: *customers", "  needs: []"),
        ("gitlab/rails.gitlab-ci.yml", "app-name: my-project\n", "app-name: other\n"),
        ("github/heroku.yml", "command: rollback", "command: history"),
        ("github/many-apps.yml", "[deploy, rollback, status]", "[deploy, status]"),
        ("circleci/config.yml", "[deploy, rollback]", "[deploy]"),
        ("compose/circleci-config.yml", "- rollback:\n", "- deploy:\n"),
        ("circleci/deploys.yml", "rollback.yml", "nothing.yml"),
    ],
)
def test_an_example_without_it_is_noticed(tmp_path: Path, path: str, line: str, other: str) -> None:
    text = (EXAMPLES / path).read_text()
    assert line in text
    changed = tmp_path / Path(path).name
    changed.write_text(text.replace(line, other, 1))
    assert not rolls_back(changed)
