"""Going back, and the other ways to bring code: archives, images, parts of a repository."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from standins.dokku.client import Client
from standins.dokku.server import DokkuStandIn, Fault
from standins.support import Checkout, run, settings_for
from standins.webhooks import webhooks
from tests.golden import Golden


def _deploy_two(dokku: DokkuStandIn, checkout: Checkout) -> tuple[str, str]:
    old = checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    new = checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    return old, new


def test_rollback_without_a_checkout_returns_to_the_previous_revision(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, golden: Golden
) -> None:
    old, new = _deploy_two(dokku, checkout)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = run("ci-deploy", "rollback", cwd=empty, env=settings_for(dokku))
    assert done.code == 0, done.output
    golden("dokku/rollback", done.output)
    assert dokku.app("hello").running_revision == old
    assert f"hello is back on {old[:7]}" in done.output
    assert done.report["previous_revision"] == new


def test_rollback_to_a_given_revision(dokku: DokkuStandIn, checkout: Checkout) -> None:
    old, _new = _deploy_two(dokku, checkout)
    third = checkout.commit("Third")
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    done = run("ci-deploy", "rollback", old, cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == old
    with webhooks() as hook:
        env = settings_for(dokku, NOTIFY_WEBHOOK_URL=hook.url)
        forward = run("ci-deploy", "rollback", third, cwd=checkout.path, env=env)
    assert forward.code == 0, forward.output
    assert [each["title"] for each in hook.payloads] == ["Third", "Third"]
    assert dokku.app("hello").running_revision == third


def test_rollback_to_a_commit_that_cannot_be_fetched_says_why(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    """An archive becomes a commit of Dokku's own, so the server does not have it either."""
    older = tmp_path / "older"
    checkout.git("clone", "--quiet", str(checkout.path), str(older))
    checkout.git("-C", str(older), "remote", "set-url", "origin", "file:///nowhere")
    lost = checkout.commit("Only here")
    env = settings_for(dokku, DEPLOY_METHOD="archive")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    checkout.commit("Second")
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    done = run("ci-deploy", "rollback", cwd=older, env=env)
    assert done.code == 14, done.output
    assert f"the checkout lacks {lost[:7]}, which was deployed, and it cannot be" in done.output
    assert "(fatal: '/nowhere' does not appear to be a git repository)" in done.output


def test_rollback_of_an_app_without_history_is_refused(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    done = run("ci-deploy", "rollback", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 14
    golden("dokku/rollback without history", done.output)
    assert "no release of hello before the live one is recorded" in done.output


def test_history_lists_what_was_live_from_which_pipeline(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    old, new = _deploy_two(dokku, checkout)
    done = run("ci-deploy", "history", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.errors
    golden("dokku/history", done.output)
    lines = done.output.splitlines()
    assert [old in lines[1], new in lines[0]] == [True, True]


def test_rollback_on_failure_brings_the_old_revision_back_and_is_23(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    old = checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).code == 0
    checkout.commit("Sick")
    with webhooks() as app:
        app.answer = 500
        env = settings_for(
            dokku, HEALTHCHECK_URL=app.url, HEALTHCHECK_TIMEOUT="1", ROLLBACK_ON_FAILURE="true"
        )
        done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 23, done.output
    golden("dokku/rolled back", done.output)
    assert done.report["status"] == "rolled-back"
    assert dokku.app("hello").running_revision == old
    assert f"rolled back: hello runs {old[:7]}." in done.output


def test_failed_health_check_without_rollback_is_22(
    dokku: DokkuStandIn, checkout: Checkout, golden: Golden
) -> None:
    with webhooks() as app:
        app.answer = 503
        env = settings_for(dokku, HEALTHCHECK_URL=app.url, HEALTHCHECK_TIMEOUT="1")
        done = run("deploy", cwd=checkout.path, env=env)
        assert done.code == 22
        golden("dokku/health check fails", done.output)
        assert f"hello runs {checkout.head[:7]}" in done.output
        assert "answers 503" in done.output
        warned = run("deploy", cwd=checkout.path, env={**env, "LIVE_BUT_FAILED": "warn"})
    assert warned.code == 0
    assert warned.report["status"] == "live-but-failed"


def test_archive_brings_lfs_files_and_submodules(
    dokku: DokkuStandIn, naive: Client, checkout: Checkout, tmp_path: Path
) -> None:
    import hashlib

    big = b"the real content\n" * 100
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(big).hexdigest()}\nsize {len(big)}\n"
    )
    library = Checkout(tmp_path / "library", {"lib.txt": "from the submodule\n"})
    checkout.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path), "lib"
    )
    checkout.commit(
        "LFS", {".gitattributes": "*.bin filter=lfs -text\n", "big.bin": pointer,
                "Procfile": "release: cat lib/lib.txt big.bin\nworker: sleep 600\n"},
    )  # fmt: skip
    (checkout.path / "big.bin").write_bytes(big)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert done.code == 0, done.output
    assert "from the submodule" in done.output
    assert "the real content" in done.output
    assert done.report["live_revision"] == checkout.head


