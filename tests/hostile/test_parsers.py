"""Texts from outside, damaged at random: a parser raises the error that it documents, or none.

Fixed seeds: a moment here, twenty seconds of a processor in `make hostile`, ten minutes in
`make soak`.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from ci_deploy.ci.circleci import CircleCI
from ci_deploy.ci.github import GitHub
from ci_deploy.ci.gitlab import GitLab
from ci_deploy.errors import SettingsError
from ci_deploy.git.revision import SHA
from ci_deploy.layers.providers.compose.facts import read_facts
from ci_deploy.layers.providers.docker.model import model, read_description
from ci_deploy.layers.providers.dokku import answers, release_tasks
from ci_deploy.layers.providers.heroku import review
from ci_deploy.net.http import Response
from ci_deploy.net.ssh.host_keys import host_keys
from ci_deploy.net.ssh.keys import private_key
from ci_deploy.net.ssh.server import server
from ci_deploy.process.program import Result
from ci_deploy.report.outputs import EventReport, Report
from ci_deploy.settings import lines, parsers
from tests.hostile.damage import NASTY, damaged
from tests.hostile.platforms import parsed_by_github
from tests.hostile.tally import Kind, Record, tried
from tests.unit.test_redaction import KEY

HOST_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIJ6kTsRHBSyVEUzjT8Ka0G1mJ5s0p2T8KqUoGfTz7m1c"  # nobody's
COMPOSE = {
    "name": "shop",
    "services": {
        "app": {
            "image": "shop:${DEPLOY_TAG}",
            "depends_on": {"db": {"condition": "service_healthy"}},
            "ports": [{"target": 80, "published": "80"}],
            "volumes": [{"type": "bind", "source": "/data", "target": "/data"}],
            "deploy": {"update_config": {"order": "start-first"}, "replicas": 2},
            "healthcheck": {"test": ["CMD", "true"]},
        },
        "db": {"image": "postgres", "networks": {"default": None}, "env_file": [".env"]},
    },
    "networks": {"default": {"name": "shop_default", "external": True}},
    "volumes": {"data": None},
}

APP_JSON = {
    "scripts": {"dokku": {"predeploy": "make", "postdeploy": "true"}, "postdeploy": "seed"},
    "addons": ["heroku-postgresql", {"plan": "heroku-redis:mini"}],
    "environments": {"review": {"env": {"A": "1", "B": {"value": "2"}}, "addons": []}},
    "formation": {"web": {"quantity": 1}},
}
WHOLE = 30.0  # seconds of a processor for each, so that all together have ten minutes


class Parser(NamedTuple):
    """What is fed, with what, and what it may raise."""

    call: Callable[[str], object]
    seeds: tuple[str, ...]
    raises: type[Exception] | tuple[type[Exception], ...] = ()


def _result(text: str) -> Result:
    return Result(("dokku",), 0, text.encode("utf-8", "surrogateescape"))


def _model(text: str) -> object:
    answer = f"path /srv\nmodel\n{text}\nraw\n{text}\nall\n{text}"
    return model(read_description(answer)[1], [text.encode("utf-8", "replace")], "1")


class Files:
    """A revision whose files have all the same text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def texts(self, *names: str) -> list[str]:
        return [self._text for _ in names]

    def in_app_dir(self, name: str) -> str:
        return name


def _of_dokku(text: str) -> object:
    files: Any = Files(text)
    return release_tasks.tasks(files), release_tasks.hints(files)


def _of_heroku(text: str) -> object:
    files: Any = Files(text)
    found = review.manifest(files) or {}
    return review.review_env(found), review.addon_names(found)


PARSERS = {
    "boolean": Parser(parsers.boolean, ("true", "No"), ValueError),
    "number": Parser(parsers.number, ("12", "0"), ValueError),
    "words": Parser(parsers.words, ("a, b\nc",)),
    "branch": Parser(parsers.branch, ("feature/x", "refs/heads/x.lock"), ValueError),
    "JSON with comments": Parser(parsers.jsonc, ('{"a": [1, 2,], /* b */ "c": "//"}',), ValueError),
    "URL": Parser(parsers.http_url, ("https://a:b@[::1]:80/x?y#z",), ValueError),
    "dotenv": Parser(lines.dotenv, ("A=1\nexport B=\"x\\ny\"\nC='$D'\n", "QT0xCg=="), ValueError),
    "app config": Parser(lines.config, ('A=1\nB="two\nlines"\n',), ValueError),
    "known_hosts": Parser(
        host_keys,
        (
            f"[example.com]:22 ssh-ed25519 {HOST_KEY}\n@revoked * ssh-ed25519 {HOST_KEY} x",
            "SHA256:" + "a" * 43,
            "256 SHA256:" + "a" * 43 + " host (ED25519)",
        ),
        ValueError,
    ),
    "private key": Parser(private_key, (KEY, KEY.replace("\n", "\\n"), "ssh-rsa AAAA"), ValueError),
    "server": Parser(
        server, ("dokku@example.com:22", "ssh://[::1]:22", "münchen.example"), ValueError
    ),
    "Dokku's reports": Parser(
        lambda text: answers.report(_result(text)), ("=====> web app information\n  A b:  c\n",)
    ),
    "Dokku's builds": Parser(
        lambda text: answers.builds(_result(text)), ('[{"id": "1", "status": "done"}]',)
    ),
    "durations": Parser(answers.seconds, ("1m6.5s", "1h2m", "12ms", "1.2.3s", ".s")),
    "Dokku's version": Parser(
        lambda text: answers.version(_result(text)), ("dokku version 0.38.27", "0.38." + "9" * 5000)
    ),
    "ps:scale": Parser(
        lambda text: answers.wants_none(_result(text)),
        ("-----> Scaling\nweb:  1\nworker: 0\n", "web: " + "9" * 5000),
    ),
    "failures": Parser(
        lambda text: answers.reason(text.splitlines(), "web"),
        (" !     App has no web process\nremote: error: x\n",),
    ),
    "JSON of a server": Parser(lambda text: _json(text), ('{"a": [1, {"b": null}]}',), ValueError),
    "facts of a host": Parser(read_facts, ("path /srv\nnow {}\nmodel\n{}\nraw\n{}",)),
    "Compose's model": Parser(_model, (json.dumps(COMPOSE),), SettingsError),
    "app.json and Procfile (Dokku)": Parser(
        _of_dokku, (json.dumps(APP_JSON), "release: make\nweb: run", '{"addons": {"a": 1}}')
    ),
    "app.json (Heroku)": Parser(_of_heroku, (json.dumps(APP_JSON),), SettingsError),
}


