"""The checkout as CI has left it, seen through a private repository; with real git."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci_deploy.ci.gitlab import GitLab
from ci_deploy.errors import SettingsError, Unreachable
from ci_deploy.git import committed
from ci_deploy.git.repository import Repository
from ci_deploy.process.runner import Runner
from standins.support import Checkout

PASSWORD = "t0k/en: 'with\" $odd&chars"
QUOTED = "t0k%2Fen%3A%20%27with%22%20%24odd%26chars"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", {"Procfile": "web: x\n", "app/deep/file": "text\n"})


@pytest.fixture
def make(runner: Runner, tmp_path: Path) -> Callable[..., Repository]:
    """Makes a repository from a checkout; it is open."""
    number = iter(range(99))

    def opened(path: Path, *, revision: str = "", origin: str = "", **facts: Any) -> Repository:
        private = tmp_path / f"private{next(number)}"
        private.mkdir()
        ci = GitLab({"CI_PROJECT_DIR": str(path), "CI_JOB_ID": "1"})
        ci.context = ci.context._replace(revision=revision, fetch_url=origin, **facts)
        made = Repository(runner, ci, private)
        made.open()
        return made

    return opened


Make = Callable[..., Repository]


def at(path: Path) -> Checkout:
    """A checkout that git has made."""
    found = Checkout.__new__(Checkout)
    found.path = path
    return found


def clone(origin: Checkout, path: Path, *options: str) -> Checkout:
    origin.git("clone", "--quiet", *options, f"file://{origin.path}", str(path))
    return at(path)


def refusal(repository: Repository, wanted: str) -> str:
    with pytest.raises(SettingsError) as caught:
        repository.resolve(wanted)
    return str(caught.value)


# --- what is there ---


def test_head_is_taken_when_neither_the_user_nor_ci_says_more(
    make: Make, checkout: Checkout
) -> None:
    repository = make(checkout.path)
    assert repository.resolve("") == checkout.head
    assert repository.subject(checkout.head) == "Say hello"
    assert not repository.shallow


def test_what_ci_is_about_wins_over_head_and_the_user_over_both(
    make: Make, checkout: Checkout
) -> None:
    first, second = checkout.head, checkout.commit("Second")
    checkout.commit("Third")
    checkout.git("checkout", "--quiet", second)
    repository = make(checkout.path, revision=second)
    assert repository.resolve("") == second
    assert repository.resolve(first) == first


def test_head_that_is_not_the_jobs_commit_is_refused_naming_both(
    make: Make, checkout: Checkout
) -> None:
    """Another ref checked out, a commit made by the job, a commit that is not there. (faults A1)"""
    first, second = checkout.head, checkout.commit("Made by the job")
    for theirs in (first, "e" * 40):
        repository = make(checkout.path, revision=theirs)
        told = refusal(repository, "")
        assert "DEPLOY_REVISION" in told
        assert second[:7] in told
        assert theirs in told
        assert repository.resolve("HEAD") == second


def test_head_that_the_platform_itself_checks_out_is_no_disagreement(
    make: Make, checkout: Checkout
) -> None:
    """Merges of pull requests, workflow_run, GIT_CHECKOUT: false. (faults A1)"""
    main = checkout.commit("On main")
    checkout.git("checkout", "--quiet", "-b", "feature", "HEAD~1")
    head = checkout.commit("On the branch")
    checkout.git("checkout", "--quiet", "--detach", main)
    checkout.git("merge", "--quiet", "--no-ff", "--no-edit", head)
    merge = checkout.git("rev-parse", "HEAD")
    for facts in ({"checked_out": merge}, {"change": "7"}, {"detached": True}):
        repository = make(checkout.path, revision=head, **facts)
        assert repository.resolve("") == head, facts
    assert "HEAD" in refusal(make(checkout.path, revision=head), "")


def test_tag_objects_are_peeled_to_their_commit(make: Make, checkout: Checkout) -> None:
    """By id and by name, a tag of a tag, from the platform too. (faults A2)"""
    checkout.git("tag", "--annotate", "--message", "x", "heavy")
    checkout.git("tag", "--annotate", "--message", "x", "heavier", "heavy")
    for name in ("heavy", "heavier"):
        tag = checkout.git("rev-parse", name)
        assert make(checkout.path).resolve(tag) == checkout.head
        assert make(checkout.path).resolve(name) == checkout.head
        assert make(checkout.path, revision=tag).resolve("") == checkout.head


def test_full_ids_of_trees_and_blobs_are_refused(make: Make, checkout: Checkout) -> None:
    """They name an object, but no commit. (faults A2)"""
    for name, kind in (("HEAD^{tree}", "tree"), ("HEAD:Procfile", "blob")):
        sha = checkout.git("rev-parse", name)
        assert f"is a {kind}, not a commit" in refusal(make(checkout.path), sha)


def test_name_of_a_branch_and_a_tag_means_the_branch(make: Make, checkout: Checkout) -> None:
    """Unless the job is the tag's. (faults A4)"""
    first, second = checkout.head, checkout.commit("Second")
    checkout.git("tag", "v1", first)
    checkout.git("branch", "v1", second)
    assert make(checkout.path).resolve("v1") == second
    assert make(checkout.path).resolve("refs/tags/v1") == first
    assert make(checkout.path, tag="v1").resolve("v1") == first