def test_archive_without_the_lfs_content_is_refused(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"
    files = {"assets/.gitattributes": "*.bin filter=lfs\n", "assets/big.bin": pointer}
    checkout.commit("LFS", files)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert done.code == 2
    assert "lacks the content of the LFS file assets/big.bin" in done.output


def test_monorepo_push_builds_only_the_part(dokku: DokkuStandIn, tmp_path: Path) -> None:
    checkout = Checkout(
        tmp_path / "mono",
        {"Procfile": "release: false\n", "apps/web/Procfile": "worker: sleep 600\n"},
    )
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, APP_DIR="apps/web"))
    assert done.code == 0, done.output
    assert "set build-dir of hello to apps/web" in done.output


def test_monorepo_archive_sends_only_the_part(dokku: DokkuStandIn, tmp_path: Path) -> None:
    checkout = Checkout(
        tmp_path / "mono",
        {"Procfile": "release: false\n", "apps/web/Procfile": "worker: sleep 600\n"},
    )
    env = settings_for(dokku, APP_DIR="apps/web", DEPLOY_METHOD="archive")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output


def test_image_is_deployed_skipped_when_live_and_rolled_back(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    images = {}
    for number in (1, 2):
        folder = tmp_path / f"image{number}"
        folder.mkdir()
        (folder / "Procfile").write_text(f"release: echo image {number}\nworker: sleep 600\n")
        images[number] = f"registry.example.com/hello@sha256:{str(number) * 64}"
        dokku.image(images[number], folder)
    first = checkout.head
    env = settings_for(dokku, DOKKU_IMAGE=images[1])
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert "image 1" in done.output
    assert run("deploy", cwd=checkout.path, env=env).report["status"] == "skipped"
    checkout.commit("Second")
    env = settings_for(dokku, DOKKU_IMAGE=images[2])
    assert run("deploy", cwd=checkout.path, env=env).code == 0
    done = run("ci-deploy", "rollback", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert "image 1" in done.output
    assert done.report["live_revision"] == first


def test_image_that_failed_before_is_built_again_although_nothing_has_changed(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path
) -> None:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Procfile").write_text("worker: sleep 600\n")
    image = f"registry.example.com/hello@sha256:{'3' * 64}"
    dokku.image(image, folder)
    env = settings_for(dokku, DOKKU_IMAGE=image)
    dokku.faults(Fault("build", "refuse", text="App build failed", times=1))
    assert run("deploy", cwd=checkout.path, env=env).code == 20
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output


@pytest.mark.parametrize("version", ["0.33.9", "0.35.20", "0.38.27"])
def test_every_generation_of_dokku_is_deployed_to_and_reported_truly(
    dokku: DokkuStandIn, checkout: Checkout, version: str
) -> None:
    dokku.configure(version=version)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert run("deploy", cwd=checkout.path, env=settings_for(dokku)).report["status"] == "skipped"
    broken = checkout.commit("Broken", {"Procfile": "release: false\nworker: sleep 600\n"})
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 20
    assert dokku.app("hello").running_revision != broken
    ran = run("ci-deploy", "run", "--", "true", cwd=checkout.path, env=settings_for(dokku))
    assert ran.code == 0


def test_archive_is_a_tar_without_git(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """What `git archive` makes is what the server gets: no .git, no untracked files."""
    (checkout.path / "untracked-secret").write_text("x")
    packed = checkout.git("archive", "--format=tar", "HEAD")
    with tarfile.open(fileobj=io.BytesIO(packed.encode("latin-1", "replace"))) as archive:
        assert archive.getnames() == ["Procfile"]
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert done.code == 0, done.output


@pytest.mark.parametrize("folder", ["./apps/web/", "apps//web", "apps/web/."])
@pytest.mark.parametrize("method", ["push", "archive"])
def test_app_dir_is_read_in_each_spelling(
    dokku: DokkuStandIn, tmp_path: Path, folder: str, method: str
) -> None:
    """The release task of the part is found, whatever the spelling (faults A7)."""
    checkout = Checkout(
        tmp_path / "mono",
        {"Procfile": "release: false\n", "apps/web/Procfile": "worker: sleep 9\n"},
    )
    env = settings_for(dokku, APP_DIR=folder, DEPLOY_METHOD=method)
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output


@pytest.mark.parametrize("folder", ["nothing", "Procfile"])
@pytest.mark.parametrize("method", ["push", "archive"])
def test_app_dir_that_is_no_directory_of_the_revision_is_refused(
    dokku: DokkuStandIn, checkout: Checkout, folder: str, method: str
) -> None:
    """Before anything is touched (faults A7)."""
    env = settings_for(dokku, APP_DIR=folder, DEPLOY_METHOD=method)
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 2, done.output
    assert f"there is no directory {folder} at {checkout.head[:7]}" in done.output
    assert not dokku.app("hello").running_revision


def test_lfs_goes_by_archive_unless_a_push_is_asked_for(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """A push would bring the pointers only (faults A8)."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"
    checkout.commit("LFS", {".gitattributes": "*.bin filter=lfs -text\n", "big.bin": pointer})
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 2, done.output
    assert "lacks the content of the LFS file big.bin" in done.output
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="push"))
    assert done.code == 0, done.output
    assert "pointers of LFS files" in done.output


def test_archive_brings_tracked_files_that_the_attributes_leave_out(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """One revision has one content, whatever the way (faults A9)."""
    files = {".gitattributes": "/config export-ignore\n", "config/prod.yml": "kept: true\n",
             "Procfile": "release: cat config/prod.yml\nworker: sleep 600\n"}  # fmt: skip
    checkout.commit("Attributes", files)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert done.code == 0, done.output
    assert "kept: true" in done.output


def test_archive_brings_tracked_files_that_gitignore_matches(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Dokku adds the files of an archive to a repository of its own (faults A9)."""
    files = {".gitignore": "dist/\n*.log\n", "web/.gitignore": "/build\n!keep\n",
             "dist/app.js": "dist\n", "web/build/a.txt": "build\n", "web/x.log": "log\n",
             "Procfile": "release: cat dist/app.js web/build/a.txt web/x.log\n"
                         "worker: sleep 600\n"}  # fmt: skip
    for name, text in files.items():
        (checkout.path / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.path / name).write_text(text)
    checkout.git("add", "--force", *files)
    checkout.commit("Ignored, and tracked all the same")
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert done.code == 0, done.output
    assert "3 tracked files are matched by .gitignore, web/.gitignore" in done.output
    assert (checkout.path / ".gitignore").read_text() == files[".gitignore"]
    again = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert again.report["status"] == "skipped"


def test_archive_of_a_revision_without_ignored_files_has_its_own_gitignore(
    dokku: DokkuStandIn, checkout: Checkout
) -> None:
    """Nothing is changed that need not be (faults A9)."""
    files = {".gitignore": "*.log\n", "Procfile": "release: cat .gitignore\nworker: sleep 600\n"}
    checkout.commit("Nothing is ignored", files)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_METHOD="archive"))
    assert done.code == 0, done.output
    assert "*.log" in done.output
    assert "ends with" not in done.output
