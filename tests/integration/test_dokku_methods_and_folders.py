"""The same revision by another way or of another directory is another deploy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, Done, run, settings_for
from standins.webhooks import webhooks

MONO = {
    "Procfile": "release: echo built the top\nworker: sleep 600\n",
    "web/Procfile": "release: echo built web\nworker: sleep 600\n",
    "api/Procfile": "release: echo built api\nworker: sleep 600\n",
}
IMAGE = f"registry.example.com/hello@sha256:{'4' * 64}"


@pytest.fixture
def mono(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "mono", MONO)


@pytest.fixture
def image(dokku: DokkuStandIn, tmp_path: Path) -> str:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Procfile").write_text("release: echo built the image\nworker: sleep 600\n")
    dokku.image(IMAGE, folder)
    return IMAGE


def _build_dir(dokku: DokkuStandIn) -> str:
    return str(dokku.app("hello").state.properties.get("builder.build-dir", ""))


def _deploy(dokku: DokkuStandIn, checkout: Checkout, **more: str) -> Done:
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, **more))
    assert done.code == 0, done.output
    return done


@pytest.mark.parametrize("redeploy", ["true", "false"])
def test_lfs_by_push_and_then_by_archive_is_built_anew(
    dokku: DokkuStandIn, checkout: Checkout, redeploy: str
) -> None:
    """Not what the push has left there (faults A5)."""
    big = b"the real content\n" * 100
    digest = hashlib.sha256(big).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(big)}\n"
    checkout.commit(
        "LFS", {".gitattributes": "*.bin filter=lfs -text\n", "big.bin": pointer,
                "Procfile": "release: head -1 big.bin\nworker: sleep 600\n"},
    )  # fmt: skip
    assert "git-lfs" in _deploy(dokku, checkout, DEPLOY_METHOD="push").output
    (checkout.path / "big.bin").write_bytes(big)
    done = _deploy(dokku, checkout, DEPLOY_METHOD="archive", REDEPLOY=redeploy)
    assert done.report["status"] == "succeeded"
    assert "the real content" in done.output
    again = _deploy(dokku, checkout, DEPLOY_METHOD="archive")
    assert again.report["status"] == "skipped"


@pytest.mark.parametrize("method", ["push", "archive"])
def test_another_directory_of_the_same_revision_is_built(
    dokku: DokkuStandIn, mono: Checkout, method: str
) -> None:
    """And the same again is skipped (faults A5)."""
    for folder, built in (("web", "web"), ("api", "api"), ("", "the top"), ("web", "web")):
        done = _deploy(dokku, mono, DEPLOY_METHOD=method, APP_DIR=folder)
        assert f"built {built}\n" in done.output, done.output
        again = _deploy(dokku, mono, DEPLOY_METHOD=method, APP_DIR=folder)
        assert again.report["status"] == "skipped", again.output


def test_history_records_way_and_directory(dokku: DokkuStandIn, mono: Checkout, image: str) -> None:
    """For whoever goes back (faults A5)."""
    _deploy(dokku, mono)
    _deploy(dokku, mono, APP_DIR="web")
    _deploy(dokku, mono, APP_DIR="web", DEPLOY_METHOD="archive")
    _deploy(dokku, mono, DOKKU_IMAGE=image)
    entries = json.loads(dokku.app("hello").config["CI_DEPLOY_HISTORY"])
    found = [(entry["way"], entry["dir"]) for entry in reversed(entries)]
    assert found == [("push", ""), ("push", "web"), ("archive", "web"), ("image", "")]


def test_revision_that_was_pushed_by_hand_is_deployed_of_its_directory(
    dokku: DokkuStandIn, naive: Client, mono: Checkout
) -> None:
    """Nobody has recorded of which directory it was built, but Dokku knows (faults A5)."""
    assert naive.push(mono.path, "hello", "main:master").returncode == 0
    done = _deploy(dokku, mono, APP_DIR="web")
    assert "built web" in done.output
    assert _deploy(dokku, mono, APP_DIR="web").report["status"] == "skipped"


@pytest.mark.parametrize("then", ["archive", "image", "unset"])
def test_build_dir_of_an_earlier_push_is_taken_back(
    dokku: DokkuStandIn, mono: Checkout, image: str, then: str
) -> None:
    """Else the archive or the image would lack it, or the old directory be built (faults A6)."""
    _deploy(dokku, mono, APP_DIR="web")
    assert _build_dir(dokku) == "web"
    mono.commit("Second")
    more = {"archive": {"DEPLOY_METHOD": "archive", "APP_DIR": "web"}, "unset": {}}
    done = _deploy(dokku, mono, **more.get(then, {"DOKKU_IMAGE": image}))
    built = {"archive": "web", "image": "the image", "unset": "the top"}[then]
    assert f"built {built}\n" in done.output
    assert not _build_dir(dokku)
    assert "CI_DEPLOY_BUILD_DIR" not in dokku.app("hello").config


def test_build_dir_that_a_person_has_set_stays(
    dokku: DokkuStandIn, naive: Client, mono: Checkout
) -> None:
    """It is theirs, and a wish that contradicts it is refused (faults A6)."""
    naive.dokku("builder:set hello build-dir web")
    assert "built web" in _deploy(dokku, mono).output
    mono.commit("Second")
    assert "built web" in _deploy(dokku, mono, APP_DIR="web").output
    mono.commit("Third")
    _deploy(dokku, mono)
    assert _build_dir(dokku) == "web"
    env = settings_for(dokku, APP_DIR="api")
    for words in (["deploy"], ["ci-deploy", "plan"]):
        done = run(*words, cwd=mono.path, env=env)
        assert done.code == 2, done.output
        assert "is `api`, but on the server `build-dir` of hello is `web`" in done.output
    done = run("deploy", cwd=mono.path, env={**env, "DEPLOY_METHOD": "archive"})
    assert done.code == 2, done.output
    assert _build_dir(dokku) == "web"


def test_plan_names_the_build_dir_and_sets_none(dokku: DokkuStandIn, mono: Checkout) -> None:
    """Nothing is recorded either (faults A6)."""
    done = run("ci-deploy", "plan", cwd=mono.path, env=settings_for(dokku, APP_DIR="web"))
    assert done.code == 0, done.output
    assert "set build-dir of hello to web" in done.output
    assert not _build_dir(dokku)
    assert "CI_DEPLOY_BUILD_DIR" not in dokku.app("hello").config


def test_build_dir_after_a_failed_deploy_is_that_of_what_runs(
    dokku: DokkuStandIn, mono: Checkout
) -> None:
    """A rebuild on the server would take the wrong directory, or none (faults A6)."""
    _deploy(dokku, mono, APP_DIR="web")
    mono.commit("Broken", {"bad/Procfile": "release: false\nworker: sleep 600\n"})
    done = run("deploy", cwd=mono.path, env=settings_for(dokku, APP_DIR="bad"))
    assert done.code == 20, done.output
    assert _build_dir(dokku) == "web"
    done = run(
        "deploy", cwd=mono.path, env=settings_for(dokku, APP_DIR="bad", DEPLOY_METHOD="archive")
    )
    assert done.code == 20, done.output
    assert _build_dir(dokku) == "web"


def test_rollback_takes_the_directory_of_then(dokku: DokkuStandIn, mono: Checkout) -> None:
    """Over a directory that was renamed (faults A6)."""
    old = mono.head
    _deploy(dokku, mono, APP_DIR="web")
    mono.git("mv", "web", "site")
    mono.commit("Rename", {"site/Procfile": "release: echo built site\nworker: sleep 600\n"})
    assert "built site" in _deploy(dokku, mono, APP_DIR="site").output
    done = run("ci-deploy", "rollback", cwd=mono.path, env=settings_for(dokku, APP_DIR="site"))
    assert done.code == 0, done.output
    assert "built web" in done.output
    assert (done.report["live_revision"], _build_dir(dokku)) == (old, "web")


def test_rollback_takes_the_way_of_then(dokku: DokkuStandIn, mono: Checkout) -> None:
    """What was an archive of one directory is that again (faults A5)."""
    old = mono.head
    _deploy(dokku, mono, APP_DIR="web", DEPLOY_METHOD="archive")
    mono.commit("Second")
    _deploy(dokku, mono, APP_DIR="api")
    done = run("ci-deploy", "rollback", cwd=mono.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "built web" in done.output
    assert "send an archive" in done.output
    assert (done.report["live_revision"], _build_dir(dokku)) == (old, "")


def test_rollback_on_failure_over_the_same_revision_takes_the_way_before(
    dokku: DokkuStandIn, mono: Checkout
) -> None:
    """Not the one that has just failed (faults A5)."""
    _deploy(dokku, mono, APP_DIR="web")
    with webhooks() as app:
        app.answer = 500
        env = settings_for(
            dokku, HEALTHCHECK_URL=app.url, HEALTHCHECK_TIMEOUT="1", ROLLBACK_ON_FAILURE="true",
            APP_DIR="api", DEPLOY_METHOD="archive",
        )  # fmt: skip
        done = run("deploy", cwd=mono.path, env=env)
    assert done.code == 23, done.output
    assert done.output.rindex("built web") > done.output.rindex("built api")
    assert _build_dir(dokku) == "web"


def test_build_dir_that_the_image_lacks_is_explained(
    dokku: DokkuStandIn, naive: Client, mono: Checkout, image: str
) -> None:
    """Somebody has set it by hand (faults A6)."""
    naive.dokku("builder:set hello build-dir web")
    done = run("deploy", cwd=mono.path, env=settings_for(dokku, DOKKU_IMAGE=image))
    assert done.code == 20, done.output
    assert "Dokku builds the directory web (its `build-dir`)" in done.output


def test_run_that_was_killed_before_it_set_the_build_dir_takes_nothing_of_a_person_back(
    dokku: DokkuStandIn, naive: Client, mono: Checkout
) -> None:
    """The record alone says nothing (faults A6)."""
    naive.dokku("config:set --no-restart hello CI_DEPLOY_BUILD_DIR=web")
    naive.dokku("builder:set hello build-dir api")
    assert "built api" in _deploy(dokku, mono).output
    assert _build_dir(dokku) == "api"
    assert "CI_DEPLOY_BUILD_DIR" not in dokku.app("hello").config


def test_moved_tag_is_pulled_again_when_a_redeploy_is_asked_for(
    dokku: DokkuStandIn, mono: Checkout, tmp_path: Path
) -> None:
    """A rebuild would build the old image (faults A5)."""
    name, folder = "registry.example.com/hello:latest", tmp_path / "moving"
    folder.mkdir()
    (folder / "Procfile").write_text("release: echo first\nworker: sleep 600\n")
    dokku.image(name, folder)
    _deploy(dokku, mono, DOKKU_IMAGE=name)
    _deploy(dokku, mono, DOKKU_IMAGE=name, REDEPLOY="true")
    raw = [call.raw for call in dokku.calls() if call.raw.startswith("git:from-image")]
    assert ["--force" in each.split() for each in raw] == [True, True]


def test_fault_during_the_record_leaves_the_property_alone(
    dokku: DokkuStandIn, mono: Checkout
) -> None:
    """What is not recorded could not be taken back (faults A6)."""
    dokku.faults(Fault("config:set", "refuse", text="no space left on device", times=1))
    done = run("deploy", cwd=mono.path, env=settings_for(dokku, APP_DIR="web"))
    assert done.code == 20, done.output
    assert not _build_dir(dokku)
