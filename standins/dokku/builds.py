"""`builds:*`, new in 0.38: what is being deployed and what was (docs advanced-usage/builds.md)."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import versions
from .faults import connected
from .output import fail
from .parsing import parse
from .pids import start_time
from .registry import command
from .state import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .host import Host

RETENTION = 20
BUILD_SOURCES = (
    "git-hook",
    "git:from-archive",
    "git:from-image",
    "git:load-image",
    "git:sync",
    "ps:rebuild",
)
STATUSES = ("running", "succeeded", "failed", "canceled", "abandoned")


@dataclass
class Build:
    """A build record, as it is on disk; what is unknown yet is left out of the JSON."""

    id: str
    app: str
    kind: str
    pid: int
    started_at: str
    status: str
    source: str
    finished_at: str = ""
    exit_code: int | None = None

    def shown_status(self) -> str:
        """Return `abandoned` for a build that runs only on paper."""
        dead = self.status == "running" and not start_time(self.pid)
        return "abandoned" if dead else self.status

    def duration(self) -> str:
        """Return the time it took so far, as Go prints it."""
        end = datetime.fromisoformat(self.finished_at) if self.finished_at else _now()
        seconds = max(0, round((end - datetime.fromisoformat(self.started_at)).total_seconds()))
        minutes, seconds = divmod(seconds, 60)
        return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"

    def view(self, host: Host) -> dict[str, object]:
        """Return what `builds:list` and `builds:info` print as JSON."""
        found: dict[str, object] = {**asdict(self)}
        for key in ("finished_at", "exit_code"):
            if found[key] in ("", None):
                del found[key]
        log_path = str(host.store.builds(self.app) / f"{self.id}.log")
        extra = {"display_status": self.shown_status(), "duration": self.duration()}
        return {**found, **extra, "log_path": log_path}


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _time() -> str:
    return _now().isoformat().replace("+00:00", "Z")


def _identity() -> str:
    """Make a sortable id of 14 characters: the time, then noise, both in base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    number, text = time.time_ns() // 1_000_000, ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text.rjust(8, "0") + "".join(digits[byte % 36] for byte in os.urandom(6))


def _path(host: Host, app: str, identity: str) -> Path:
    return host.store.builds(app) / f"{identity}.json"


def _read(host: Host, app: str, identity: str) -> Build | None:
    raw = read_json(_path(host, app, identity))
    return Build(**raw) if raw else None


def _all(host: Host, app: str) -> list[Build]:
    names = sorted((path.stem for path in host.store.builds(app).glob("*.json")), reverse=True)
    return [build for name in names if (build := _read(host, app, name))]


def _write(host: Host, build: Build) -> None:
    write_json(_path(host, build.app, build.id), asdict(build))


def _finish(host: Host, build: Build, status: str, code: int) -> None:
    build.status, build.exit_code, build.finished_at = status, code, _time()
    _write(host, build)


@contextmanager
def recorded(host: Host, app: str, source: str) -> Iterator[str]:
    """Record a deploy and keep its output; the record of a killed one stays `running`."""
    if not host.since(versions.BUILDS):
        yield ""
        return
    host.store.builds(app).mkdir(parents=True, exist_ok=True)
    kind = "build" if source in BUILD_SOURCES else "deploy"
    build = Build(_identity(), app, kind, os.getpid(), _time(), "running", source)
    _write(host, build)
    host.console.copy_to(host.store.builds(app) / f"{build.id}.log")
    try:
        yield build.id
    except Exception:
        _finish(host, build, "failed", 1)
        raise
    _finish(host, build, "succeeded", 0)
    _prune(host, app)


def _prune(host: Host, app: str) -> None:
    finished = [build for build in _all(host, app) if build.status != "running"]
    for build in finished[RETENTION:]:
        for suffix in (".json", ".log"):
            _path(host, app, build.id).with_suffix(suffix).unlink(missing_ok=True)


