"""The commands around a release, in Dokku's order (docs advanced-usage/deployment-tasks.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import versions
from .output import fail
from .processes import shell
from .procfile import AppJson, read_app_json, read_procfile

if TYPE_CHECKING:
    from .host import Host
    from .model import App, Release


def environ(host: Host, app: App, directory: str, dyno: str, port: str = "") -> dict[str, str]:
    """Return what a container of the app sees: its config, not the server's environment."""
    # our own first: a `python3` of pyenv or asdf is a script of scripts, of 0.1 s
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    base = {"PATH": path, "HOME": directory, "LANG": "C.UTF-8"}
    config = {**host.store.globals().config, **app.config}
    return {**base, **config, "DYNO": dyno, **({"PORT": port} if port else {})}


def procfile(host: Host, app: App, directory: str) -> dict[str, str]:
    """Return the app's process types."""
    path = host.property(app, "ps.procfile-path") or "Procfile"
    return read_procfile(Path(directory, path.strip("/")))


def app_json(host: Host, app: App, directory: str) -> AppJson:
    """Return the app's `app.json`."""
    path = host.property(app, "app-json.appjson-path") or "app.json"
    return read_app_json(Path(directory, path.strip("/")))


def run_release_tasks(host: Host, app: App, release: Release) -> None:
    """Run what comes before any new process: `predeploy`, `release`, the first `postdeploy`.

    The mark for the last one is set before it runs, so that it never runs twice.
    """
    scripts = app_json(host, app, release.directory)
    release_command = procfile(host, app, release.directory).get("release", "")
    run_task(host, app, release, "predeploy", scripts.predeploy)
    run_task(host, app, release, "release", release_command, source="Procfile")
    if app.live or app.seeded:
        return
    with host.store.edit_app(app.name) as change:
        change.seeded = True
    run_task(host, app, release, "first deploy postdeploy", scripts.first_postdeploy)


def run_task(
    host: Host, app: App, release: Release, phase: str, command: str, *, source: str = "app.json"
) -> None:
    """Run one task and show its output afterwards; a failing one fails the deploy.

    Before 0.35.4 it only ended the deploy: the push was accepted all the same.
    """
    host.console.info1(f"Checking for {phase} task")
    if not command:
        host.console.verbose(f"No {phase} task found, skipping")
        return
    host.console.info1(f"Executing {phase} task from {source}: {command}")
    done = subprocess.run(
        [shell(), "-c", command],
        cwd=release.directory,
        env=environ(host, app, release.directory, f"{phase.split()[-1]}.1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    text = done.stdout.decode(errors="surrogateescape")
    host.console.block(f"{app.name} {phase} task ({os.urandom(5).hex()[:9]})", text)
    if done.returncode:
        strict = host.since(versions.FAILING_TASK_FAILS_DEPLOY)
        fail(f"Execution of {phase} task failed: {command}", 1 if strict else 0)
