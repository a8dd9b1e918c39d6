"""What Heroku does: builds, releases, boots. Whatever takes its time happens in a thread."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from standins.heroku.model import (
    Addon,
    App,
    Behaviour,
    Build,
    Dyno,
    Pipeline,
    Release,
    Scale,
    Slug,
    Stream,
    Transfer,
    timestamp,
)

NAME = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
HOOK = """#!/bin/sh
exec {python} -I -S {script} {host} {port} /_hook/{app}
"""


class Platform:
    """All apps, and what happens to them."""

    def __init__(self, folder: Path, account: str) -> None:
        self.folder = folder
        self.account = account
        self.base = ""  # the URL that clients are told
        self.own = ""  # that of the server itself, which its hooks use
        self.apps: dict[str, App] = {}
        self.pipelines: dict[str, Pipeline] = {}
        self.databases: dict[str, Addon] = {}
        self.transfers: list[Transfer] = []
        self.streams: dict[str, Stream] = {}
        self.lock = threading.RLock()
        self.ended = threading.Event()

    # --- apps ---

    def create_app(self, name: str, **facts: str) -> App:
        """A new app with its repository. Raises ValueError in Heroku's words."""
        if not NAME.fullmatch(name):
            message = "Name must start with a letter, end with a letter or digit and can only "
            message += "contain lowercase letters, digits, and dashes. Name is too long"
            raise ValueError(message)
        if name in self.apps:
            message = f"Name {name} is already taken"
            raise ValueError(message)
        app = App(name, self.account, **facts)  # type: ignore[arg-type]
        repository = self.folder / f"{name}.git"
        subprocess.run(["git", "init", "-q", "--bare", repository], check=True)
        subprocess.run(["git", "-C", repository, "config", "http.receivepack", "true"], check=True)
        hook = repository / "hooks/pre-receive"
        script = Path(__file__).with_name("hook.py")
        host, _, port = self.own.removeprefix("http://").partition(":")
        hook.write_text(
            HOOK.format(python=sys.executable, script=script, host=host, port=port, app=name)
        )
        hook.chmod(0o755)
        with self.lock:
            self.apps[name] = app
            self.release(app, "Initial release", None)
        return app

    def find(self, identity: str) -> App | None:
        """An app by its name or id."""
        with self.lock:
            named = self.apps.get(identity)
            return named or next((a for a in self.apps.values() if a.id == identity), None)

    def references(self, name: str) -> dict[str, str]:
        """The refs of an app's repository."""
        argv = ["git", "-C", str(self.folder / f"{name}.git"), "for-each-ref"]
        argv += ["--format=%(refname) %(objectname)"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}

    # --- builds ---

    def build(
        self, app: App, version: str, procfile: str, then: Callable[[Build], None] | None = None
    ) -> Build:
        """Begin a build; it ends in a release, or fails."""
        build = Build(version)
        self.streams[build.stream.id] = build.stream
        with self.lock:
            app.builds.append(build)
        how = replace(app.behaviour)
        self._thread(lambda: self._build(app, build, procfile, how, then))
        return build

    def _build(
        self,
        app: App,
        build: Build,
        procfile: str,
        how: Behaviour,
        then: Callable[[Build], None] | None,
    ) -> None:
        build.stream.write(*how.build_lines)
        self.ended.wait(how.build_seconds)
        if how.build_ends:
            how.build_ends.wait(60)
        if how.build == "fail":
            build.stream.write(*how.build_fails, " !     Push failed")
            build.status = "failed"
        else:
            commit = build.version if re.fullmatch(r"[0-9a-f]{40}", build.version) else ""
            build.slug = Slug(commit, processes(procfile))
            with self.lock:
                build.release = self.release(app, f"Deploy {build.version[:8]}", build.slug)
            if build.release.status == "pending":
                build.stream.write(
                    " !     Release command declared: this new release will not be available "
                    "until the command succeeds."
                )
            build.stream.write(f"       Released v{build.release.version}")
            build.status = "succeeded"
        build.stream.close()
        if then:
            then(build)

    # --- releases ---

    def release(
        self,
        app: App,
        description: str,
        slug: Slug | None,
        config: Mapping[str, str] | None = None,
    ) -> Release:
        """A new release; with a release phase it is pending for a while."""
        with self.lock:
            phase = "release" in (slug.process_types if slug else {})
            release = Release(
                version=len(app.releases) + 1,
                description=description,
                slug=slug,
                status="pending" if phase else "succeeded",
                config=dict(app.config if config is None else config),
                stream=Stream() if phase else None,
            )
            app.releases.append(release)
            if release.stream:
                self.streams[release.stream.id] = release.stream
                self._thread(lambda: self._phase(app, release))
            else:
                self._go_live(app, release)
            return release

    def _phase(self, app: App, release: Release) -> None:
        how, stream = app.behaviour, release.stream
        assert stream is not None
        end, lag, seconds, over = how.phase, how.lag, how.phase_seconds, how.phase_ends
        stream.write(*how.phase_lines)
        self.ended.wait(seconds)
        if over:
            over.wait(60)
        if end == "fail":
            stream.write("the release command failed")
        stream.close()
        self.ended.wait(lag)
        with self.lock:
            if end == "succeed":
                self._go_live(app, release)
            release.status = {"succeed": "succeeded", "fail": "failed", "expire": "expired"}[end]

    def _go_live(self, app: App, release: Release) -> None:
        for each in app.releases:
            each.current = False
        release.current = True
        app.config = dict(release.config)
        if release.slug:
            app.released_at = timestamp()
            self._scale(app, release.slug)
        self.restart(app)

    def _scale(self, app: App, slug: Slug) -> None:
        first = not app.formation
        for name, command in slug.process_types.items():
            if name == "release":
                continue
            quantity = int(first and name == "web")
            app.formation.setdefault(name, Scale(name, command, quantity)).command = command
        for name in set(app.formation) - set(slug.process_types):
            del app.formation[name]

    # --- dynos ---

    def restart(self, app: App, kind: str = "") -> None:
        """Start the wanted dynos anew; of one process type, or of all."""
        with self.lock:
            others = [d for d in app.dynos if d.type == "run" or (kind and d.type != kind)]
            fresh = []
            for scale in app.formation.values():
                if kind in {"", scale.type}:
                    for number in range(1, scale.quantity + 1):
                        name = f"{scale.type}.{number}"
                        fresh.append(self.dyno(app, name, scale.type, scale.command))
            app.dynos[:] = [*others, *fresh]

    def dyno(self, app: App, name: str, kind: str, command: str) -> Dyno:
        """A dyno that begins to boot."""
        how = app.behaviour
        boot = "up" if kind == "run" else how.boot
        return Dyno(
            name, kind, command, app.current, boot, ready=time.monotonic() + how.boot_seconds
        )

    def _thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()


def processes(procfile: str) -> dict[str, str]:
    """The process types of a Procfile."""
    pairs = (line.partition(":") for line in procfile.splitlines() if ":" in line)
    return {name.strip(): command.strip() for name, _, command in pairs}