@command("builds:list", since=versions.BUILDS)
def list_builds(host: Host, words: Sequence[str]) -> None:
    """Print the builds of an app, those that run first; without an app all that run."""
    names, options = parse(words, values=["--format", "--kind", "--status"])
    status = options.get("--status", "")
    if status and status not in STATUSES:
        fail(f'Invalid --status value "{status}" (allowed: {", ".join(STATUSES)})')
    apps = [host.app(names[0]).name] if names else host.store.app_names()
    wanted = status or ("" if names else "running")
    found = [
        build
        for app in apps
        for build in _all(host, app)
        if wanted in ("", build.shown_status()) and options.get("--kind", build.kind) == build.kind
    ]
    found.sort(key=lambda build: build.shown_status() != "running")
    if options.get("--format") == "json":
        views = [build.view(host) for build in found]
        host.console.plain(json.dumps(views, separators=(",", ":")))
        return
    if not found:
        fine = "No builds recorded for this app" if names else "No builds currently running"
        host.console.plain(fine)
    for build in found:
        facts = (build.id, build.kind, build.shown_status(), str(build.pid), build.source)
        host.console.plain("  ".join((*facts, build.started_at, build.duration())))


@command("builds:info", since=versions.BUILDS)
def info(host: Host, words: Sequence[str]) -> None:
    """Print one build."""
    names, options = parse(words, values=["--format"])
    app = host.first_app(names).name
    identity = names[1] if len(names) > 1 else fail("Please specify a build id")
    build = _read(host, app, identity)
    if build is None:
        fail(f"No build record found for {app}/{identity}")
    view = build.view(host)
    if options.get("--format") == "json":
        host.console.plain(json.dumps(view, separators=(",", ":")))
        return
    host.console.info2(f"Build {build.id}")
    for key, value in view.items():
        host.console.verbose(f"{key.replace('_', ' ').capitalize() + ':':12} {value}")


def _current(host: Host, app: str) -> str:
    """Return the id of the build that the lock file names; empty when there is none."""
    path = host.store.deploy_lock(app)
    if not path.exists():
        host.console.info1("App not currently deploying")
        return ""
    identity = path.read_text(encoding="utf-8").strip()
    if not identity:
        host.console.info1("No matching app deploy found")
    return identity


@command("builds:cancel", since=versions.BUILDS)
def cancel(host: Host, words: Sequence[str]) -> None:
    """Send `SIGQUIT` to the running build's process group; its lock goes with it."""
    app = host.first_app(words).name
    identity = _current(host, app)
    if not identity:
        return
    lock = host.store.deploy_lock(app)
    build = _read(host, app, identity)
    if build is None:
        host.console.info1(f"No build record for {identity}, removing stale lock file")
        lock.unlink(missing_ok=True)
    elif build.status != "running":
        host.console.info1(
            f"Build {identity} is no longer running (status={build.status}); "
            "leaving record untouched"
        )
    elif build.shown_status() == "abandoned":
        host.console.info1("Build was already terminated, marking failed")
        _finish(host, build, "failed", -1)
        lock.unlink(missing_ok=True)
    else:
        host.console.info1("Killing app deploy")
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(build.pid), signal.SIGQUIT)
        _finish(host, build, "canceled", -1)
        lock.unlink(missing_ok=True)


@command("builds:output", since=versions.BUILDS)
def output(host: Host, words: Sequence[str]) -> None:
    """Print a build's log; that of a running one is followed and, like `tail -f`, never ends."""
    names, _ = parse(words)
    app = host.first_app(names).name
    identity = names[1] if len(names) > 1 else "current"
    identity = _current(host, app) if identity == "current" else identity
    if not identity:
        return
    build = _read(host, app, identity)
    if build is None:
        fail(f"no such build {identity} for app {app}")
    follow = build.shown_status() == "running"
    with _path(host, app, identity).with_suffix(".log").open(encoding="utf-8") as log:
        while True:
            sys.stdout.write(log.read())
            sys.stdout.flush()
            if not follow or not connected():
                return
            time.sleep(0.05)
