"""What dpl's Heroku provider did, as effects on Heroku: rows H1 to H9 of its own recorded tests.

Three things are different on purpose: no netrc is written (tests/leaks.py looks for it after each
test), nothing is pushed by force to `master`, and no tar or curl is started by a shell.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from standins.heroku.model import Call
from standins.heroku.server import HerokuStandIn
from tests.integration.heroku.conftest import Jobs, shallow

API = {"DEPLOY_METHOD": "archive"}


@dataclass
class Row:
    """A row: what was given, and what Heroku has to have seen."""

    name: str
    given: str
    check: Callable[[Jobs, HerokuStandIn], None]
    words: tuple[str, ...] = ("deploy",)
    settings: dict[str, str] = field(default_factory=dict)


def _calls(heroku: HerokuStandIn, name: str) -> list[Call]:
    return [call for call in heroku.calls if call.name == name]


def _built(_job: Jobs, heroku: HerokuStandIn, version: str) -> None:
    """An archive without .git, to its own address and without a content type; then the build."""
    for name in ("GET /account", "GET /apps/dpl", "POST /sources"):
        assert _calls(heroku, name), name
    [put] = [call for call in heroku.calls if call.method == "PUT"]
    assert put.headers.get("content-type", "") == ""
    identity = put.path.rpartition("/")[2]
    with tarfile.open(fileobj=io.BytesIO(heroku.sources[identity]), mode="r:gz") as archive:
        assert archive.getnames() == ["Procfile"]
    [begun] = _calls(heroku, "POST /apps/dpl/builds")
    blob = begun.body["source_blob"]
    assert blob["url"].endswith(f"{put.path}?get")
    assert blob["version"] == version
    [build] = heroku.apps["dpl"].builds
    assert _calls(heroku, f"GET /_streams/{build.stream.id}")
    assert _calls(heroku, f"GET /apps/dpl/builds/{build.id}")
    assert heroku.apps["dpl"].running_revision == version


def _h1(job: Jobs, heroku: HerokuStandIn) -> None:
    _built(job, heroku, job.checkout.head)


def _h2(job: Jobs, heroku: HerokuStandIn) -> None:
    _built(job, heroku, job.checkout.git("rev-parse", "HEAD~"))


def _pushed(job: Jobs, heroku: HerokuStandIn, app: str = "dpl") -> None:
    assert _calls(heroku, "GET /account")
    assert _calls(heroku, f"GET /apps/{app}")
    assert heroku.platform.references(app) == {"refs/heads/main": job.checkout.head}
    assert {password for _, password in heroku.credentials} == {heroku.key}
    assert heroku.apps[app].running_revision == job.checkout.head


def _other(job: Jobs, heroku: HerokuStandIn) -> None:
    _pushed(job, heroku, "other")
    assert heroku.platform.references("dpl") == {}


def _restarted(_job: Jobs, heroku: HerokuStandIn) -> None:
    assert _calls(heroku, "DELETE /apps/dpl/dynos")


def _ran(_job: Jobs, heroku: HerokuStandIn) -> None:
    """In an attached dyno, and what it printed was seen."""
    [call] = _calls(heroku, "POST /apps/dpl/dynos")
    assert call.body["attach"] is True
    assert "./cmd" in call.body["command"]
    assert len(heroku.rendezvous.executed) == 1


ROWS = [
    Row("H1", "api", _h1, settings=API),
    Row("H2", "api, another version", _h2, settings={**API, "DEPLOY_REVISION": "HEAD~"}),
    Row("H3", "api, the key only in the environ", _h1, settings=API),
    Row("H4", "git, a shallow clone", _pushed),
    Row("H5", "git, another app", _other, settings={"APP_NAME": "other"}),
    Row("H6", "git, restart", _restarted),
    Row("H7", "git, a command", _ran, words=("run", "--", "./cmd")),
    Row("H8", "git, a password", _pushed),
    Row("H9", "git, the key only in the environ", _pushed),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.given}")
def test_same_effect_as_dpl(heroku: HerokuStandIn, job: Jobs, row: Row, tmp_path: Path) -> None:
    heroku.create("dpl")
    heroku.create("other")
    job.checkout.commit("Second")
    cwd = job.checkout.path
    if row.name == "H4":
        cwd = shallow(job.checkout, tmp_path / "shallow")
    if row.name == "H6":  # ours restarts what is down; what it releases starts anew anyway
        job.deployed("dpl")
        for dyno in heroku.apps["dpl"].dynos:
            dyno.boot = "crash"
    if row.name == "H7":
        job.checkout.commit("Command", {"cmd": "#!/bin/sh\necho it ran\n"})
        job.checkout.git("update-index", "--chmod=+x", "cmd")
        job.checkout.git("commit", "--quiet", "--message", "Executable")
        job.checkout.head = job.checkout.git("rev-parse", "HEAD")
        job.deployed("dpl")
    done = job.run(*row.words, cwd=cwd, settings={"APP_NAME": "dpl", **row.settings})
    assert done.code == 0, done.output + done.errors
    row.check(job, heroku)
    if row.name == "H7":
        assert done.output == "it ran\n"
