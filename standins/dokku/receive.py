"""The pre-receive hook: what a push deploys."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import git
from .deploy import build_and_deploy
from .host import Host
from .locks import exclusive_deploy
from .output import LINE_CLEAR, LINE_START, fail
from .pids import remember
from .shell import guarded, prepare_process

ZERO = "0" * 40


def main() -> int:
    """Be the pre-receive hook: `main ROOT`, in the repository, with the changed refs on stdin."""
    root = Path(sys.argv[1])
    prepare_process()
    remember(root, os.getpid())
    host = Host(root)
    host.console.line_start = LINE_START
    name = Path.cwd().parent.name

    def receive_all() -> int:
        for line in sys.stdin:
            _, revision, ref = line.split()
            receive(host, name, revision, ref)
        return 0

    return guarded(host, receive_all)


def receive(host: Host, name: str, revision: str, ref: str) -> None:
    """Deploy a pushed ref, if it is the deploy branch; otherwise only warn, and accept it."""
    branch = branch_for(host, name, ref)
    if not valid(branch):
        warn(host, f"WARNING: Invalid branch name '{branch}' specified via deploy-branch setting.")
        warn(host, "For more details, please see the man page for 'git-check-ref-format.'")
    elif ref != f"refs/heads/{branch}":
        pushed = ref.removeprefix("refs/heads/")
        warn(host, f"WARNING: deploy did not complete, you must push to {branch}.")
        warn(host, f"for example, try 'git push <dokku> {pushed}:{branch}'")
    elif revision == ZERO:
        fail("fatal: invalid reference: " + ZERO)
    else:
        with exclusive_deploy(host, name, "git-hook"):
            git.announce_revision(host, name, revision)
            build_and_deploy(host, name, git.checkout(host.store.repo(name), revision))
            git.note_source(host, name, "git-push", revision)


def branch_for(host: Host, name: str, ref: str) -> str:
    """Return the deploy branch; where none is set, the first pushed one becomes it (0.22.1)."""
    branch = git.deploy_branch(host, host.app(name), default="")
    if branch:
        return branch
    if not ref.startswith("refs/heads/") or ref == "refs/heads/master":
        return "master"
    branch = ref.removeprefix("refs/heads/")
    warn(host, f"Set {branch} as deploy-branch")
    with host.store.edit_app(name) as app:
        app.properties["git.deploy-branch"] = branch
    return branch


def valid(branch: str) -> bool:
    """Tell whether git accepts this name for a branch."""
    check = ["git", "check-ref-format", "--branch", branch]
    return not subprocess.run(check, capture_output=True, check=False).returncode


def warn(host: Host, text: str) -> None:
    """Print one of the hook's own lines; they clear git's `remote: ` on a terminal."""
    host.console.line_start = LINE_CLEAR
    host.console.info1(text)
    host.console.line_start = LINE_START
