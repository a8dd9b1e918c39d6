"""What a test may ask about an app on the stand-in, without going through ssh."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from . import processes

if TYPE_CHECKING:
    from pathlib import Path

    from .model import App, Release
    from .state import Store


class AppView:
    """One app, as it is at the moment of each question."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name

    @property
    def exists(self) -> bool:
        """Tell whether there is such an app."""
        return self._store.app(self.name) is not None

    @property
    def state(self) -> App:
        """Return all that is known; an app that does not exist is an error."""
        app = self._store.app(self.name)
        if app is None:
            raise LookupError(self.name)
        return app

    @property
    def config(self) -> dict[str, str]:
        """Return the app's config."""
        return self.state.config

    @property
    def port(self) -> int:
        """Return the public port; 0 before the first deploy."""
        front = self.state.front
        return front.port if front else 0

    @property
    def url(self) -> str:
        """Return the public address on this machine, which never changes."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def live(self) -> Release | None:
        """Return the release that is live."""
        return self.state.live

    @property
    def running_revision(self) -> str:
        """Return the revision of the release that is live; empty before the first deploy."""
        live = self.state.live
        return live.revision if live else ""

    @property
    def releases(self) -> int:
        """Return how many builds were begun."""
        return self.state.releases

    @property
    def running(self) -> dict[str, int]:
        """Return the processes that run now: their names and process ids."""
        found = self.state.processes
        return {each.name: each.pid for each in found if processes.alive(each)}

    def crash(self, process: str = "web.1", shown: str = "running") -> None:
        """Let a process crash again and again: each look finds it restarted, in this state."""
        with self._store.edit_app(self.name) as change:
            change.crashing[process] = shown

    @property
    def locked(self) -> bool:
        """Tell whether the deploy lock's file is there."""
        return self._store.deploy_lock(self.name).exists()

    @property
    def repo(self) -> Path:
        """Return the bare repository."""
        return self._store.repo(self.name)

    @property
    def branches(self) -> dict[str, str]:
        """Return the branches of the repository and their revisions."""
        shown = subprocess.run(
            [
                "git",
                "--git-dir",
                self.repo,
                "for-each-ref",
                "--format=%(refname:short) %(objectname)",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return dict(line.split() for line in shown.stdout.splitlines())

    @property
    def builds(self) -> list[dict[str, Any]]:
        """Return the build records, the oldest first."""
        paths = sorted(self._store.builds(self.name).glob("*.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def log(self, process: str = "web.1") -> str:
        """Return what a running process wrote."""
        for each in self.state.processes:
            if each.name == process:
                path = self._store.app_dir(self.name) / "logs" / f"{process}.{each.release}.log"
                return path.read_text(encoding="utf-8", errors="surrogateescape")
        raise LookupError(process)
