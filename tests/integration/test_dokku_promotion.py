"""`promote` on Dokku: the image that another app runs, verified, by its digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, Done, run, settings_for

STAGING = "hello-staging"


def _image(dokku: DokkuStandIn, folder: Path, number: int, *, tag: str = "") -> str:
    where = folder / f"image{number}{tag}"
    where.mkdir()
    (where / "Procfile").write_text(f"release: echo image {number}\nworker: sleep 600\n")
    name = f"registry.example.com/hello{tag or f'@sha256:{str(number) * 64}'}"
    dokku.image(name, where)
    return name


def _staging(dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, image: str = "") -> None:
    """Another app, that is deployed by image or by a push."""
    if STAGING not in dokku.apps():
        Client(dokku, tmp_path / "home", multiplex=False).dokku(f"apps:create {STAGING}")
    more = {"DOKKU_IMAGE": image} if image else {}
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, APP_NAME=STAGING, **more))
    assert done.code == 0, done.output


def _promote(dokku: DokkuStandIn, checkout: Checkout, *words: str, **more: str) -> Done:
    settings = settings_for(dokku, **{"PROMOTE_FROM": STAGING, **more})
    return run("ci-deploy", *words, "promote", cwd=checkout.path, env=settings)


def test_image_that_staging_runs_comes_by_its_digest_and_goes_back(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    first, second = (_image(dokku, tmp_path, number) for number in (1, 2))
    _staging(dokku, checkout, tmp_path, first)
    revision = checkout.head
    checkout.commit("Not in staging yet")

    planned = _promote(dokku, checkout, "plan", APP_CONFIG="COLOUR=blue")
    assert planned.code == 0, planned.output
    assert f"verified: {STAGING} on " in planned.output
    assert f"runs {first}" in planned.output
    assert f"deploy the image {first} to hello" in planned.output
    assert "set COLOUR on hello" in planned.output
    assert dokku.app("hello").running_revision != revision

    done = _promote(dokku, checkout, APP_CONFIG="COLOUR=blue")
    assert done.code == 0, done.output
    assert "image 1" in done.output
    assert done.report["live_revision"] == revision
    assert _promote(dokku, checkout, APP_CONFIG="COLOUR=blue").report["status"] == "skipped"

    _staging(dokku, checkout, tmp_path, second)
    # (a whole address means the same server)
    where = f"{dokku.user}@{dokku.host}:{dokku.port}:{STAGING}"
    done = _promote(dokku, checkout, PROMOTE_FROM=where, DEPLOY_METHOD="image")
    assert done.code == 0, done.output
    assert "image 2" in done.output
    back = run("ci-deploy", "rollback", cwd=checkout.path, env=settings_for(dokku))
    assert back.code == 0, back.output
    assert back.report["live_revision"] == revision


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("", 2, "PROMOTE_FROM: is required"),
        ("hello", 2, "names hello, to which this run deploys"),
        ("nobody", 2, "there is no app nobody on "),
    ],
)
def test_source_that_cannot_be_meant_is_refused(
    dokku: DokkuStandIn, checkout: Checkout, given: str, code: int, said: str
) -> None:
    done = _promote(dokku, checkout, PROMOTE_FROM=given)
    assert done.code == code, done.output
    assert said in done.output


def test_what_was_pushed_or_has_only_a_tag_is_refused_with_the_remedy(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    _staging(dokku, checkout, tmp_path)
    done = _promote(dokku, checkout)
    assert done.code == 14, done.output
    assert "was not deployed by image, but by push" in done.output
    assert "DOKKU_IMAGE=registry.example.com/app@sha256:" in done.output
    checkout.commit("Next")
    _staging(dokku, checkout, tmp_path, _image(dokku, tmp_path, 3, tag=":v3"))
    done = _promote(dokku, checkout)
    assert done.code == 14, done.output
    assert "was deployed by tag, not by digest: registry.example.com/hello:v3" in done.output
