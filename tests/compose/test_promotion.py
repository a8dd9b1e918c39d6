"""`promote`: what staging runs goes to production, by the digests of its images."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter

import pytest

from standins.compose.app import LABEL, App, versions
from standins.support import Done, Run


class Production:
    """Another directory for the same app on the same host."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._host = app.hosts[0]
        self.folder = f"{app.folder}-production"
        self._settings = {
            "DEPLOY_PATH": self.folder,
            "PROMOTE_FROM": app.folder,
            "DEPLOY_TAG": "",
        }
        self._host.sh(f"mkdir {self.folder} && echo STAGE=production >{self.folder}/.env")

    def run(self, *words: str, **more: str) -> Done:
        """A command there; PROMOTE_FROM is staging."""
        return self._app.run(*words, **{**self._settings, **more})

    def start(self) -> Run:
        """Begin a promotion."""
        return self._app.start_command("promote", **self._settings)

    @property
    def versions(self) -> list[str]:
        """The VERSION of each container that runs and is healthy."""
        project = self.folder.rpartition("/")[2]
        listed = f"docker ps -q --filter {LABEL}.project={project}"
        script = f"docker inspect $({listed}) 2>/dev/null || true"
        return versions(json.loads(self._host.root("sh", "-c", script) or "[]"))

    def remove(self) -> None:
        """Leave nothing behind."""
        project = self.folder.rpartition("/")[2]
        script = f"docker rm -fv $(docker ps -aq --filter {LABEL}.project={project})"
        self._host.root("sh", "-c", f"{script}; rm -rf {self.folder}", check=False)


def test_what_staging_has_proven_runs_in_production_whatever_its_tag_means_now(live: App) -> None:
    production, host = Production(live), live.hosts[0]
    try:
        planned = production.run("plan", "promote")
        assert planned.code == 0, planned.output
        assert f"{live.name} in {live.folder} on " in planned.output
        assert "app: " in planned.output
        assert "@sha256:" in planned.output
        assert production.versions == []

        image = live.registry.image
        host.sh(f"docker tag {image}:good1 {image}:was && docker rmi {image}:good1 >/dev/null")
        done = production.run("promote")
        assert done.code == 0, done.output
        assert "verified: " in done.output
        assert production.versions == ["good1"]
        assert done.report["live_revision"] == live.audit()[-1]["revision"]
        assert done.report["revision"] != live.checkout.head, "the commit after it stays away"

        again = production.run("promote")
        assert again.code == 0, again.output
        assert again.report["status"] == "skipped"

        assert live.deploy("good2").code == 0
        brought = production.run("promote")
        assert brought.code == 0, brought.output
        assert "commit: " in brought.output
        assert production.versions == ["good2"]
        assert production.run("rollback").code == 0
        assert production.versions == ["good1"]
    finally:
        production.remove()


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"PROMOTE_FROM": ""}, 2, "PROMOTE_FROM: is required"),
        ({"PROMOTE_FROM": "host:22"}, 2, "does not end with a directory, stack or app"),
        ({"PROMOTE_FROM": "/home/deploy"}, 2, "it has no app"),
    ],
)
def test_source_that_cannot_be_meant_is_refused(
    app: App, given: dict[str, str], code: int, said: str
) -> None:
    production = Production(app)
    try:
        done = production.run("promote", **given)
        assert done.code == code, done.output
        assert said in done.output
        assert production.versions == []
    finally:
        production.remove()


def test_what_is_not_up_in_staging_is_not_promoted(live: App) -> None:
    production = Production(live)
    live.hosts[0].root("docker", "stop", f"{live.name}-app-1")
    try:
        done = production.run("promote")
        assert done.code == 14, done.output
        assert "is not fully up" in done.output
        assert production.versions == []
    finally:
        production.remove()


def test_source_may_be_on_another_host(app: App) -> None:
    app.use(2)
    here, there = app.hosts[:2]
    done = app.deploy("good1", SERVER_HOST=there.address)
    assert done.code == 0, done.output
    done = app.run(
        "promote",
        SERVER_HOST=here.address,
        PROMOTE_FROM=f"deploy@{there.address}:{app.folder}",
        DEPLOY_TAG="",
    )
    assert done.code == 0, done.output
    assert app.versions(0) == ["good1"]
    assert app.current(0).startswith("good1-")


@pytest.mark.parametrize(("more", "code"), [({}, 22), ({"ROLLBACK_ON_FAILURE": "true"}, 23)])
def test_health_check_counts_for_a_promotion_too(
    live: App, more: dict[str, str], code: int
) -> None:
    production = Production(live)
    try:
        assert production.run("promote").code == 0
        assert live.deploy("good2").code == 0
        health = {"HEALTHCHECK_URL": "http://127.0.0.1:9/", "HEALTHCHECK_TIMEOUT": "1"}
        done = production.run("promote", **health, **more)
        assert done.code == code, done.output
        assert production.versions == (["good1"] if more else ["good2"])
    finally:
        production.remove()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_kills_at_random_moments_end_in_the_right_state(live: App) -> None:
    """The next promotion brings what staging runs, and staging is not touched."""
    production, choose, ends = Production(live), random.Random(20261130), Counter[str]()
    try:
        whole = production.run("promote")
        assert whole.code == 0, whole.output
        for number in range(30):
            tag = f"good{2 - number % 2}"
            assert live.deploy(tag).code == 0
            live.hosts[0].strike(production.start(), whole.seconds, choose)
            ends[" ".join(production.versions) or "nothing"] += 1
            done = production.run("promote")
            assert done.code == 0, done.output
            assert production.versions == [tag]
            live.runs(tag)
    finally:
        production.remove()
    print(f"30 kills of promotions: {dict(ends)} ran; all healed", file=sys.stderr)
