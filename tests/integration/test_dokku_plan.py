"""`plan` names every change that the run then makes, in the same words and order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for

Prepare = Callable[[DokkuStandIn, Checkout], None]


def _nothing(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """The first deploy."""


def _two_deploys(dokku: DokkuStandIn, checkout: Checkout) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0


def _review_app(dokku: DokkuStandIn, checkout: Checkout) -> None:
    env = settings_for(dokku, REVIEW_APP_NAME="review-1", DOKKU_SERVICES="redis")
    assert run("ci-deploy", "review", cwd=checkout.path, env=env).code == 0


def _rails(dokku: DokkuStandIn, checkout: Checkout) -> None:
    files = {"Gemfile": "gem 'rails'\n", "config/application.rb": "", "bin/rails": "#!/bin/sh\n"}
    checkout.commit("Rails", files)
    (checkout.path / "bin/rails").chmod(0o755)
    checkout.commit("Executable")
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("A migration", {"db/migrate/20260101_prices.rb": ""})


def _image(dokku: DokkuStandIn, checkout: Checkout) -> None:
    folder = checkout.path.with_name("image")
    folder.mkdir()
    (folder / "Procfile").write_text("worker: sleep 600\n")
    dokku.image(IMAGE["DOKKU_IMAGE"], folder)


def _two_parts(dokku: DokkuStandIn, checkout: Checkout) -> None:
    checkout.commit("Two parts", {"shop/Procfile": "worker: sleep 600\n"})


MIGRATED = {"AUTO_MIGRATE_ON_DEPLOY": "true", "SIDEKIQ_QUIET_ON_DEPLOY": "true"}
IMAGE = {"DOKKU_IMAGE": f"registry.example.com/hello@sha256:{'a' * 64}"}
COMMANDS = {"PRE_DEPLOY_COMMAND": "true before", "POST_DEPLOY_COMMAND": "true after"}
NEW = {"APP_NAME": "other", "DOKKU_CREATE_APP": "true"}
MORE = {"APP_CONFIG": "A=1\nB=2\n", "DOKKU_SERVICES": "postgres redis:7"}
REVIEW = {**MORE, "REVIEW_APP_NAME": "review-1", "REVIEW_DOMAIN": "review.example.com"}


@pytest.mark.parametrize(
    ("command", "prepare", "more"),
    [
        ("deploy", _nothing, {}),
        ("deploy", _nothing, MORE),
        ("deploy", _two_deploys, {"REDEPLOY": "true"}),
        ("deploy", _two_deploys, {"DEPLOY_REVISION": "HEAD~1"}),
        ("deploy", _nothing, {"DEPLOY_METHOD": "archive"}),
        ("deploy", _rails, MIGRATED),
        ("deploy", _rails, {**MIGRATED, "MIGRATE": "before"}),
        ("deploy", _image, IMAGE),
        ("deploy", _two_parts, {"APP_DIR": "shop"}),
        ("deploy", _two_deploys, {**COMMANDS, "REDEPLOY": "true"}),
        ("deploy", _nothing, NEW),
        ("rollback", _two_deploys, {}),
        ("review", _nothing, REVIEW),
        ("destroy", _review_app, {"REVIEW_APP_NAME": "review-1"}),
        ("destroy", _nothing, {"REVIEW_APP_NAME": "review-1"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plan_and_run_name_the_same_changes(
    dokku: DokkuStandIn, checkout: Checkout, command: str, prepare: Prepare, more: dict[str, str]
) -> None:
    prepare(dokku, checkout)
    env = settings_for(dokku, **more)
    before = [call.raw for call in dokku.calls()]
    planned = run("ci-deploy", "plan", command, cwd=checkout.path, env=env)
    assert planned.code == 0, planned.output
    asked = [call.raw for call in dokku.calls()][len(before) :]
    assert not [raw for raw in asked if _changes(raw)]
    done = run("ci-deploy", command, cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert planned.report["changes"] == done.report["changes"]
    for change in done.report["changes"]:
        assert f"→ {change}" in planned.output


def _changes(raw: str) -> bool:
    reads = (
        "report", "exists", "links", "export", "list", "version", "urls", "inspect",
        "git-upload-pack",
    )  # fmt: skip
    asks_scale = raw.startswith("ps:scale") and "=" not in raw
    return not (asks_scale or "letsencrypt:active" in raw or any(word in raw for word in reads))