def test_newer_of_a_local_branch_and_origins_is_taken(make: Make, checkout: Checkout) -> None:
    """A stale local branch loses; two that have diverged are refused. (faults A4)"""
    first, second = checkout.head, checkout.commit("Second")
    checkout.git("branch", "stale", first)
    checkout.git("update-ref", "refs/remotes/origin/stale", second)
    checkout.git("update-ref", "refs/remotes/origin/only", first)
    checkout.git("checkout", "--quiet", "-b", "split", first)
    checkout.git("update-ref", "refs/remotes/origin/split", second)
    checkout.commit("Another way")
    repository = make(checkout.path)
    for name in ("stale", "refs/heads/stale", "heads/stale"):
        assert repository.resolve(name) == second, name
    assert repository.resolve("refs/heads/only") == first
    assert "`split`" in refusal(repository, "split")


def test_credentials_that_checkout_v6_keeps_in_an_included_file_are_found(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    """`includeIf.gitdir`, as actions/checkout@v6 writes it. (faults A11)"""
    kept = tmp_path / "git-credentials.config"
    at_github = "http.https://github.com/.extraheader"
    checkout.git("config", "--file", str(kept), at_github, "AUTHORIZATION: basic eDp5")
    checkout.git("config", f"includeIf.gitdir:{checkout.path}/.git.path", str(kept))
    _, environ = source(make, checkout, "https://github.com/acme/web")
    assert "AUTHORIZATION: basic eDp5" in environ.values()


@pytest.mark.parametrize("where", ["named", "temporary"])
def test_credentials_that_checkout_v6_keeps_for_other_paths_are_found(
    make: Make, checkout: Checkout, tmp_path: Path, where: str
) -> None:
    """Gitea and Forgejo, and `docker run -v` (faults A11; actions/checkout#2321)."""
    name = "git-credentials-3f1c.config"
    file = tmp_path / name
    file.write_text('[http "https://github.com/"]\n\textraheader = AUTHORIZATION: basic eDp5\n')
    path = file if where == "named" else Path("/github/runner_temp", name)
    checkout.git("config", "includeIf.gitdir:/github/workspace/.git.path", str(path))
    checkout.git("config", "remote.origin.url", "https://github.com/acme/web")
    repository = make(checkout.path)
    repository._ci.environ = {"RUNNER_TEMP": str(tmp_path)}
    url, environ = repository._source()
    assert url == "https://github.com/acme/web"
    assert "AUTHORIZATION: basic eDp5" in environ.values()


def test_file_that_is_no_credentials_of_checkout_is_not_read(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    """Whatever else a config includes for other places stays there (faults A11)."""
    (tmp_path / "other.config").write_text('[http "https://x/"]\n\textraheader = SECRET: 1\n')
    checkout.git("config", "includeIf.gitdir:/elsewhere/.path", str(tmp_path / "other.config"))
    url, environ = source(make, checkout, "https://github.com/acme/web")
    assert url == "https://github.com/acme/web"
    assert "SECRET: 1" not in environ.values()


def test_branch_that_is_gone_from_the_origin(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    """Only what is known to be gone is (faults A13)."""
    checkout.git("branch", "feature")
    copy = clone(checkout, tmp_path / "copy")
    repository = make(copy.path)
    assert [repository.is_gone(name) for name in ("feature", "gone", "")] == [False, True, False]
    assert not make(checkout.path).is_gone("gone")
    copy.git("config", "remote.origin.url", "file:///nowhere")
    assert not make(copy.path).is_gone("feature")


def test_names_are_looked_up_in_the_checkout(make: Make, checkout: Checkout) -> None:
    first, second = checkout.head, checkout.commit("Second")
    checkout.git("tag", "light", first)
    checkout.git("tag", "--annotate", "--message", "x", "heavy", first)
    checkout.git("branch", "feature/x", first)
    checkout.git("update-ref", "refs/remotes/origin/remote-only", first)
    repository = make(checkout.path)
    for name in ("light", "heavy", "feature/x", "remote-only", "HEAD~1", first[:10]):
        assert repository.resolve(name) == first, name
    for name in ("HEAD", "main", second.upper()):
        assert repository.resolve(name) == second, name


@pytest.mark.parametrize(
    "name",
    [
        *("--exec=id", "-h", "no-such", "HEAD:Procfile", "HEAD^{tree}", "$(id)", "a b", ""),
        *("f" * 40, "f" * 64, ":/Say", "x..y"),
    ],
)
def test_names_that_mean_no_commit_are_refused(make: Make, checkout: Checkout, name: str) -> None:
    repository = make(checkout.path, revision="e" * 40)
    told = refusal(repository, name)
    if set(name) == {"f"}:
        assert f"DEPLOY_REVISION: the checkout lacks the commit `{name}`, and it cannot be" in told
    elif name:
        assert f"DEPLOY_REVISION: there is no commit, branch or tag `{name}`" in told
    else:
        assert "e" * 40 in told
    assert ("GIT_DEPTH" in told and "DEPLOY_REVISION" in told) or not name


def test_files_of_a_commit(make: Make, checkout: Checkout) -> None:
    repository = make(checkout.path)
    assert repository.files(checkout.head, "Procfile") == ["web: x"]
    assert repository.files(checkout.head, "app/deep/file") == ["text"]
    assert repository.files(checkout.head, "app") == [""]
    assert repository.files(checkout.head, "missing") == [""]
    names = ("missing", "Procfile", "no\nname", "app", "app/deep/file", "Procfile")
    assert make(checkout.path).files(checkout.head, *names) == [
        "",
        "web: x",
        "",
        "",
        "text",
        "web: x",
    ]


def test_which_commit_contains_which(make: Make, checkout: Checkout) -> None:
    first, second = checkout.head, checkout.commit("Second")
    repository = make(checkout.path)
    assert repository.is_ancestor(first, second)
    assert not repository.is_ancestor(second, first)
    assert repository.is_ancestor(first, first)
    assert repository.has(first)
    assert not repository.has("e" * 40)


def test_missing_things_are_answered_at_once(
    make: Make, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make(checkout.path)

    def waited(_seconds: float) -> bool:
        raise AssertionError

    monkeypatch.setattr(repository.runner.cancellation, "awaited", waited)
    assert not repository.has("e" * 40)
    assert repository.files(checkout.head, "app.json") == [""]


def test_objects_are_borrowed_and_the_checkout_is_left_alone(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    before = sorted(checkout.path.rglob("*"))
    make(checkout.path).resolve("")
    assert sorted(checkout.path.rglob("*")) == before
    assert not list((tmp_path / "private0/git/objects").glob("??"))


def test_checkout_that_borrows_itself_is_fine(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    """`git clone --reference`, as runners with a cache do it."""
    checkout.git("clone", "--quiet", "--shared", str(checkout.path), str(tmp_path / "shared"))
    other = at(tmp_path / "shared")
    new = other.commit("On top")
    repository = make(other.path)
    assert repository.resolve("") == new
    assert repository.is_ancestor(checkout.head, new)


def test_worktree_is_a_checkout_with_its_own_head(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    first = checkout.head
    second = checkout.commit("Second")
    checkout.git("worktree", "add", "--quiet", str(tmp_path / "tree"), first)
    repository = make(tmp_path / "tree")
    assert repository.resolve("") == first
    assert repository.resolve("HEAD") == first
    assert repository.resolve("main") == second


def test_folder_of_a_checkout_is_one(make: Make, checkout: Checkout) -> None:
    assert make(checkout.path / "app/deep").resolve("") == checkout.head


def test_sha256_repository(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    other = at(path)
    other.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    head = other.commit("First", {"Procfile": "web: x\n"})
    assert len(head) == 64
    repository = make(path)
    assert repository.resolve("") == head
    assert repository.resolve(head) == head
    assert repository.files(head, "Procfile") == ["web: x"]


def test_empty_repository_and_no_repository_are_told_apart(make: Make, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SettingsError, match=f"there is no git checkout in {empty}"):
        make(empty)
    at(empty).git("init", "--quiet")
    assert "the checkout has no commits yet" in refusal(make(empty), "")


def test_without_a_checkout_nothing_is_there_but_nothing_breaks(
    runner: Runner, tmp_path: Path
) -> None:
    """`rollback` and `destroy` need none."""
    (tmp_path / "private").mkdir()
    ci = GitLab({"CI_PROJECT_DIR": str(tmp_path), "CI_JOB_ID": "1"})
    repository = Repository(runner, ci, tmp_path / "private")
    repository.open(optional=True)
    assert not repository.shallow
    assert not repository.has("e" * 40)
    assert "there is no commit, branch or tag `main`" in refusal(repository, "main")
    told = refusal(repository, "e" * 40)
    assert f"lacks the commit `{'e' * 40}`, and it cannot be fetched (the checkout has no" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_checkout_of_another_user_is_read(make: Make, checkout: Checkout) -> None:
    for path in (checkout.path, *checkout.path.rglob("*")):
        os.chown(path, 1001, 1001)
    assert make(checkout.path).resolve("main") == checkout.head


# --- what is not there yet ---


def test_shallow_clone_is_deepened_in_private(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    first, last = checkout.head, checkout.commit("Second")
    shallow = clone(checkout, tmp_path / "shallow", "--depth=1")
    repository = make(shallow.path)
    assert repository.shallow
    assert not repository.has(first)
    assert repository.can_deepen()
    assert repository.is_ancestor(first, last)
    assert (shallow.path / ".git/shallow").is_file()
    repository.deepen()


def test_shallow_clone_of_a_branch_that_is_not_merged_is_deepened(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.git("switch", "--quiet", "--create", "feature")
    first = checkout.commit("On the branch")
    last = checkout.commit("More of it")
    checkout.git("switch", "--quiet", "main")
    checkout.commit("Meanwhile on main")
    shallow = clone(checkout, tmp_path / "shallow", "--depth=1", "--branch=feature")
    repository = make(shallow.path)
    assert repository.resolve("") == last
    repository.deepen()
    assert repository.is_ancestor(first, last)


def test_shallow_clone_without_its_origin_names_the_line_to_add(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit("Second")
    shallow = clone(checkout, tmp_path / "shallow", "--depth=1")
    shallow.git("remote", "set-url", "origin", "file:///nowhere")
    repository = make(shallow.path)
    assert not repository.can_deepen()
    with pytest.raises(SettingsError, match="the checkout is shallow") as caught:
        repository.deepen()
    assert 'GIT_DEPTH: "0"' in str(caught.value)


def test_commit_that_the_checkout_lacks_is_fetched(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    other = clone(checkout, tmp_path / "other")
    new = checkout.commit("Pushed meanwhile")
    repository = make(other.path)
    assert repository.resolve(new) == new
    assert repository.subject(new) == "Pushed meanwhile"


# --- credentials, and origins that are attacks ---


def source(
    make: Make, checkout: Checkout, url: str, origin: str = ""
) -> tuple[str, dict[str, str]]:
    checkout.git("config", "remote.origin.url", url)
    return make(checkout.path, origin=origin)._source()


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        (f"gitlab-ci-token:{QUOTED}@", "gitlab-ci-token", PASSWORD),
        ("t0ken@", "t0ken", ""),
        (f":{QUOTED}@", "", PASSWORD),
    ],
)
def test_password_of_the_origin_is_not_in_argv_and_git_finds_it(
    make: Make, checkout: Checkout, userinfo: str, user: str, password: str
) -> None:
    url, environ = source(make, checkout, f"https://{userinfo}git.example.com:8443/acme/web.git")
    assert url == "https://git.example.com:8443/acme/web.git"
    done = subprocess.run(
        ["git", "credential", "fill"],
        input=f"url={url}\n\n",
        env={"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (found["username"], found["password"]) == (user, password)


def test_password_is_given_to_no_other_server(make: Make, checkout: Checkout) -> None:
    _, environ = source(make, checkout, "https://jane:t0ken@git.example.com/acme/web.git")
    done = subprocess.run(
        ["git", "credential", "fill"],
        input="url=https://evil.example.com/acme/web.git\n\n",
        env={"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "t0ken" not in done.stdout


def test_password_of_this_job_wins_over_the_one_of_an_older_clone(
    make: Make, checkout: Checkout
) -> None:
    old = "https://gitlab-ci-token:old@git.example.com/acme/web.git"
    new = "https://gitlab-ci-token:new@git.example.com/acme/web.git"
    _, environ = source(make, checkout, old, new)
    assert environ["CI_DEPLOY_PASSWORD"] == "new"


def test_password_of_this_job_is_not_for_another_origin(make: Make, checkout: Checkout) -> None:
    job = "https://gitlab-ci-token:new@git.example.com/acme/web.git"
    url, environ = source(make, checkout, "https://evil.example.com/acme/other.git", job)
    assert url == "https://evil.example.com/acme/other.git"
    assert "new" not in environ.values()


def test_header_that_checkout_has_left_is_passed_on_by_environ(
    make: Make, checkout: Checkout
) -> None:
    checkout.git("config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic eDp5")
    url, environ = source(make, checkout, "https://github.com/acme/web")
    assert url == "https://github.com/acme/web"
    keys = {value for key, value in environ.items() if key.startswith("GIT_CONFIG_KEY")}
    assert "http.https://github.com/.extraheader" in keys
    assert "AUTHORIZATION: basic eDp5" in environ.values()


@pytest.mark.parametrize(
    "url",
    [
        *("git@github.com:acme/web.git", "ssh://git@github.com/acme/web.git", "ext::sh -c id"),
        *("ftp://x/y", "fd::3", "host:path", "my_host:path", "../other", "--upload-pack=id"),
    ],
)
def test_origins_that_need_a_key_or_a_helper_are_not_asked(
    make: Make, checkout: Checkout, url: str
) -> None:
    assert source(make, checkout, url)[0] == ""


def test_origin_that_is_no_url_at_all_is_not_asked(make: Make, checkout: Checkout) -> None:
    assert source(make, checkout, "https://[::1")[0] == ""


def test_origin_that_is_an_option_runs_nothing(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    evil.chmod(0o755)
    checkout.git("config", "remote.origin.url", f"--upload-pack={evil}")
    repository = make(checkout.path)
    (tmp_path / "private0/git/shallow").write_text(f"{checkout.head}\n")
    assert "cannot be fetched" in refusal(repository, "e" * 40)
    assert not repository.can_deepen()
    assert not (tmp_path / "pwned").exists()


# --- pushing ---


def test_push_goes_on_with_what_follows_and_back_only_with_a_lease(
    make: Make, checkout: Checkout, tmp_path: Path
) -> None:
    first, second = checkout.head, checkout.commit("Second")
    third = checkout.commit("Third")
    target = tmp_path / "target"
    checkout.git("init", "--quiet", "--bare", str(target))
    repository = make(checkout.path)

    def push(sha: str, lease: str | None = None) -> bool:
        result = repository.push(
            f"file://{target}", sha, "main", env={}, what=f"push {sha[:7]}", lease=lease
        )
        return result.exit_code == 0

    def there() -> str:
        return at(target).git("rev-parse", "refs/heads/main")

    assert push(second)
    assert push(third)
    assert not push(first)
    assert not push(first, lease=second)
    assert there() == third
    assert push(first, lease=third)
    assert there() == first
    assert repository.fetch(f"file://{target}", "refs/heads/main", {}) == first
    assert repository.fetch(f"file://{target}", "refs/heads/missing", {}) == ""
    with pytest.raises(Unreachable, match=r"cannot fetch refs/heads/main .*: fatal: .*nowhere"):
        repository.fetch(f"file://{tmp_path}/nowhere", "refs/heads/main", {})


def test_archive_holds_what_the_attributes_leave_out_of_archives(
    checkout: Checkout, make: Make, tmp_path: Path
) -> None:
    """One revision has one content, whatever the way (faults A9)."""
    attributes = "/app export-ignore\nProcfile export-ignore\nversion export-subst\n"
    checkout.commit("Attributes", {".gitattributes": attributes, "version": "$Format:%H$\n"})
    repository, archive = make(checkout.path), tmp_path / "archive.tar"
    repository.git("archive", "--format=tar", f"--output={archive}", repository.resolve(""))
    with tarfile.open(archive) as found:
        assert {"Procfile", "app/deep/file"} <= set(found.getnames())
        version = found.extractfile("version")
        assert version
        assert version.read() == b"$Format:%H$\n"


def test_lfs_is_seen_in_any_attributes_of_the_revision(checkout: Checkout, make: Make) -> None:
    """So `auto` does not push pointers instead of files (faults A8)."""
    before = checkout.head
    after = checkout.commit("LFS", {"app/.gitattributes": "*.bin filter=lfs -text\n"})
    repository = make(checkout.path)
    assert [repository.uses_lfs(before), repository.uses_lfs(after)] == [False, True]


def test_folder_of_a_revision_is_a_directory(checkout: Checkout, make: Make) -> None:
    """A file or nothing at all is refused before anything is touched (faults A7)."""
    repository = make(checkout.path)
    paths = ("app", "app/deep", "Procfile", "nothing")
    found = [repository.is_folder(checkout.head, path) for path in paths]
    assert found == [True, True, False, False]


def test_what_a_commit_has_is_read_whole_or_not_at_all(
    make: Make, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of places of 9 MiB, say: its beginning would be taken for all of it."""
    text = "x" * (9 * 2**20)
    blob = ("cat-file", "blob", f"{checkout.commit('Add it', {'geo.db': text})}:geo.db")
    repository = make(checkout.path)
    assert committed.whole(repository, *blob) == text.encode()
    monkeypatch.setattr(committed, "LIMIT", 2**20)
    with pytest.raises(SettingsError, match="prints more than 1 MiB"):
        committed.whole(repository, *blob)