def _json(text: str) -> Any:
    return Response(200, text.encode("utf-8", "surrogateescape")).json()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "seconds",
    [
        0.15,
        pytest.param(1.0, marks=pytest.mark.hostile),
        pytest.param(WHOLE, marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("name", PARSERS)
def test_parser_raises_only_what_it_documents(
    record_property: Record, name: str, seconds: float
) -> None:
    parser, choose, count = PARSERS[name], random.Random(f"20261129 {name}"), 0
    plain = [*parser.seeds, *NASTY, ""]
    end = time.process_time() + seconds
    while plain or time.process_time() < end:
        text = plain.pop() if plain else damaged(choose.choice(parser.seeds), choose)
        count += 1
        try:
            parser.call(text)
        except parser.raises:
            pass
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            pytest.fail(f"{type(error).__name__} of {text[:300]!r}: {error}")
    if seconds == WHOLE:  # docs/reliability.md has those
        tried(record_property, Kind.PARSERS, count)


# --- what other jobs and the platforms parse ---


def _report(choose: random.Random) -> Report:
    def text() -> str:
        return damaged("hello world", choose)

    fields: dict[str, Any] = {
        name: text()
        for name in ("app", "environment", "url", "release", "ref", "actor", "message", "hint",
                     "failed_layer", "live", "rollback", "commit_url", "compare_url", "job_url")
    }  # fmt: skip
    report = Report("deploy", revision="0" * 40, **fields, finished=True)
    report.events = [EventReport("deploy", 1.0, text())]
    report.warnings, report.lines = [text(), text()], (text(),)
    return report


@pytest.mark.parametrize("count", [30, pytest.param(5000, marks=pytest.mark.hostile)])
def test_no_text_forges_an_output_a_variable_or_a_summary(
    tmp_path: Path, record_property: Record, count: int
) -> None:
    choose = random.Random(20261129)
    paths = {name: tmp_path / name for name in ("OUTPUT", "ENV", "STEP_SUMMARY")}
    env = {f"GITHUB_{name}": str(path) for name, path in paths.items()}
    github = GitHub({"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path), **env})
    gitlab = GitLab({"GITLAB_CI": "true", "CI_PROJECT_DIR": str(tmp_path)})
    round_ = tmp_path / "circle"
    round_.mkdir()
    circleci = CircleCI({"CIRCLECI": "true", "CIRCLE_WORKING_DIRECTORY": str(round_)})
    for _ in range(count):
        for path in paths.values():
            path.write_text("")
        report = _report(choose)
        github.write(report)
        found = parsed_by_github(paths["OUTPUT"].read_bytes().decode(errors="replace"))
        assert [*found] == [*report.outputs()]
        assert paths["ENV"].read_text() == ""
        gitlab.write(report)
        lines_ = (tmp_path / "deploy.env").read_bytes().decode().split("\n")
        assert all(re.fullmatch(r"DEPLOYED_[A-Z_]+=.*", line) for line in lines_[:-1]), lines_
        assert {line.partition("=")[0] for line in lines_ if line} <= {
            f"DEPLOYED_{name.upper().replace('-', '_')}" for name in report.outputs()
        }
        json.loads((tmp_path / "deploy-report.json").read_text())
        annotations = json.loads((tmp_path / "deploy-annotations.json").read_text())
        assert [*annotations] == ["ci-deploy"]
        [suite] = ET.parse(tmp_path / "deploy-junit.xml").getroot()
        assert len(suite) == 1
        circleci.write(report)
        [written] = round_.iterdir()
        assert json.loads(written.read_text()).keys() == report.as_json().keys()
    tried(record_property, Kind.OUTPUTS, count)


def test_revision_is_hexadecimal_and_nothing_else() -> None:
    assert not [text for text in NASTY if SHA.fullmatch(text)]
