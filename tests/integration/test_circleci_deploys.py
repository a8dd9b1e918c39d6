"""examples/circleci: deploy markers and the rollback pipeline, run as CircleCI would.

The stand-in for `circleci` knows `run release` as the environment CLI's guide documents it
(circleci.com/docs/guides/toolkit/environment-cli-usage-guide), and refuses everything else.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from standins.dokku.server import DokkuStandIn
from standins.support import BIN, ROOT, Checkout, settings_for
from tests.contract.test_manifest import check_schema

EXAMPLES = ROOT / "examples/circleci"
BROKEN = {"Procfile": "release: sh -c 'echo $(id); exit 3'\nworker: sleep 600\n"}
CIRCLECI = """#!/usr/bin/env python3
import argparse, json, os, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("run", choices=["run"])
parser.add_argument("release", choices=["release"])
what = parser.add_subparsers(dest="what", required=True)
plan = what.add_parser("plan", allow_abbrev=False)
plan.add_argument("name")
for flag in ("component-name", "environment-name", "target-version", "namespace"):
    plan.add_argument("--" + flag)
plan.add_argument("--rollback", action="store_true")
update = what.add_parser("update", allow_abbrev=False)
update.add_argument("name")
known = ["RUNNING", "SUCCESS", "FAILED", "CANCELED"]
update.add_argument("--status", type=str.upper, choices=known, required=True)
update.add_argument("--failure-reason")
wish = vars(parser.parse_args())
path = os.environ["MARKERS"]
markers = json.load(open(path)) if os.path.exists(path) else {}
if wish["what"] == "plan":
    markers[wish["name"]] = {**wish, "status": "PENDING"}
else:
    marker = markers[wish["name"]]
    if marker["status"] in known[1:]:
        sys.exit("the deploy has ended already")
    marker.update({key: value for key, value in wish.items() if value})
json.dump(markers, open(path, "w"))
"""


def _job(
    name: str, job: str, values: Mapping[str, str], checkout: Checkout, env: Mapping[str, str]
) -> tuple[bool, dict[str, Any]]:
    """Run the steps as CircleCI does: after a failed one only those with `on_fail`."""
    text = (EXAMPLES / name).read_text()
    text = re.sub(r"<< (?:parameters|pipeline\.deploy)\.(\w+) >>", lambda m: values[m[1]], text)
    wanted = YAML(typ="safe", pure=True).load(text)["jobs"][job]
    tools = checkout.path.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "circleci").write_text(CIRCLECI)
    (tools / "circleci").chmod(0o755)
    markers = checkout.path.parent / "markers.json"
    environ = {
        "PATH": f"{tools}:{BIN}:{os.environ['PATH']}",
        "MARKERS": str(markers),
        "CIRCLECI": "true",
        "CIRCLE_SHA1": checkout.head,
        "CIRCLE_BRANCH": "main",
        "CIRCLE_WORKING_DIRECTORY": str(checkout.path),
        **wanted["environment"],
        **env,
    }
    good = True
    for step in wanted["steps"]:
        command = step.get("run")
        if command is None:
            continue
        when = command.get("when", "on_success") if isinstance(command, dict) else "on_success"
        script = command["command"] if isinstance(command, dict) else command
        if when == ("on_success" if good else "on_fail"):
            argv = ["bash", "-eo", "pipefail", "-c", script]
            done = subprocess.run(argv, cwd=checkout.path, env=environ, check=False)
            assert not done.returncode or script.startswith("ci-deploy"), script
            good = good and not done.returncode
    return good, json.loads(markers.read_text())


def test_markers_say_what_was_deployed_what_failed_and_what_was_rolled_back(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    (checkout.path / ".gitignore").write_text("deploy-report.json\n")
    first = checkout.commit("Quiet")
    settings = settings_for(dokku)
    env = {name: text for name, text in settings.items() if name != "APP_NAME"}
    hello = {"app": "hello", "environment": "production"}
    good, markers = _job("deploys.yml", "deploy", hello, checkout, env)
    assert good
    wanted = {"status": "SUCCESS", "target_version": first, "environment_name": "production"}
    assert markers["hello"] | wanted == markers["hello"]

    second = checkout.commit("More")
    assert _job("deploys.yml", "deploy", hello, checkout, env)[0]
    checkout.commit("Broken", BROKEN)
    good, markers = _job("deploys.yml", "deploy", hello, checkout, env)
    assert not good
    assert markers["hello"]["status"] == "FAILED"
    assert markers["hello"]["failure_reason"].startswith("the release task failed")
    assert "$(id)" in markers["hello"]["failure_reason"]  # the server's words are only words
    assert dokku.app("hello").running_revision == second

    back = {
        "component_name": "hello", "environment_name": "production", "target_version": first,
    }  # fmt: skip
    good, markers = _job("rollback.yml", "rollback", back, checkout, env)
    assert good
    assert markers["hello"] | {"status": "SUCCESS", "rollback": True} == markers["hello"]
    assert dokku.app("hello").running_revision == first


@pytest.mark.parametrize("name", ["config.yml", "deploys.yml", "rollback.yml"])
def test_examples_of_circleci_follow_its_schema(name: str) -> None:
    path = str(EXAMPLES / name)
    assert check_schema("--builtin-schema", "vendor.circle-ci", path) == ""
