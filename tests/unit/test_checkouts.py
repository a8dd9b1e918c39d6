"""Which of several checkouts is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_deploy.ci import checkouts
from ci_deploy.ci.local import Local
from ci_deploy.errors import SettingsError
from standins.support import Checkout


def refusal(workspace: Path, named: str = "") -> str:
    with pytest.raises(SettingsError) as caught:
        checkouts.find(workspace, named).check()
    return str(caught.value)


@pytest.fixture
def outer(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "outer", {"Procfile": "web: x\n", "web/Procfile": "web: y\n"})


@pytest.fixture
def inner(outer: Checkout) -> Checkout:
    return Checkout(outer.path / "app", {"Procfile": "web: inner\n"})


def test_checkout_in_which_we_were_started_is_not_the_workspace(
    outer: Checkout, inner: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`git clone app && cd app && ci-deploy deploy` names both, and what decides (faults A1)."""
    monkeypatch.chdir(inner.path)
    words = refusal(outer.path)
    assert f"workspace {outer.path} and the current directory {inner.path} are two" in words
    assert "CHECKOUT_DIR" in words
    assert "Set it to `.` for the workspace, or to `app` for the other one." in words
    for named in (".", "app"):
        checkouts.find(outer.path, named).check()


def test_checkout_elsewhere_in_which_we_were_started_is_refused_too(
    outer: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cd /tmp/app` (faults A1)."""
    other = Checkout(tmp_path / "elsewhere", {"Procfile": "web: x\n"})
    monkeypatch.chdir(other.path)
    assert f"`{other.path}` for the other one" in refusal(outer.path)


def test_directory_of_the_workspaces_own_checkout_is_no_other(
    outer: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker run -w /w/web`: the checkout is its top (faults A12)."""
    for folder in (outer.path / "web", outer.path, outer.path.parent):
        monkeypatch.chdir(folder)
        checkouts.find(outer.path, "").check()
        checkouts.find(outer.path / "web", "").check()
    assert checkouts.find(outer.path / "web", "").path == outer.path


def test_directory_of_a_checkout_is_not_named_as_one(outer: Checkout, inner: Checkout) -> None:
    """CHECKOUT_DIR is not APP_DIR (faults A12)."""
    told = refusal(outer.path, "web")
    assert f"The root is {outer.path}. To deploy a directory of it, set APP_DIR." in told
    (outer.path.parent / "empty").mkdir()
    assert "not the root of a git checkout" in refusal(outer.path.parent, "empty")
    missing = outer.path.parent / "nothing"
    assert f"there is no directory {missing}." in refusal(outer.path.parent, "nothing")
    checkouts.find(inner.path, str(outer.path)).check()


def test_nested_checkout_is_taken_where_we_were_started_in_it_and_there_is_no_other(
    outer: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`actions/checkout` with `path: web`, and `working-directory: web` (faults A12)."""
    workspace = outer.path.parent
    monkeypatch.chdir(outer.path / "web")
    assert checkouts.find(workspace, "").path == outer.path
    assert checkouts.find(Path("/nowhere/web"), "").path == outer.path
    other = workspace / "other"
    other.mkdir()
    assert checkouts.find(other, "").path == other
    monkeypatch.chdir(workspace)
    assert checkouts.find(workspace, "").path == workspace


def test_branch_that_is_checked_out(outer: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand it is read from git, as the docs say (faults G2)."""
    outer.git("checkout", "--quiet", "-b", "feature/x")
    monkeypatch.chdir(outer.path / "web")
    assert Local({}).context.branch == "feature/x"
    tree = outer.path.parent / "tree"
    outer.git("worktree", "add", "--quiet", "-b", "other", str(tree))
    monkeypatch.chdir(tree)
    assert Local({}).context.branch == "other"
    outer.git("checkout", "--quiet", "--detach")
    assert checkouts.branch(outer.path) == ""
    assert checkouts.branch(outer.path.parent) == ""
