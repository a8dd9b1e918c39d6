"""The workspace is not ours: its git config, its hooks, its modules, its owner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from standins.dokku.server import DokkuStandIn
from standins.support import Checkout, run, settings_for
from tests.hostile.tally import Kind, Record, tried

HOOKS = ("pre-push", "post-checkout", "reference-transaction", "pre-auto-gc")
OURS = ("requests", "sh", "tenacity", "dotenv", "yaml", "ci_deploy")
MODULES = (*OURS, "json", "sitecustomize")
PROGRAMS = ("git", "ssh", "ssh-agent", "ssh-add", "sh")
SETTINGS = 13  # of git
BRANCHES = ("--upload-pack=x", "$(touch pwned)", "a b", "x" * 200, "rocket-🚀", "`id`", "a'b\"c")
APPS = ("--force", "$(id)", "a b", "A", "-x", "a/../b")
REVISIONS = ("--exec=id", "no-such-branch", "HEAD:Procfile", "$(id)")


def few(names: Sequence[str]) -> list[ParameterSet]:
    """Two of them in each run of the tests."""
    rest = [pytest.param(name, marks=pytest.mark.hostile) for name in names[2:]]
    return [*map(pytest.param, names[:2]), *rest]


def test_git_config_and_hooks_of_the_workspace_have_no_say(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    pwned = tmp_path / "pwned"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {pwned}\nexit 1\n")
    script.chmod(0o755)
    hooks = checkout.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in HOOKS:
        (hooks / hook).write_text(script.read_text())
        (hooks / hook).chmod(0o755)
    settings = {
        "core.fsmonitor": str(script),
        "core.sshCommand": str(script),
        "core.pager": str(script),
        "core.hooksPath": str(hooks),
        "gpg.program": str(script),
        "log.showSignature": "true",
        "credential.helper": str(script),
        "protocol.ext.allow": "always",
        f"url.ext::{script} .insteadOf": "ssh://",
        f"url.ext::{script}  .pushInsteadOf": "ssh://",
        "push.recurseSubmodules": "on-demand",
        "push.gpgSign": "if-asked",
        "remote.pushDefault": "nowhere",
    }
    tried(record_property, Kind.INJECTION, len(settings) + len(HOOKS))
    for name, value in settings.items():
        checkout.git("config", name, value)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert not pwned.exists()


def test_modules_of_the_workspace_are_never_imported(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    pwned = tmp_path / "pwned"
    tried(record_property, Kind.INJECTION, len(MODULES))
    for name in MODULES:
        (checkout.path / f"{name}.py").write_text(f"open({str(pwned)!r}, 'w')\nraise SystemExit(9)")
    env = settings_for(dokku, PYTHONPATH=str(checkout.path), PYTHONSTARTUP="sitecustomize.py")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert not pwned.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_checkout_owned_by_another_user_is_fine(dokku: DokkuStandIn, checkout: Checkout) -> None:
    """GitHub's runner checks out as uid 1001 and runs the container as root."""
    for folder, folders, files in os.walk(checkout.path):
        for name in (*folders, *files):
            os.chown(Path(folder, name), 1001, 1001)
    os.chown(checkout.path, 1001, 1001)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku))
    assert done.code == 0, done.output


def test_nonsense_in_path_and_home_does_not_matter(
    dokku: DokkuStandIn, checkout: Checkout, tmp_path: Path, record_property: Record
) -> None:
    evil = checkout.path / "bin"
    evil.mkdir()
    tried(record_property, Kind.INJECTION, len(PROGRAMS))
    for name in PROGRAMS:
        (evil / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\nexit 1\n")
        (evil / name).chmod(0o755)
    env = settings_for(dokku, PATH=f"{evil}:utter-nonsense", HOME="/nonexistent")
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("branch", few(BRANCHES))
def test_branch_names_are_only_text(
    dokku: DokkuStandIn, checkout: Checkout, record_property: Record, branch: str
) -> None:
    tried(record_property, Kind.INJECTION)
    env = settings_for(
        dokku,
        GITLAB_CI="true",
        CI_PROJECT_DIR=str(checkout.path),
        CI_COMMIT_SHA=checkout.head,
        CI_COMMIT_REF_NAME=branch,
        CI_COMMIT_BRANCH=branch,
    )
    done = run("deploy", cwd=checkout.path, env=env)
    assert done.code == 0, done.output
    assert dokku.app("hello").running_revision == checkout.head
    assert not list(checkout.path.rglob("pwned"))


@pytest.mark.parametrize("name", few(APPS))
def test_app_names_that_are_none_are_refused_before_anything_is_asked(
    dokku: DokkuStandIn, checkout: Checkout, record_property: Record, name: str
) -> None:
    tried(record_property, Kind.INJECTION)
    before = len(dokku.connections())
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, APP_NAME=name))
    assert done.code == 2
    assert "APP_NAME" in done.output
    assert len(dokku.connections()) == before


@pytest.mark.parametrize("revision", few(REVISIONS))
def test_revisions_that_are_none_are_refused(
    dokku: DokkuStandIn, checkout: Checkout, record_property: Record, revision: str
) -> None:
    tried(record_property, Kind.INJECTION)
    done = run("deploy", cwd=checkout.path, env=settings_for(dokku, DEPLOY_REVISION=revision))
    assert done.code == 2
    assert "DEPLOY_REVISION" in done.output
