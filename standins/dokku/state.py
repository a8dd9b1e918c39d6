"""What the stand-in remembers: one directory, JSON files, a lock for each.

Every remote command is a process of its own, so nothing is kept in memory: a change is made
inside `edit_…()`, which holds a lock, reads the newest state and replaces the file at once.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .model import App, Globals, Process, Release, Service, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def read_json(path: Path) -> dict[str, Any]:
    """Return the file's content; nothing when there is no such file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def write_json(path: Path, value: object) -> None:
    """Replace the file in one step: readers see the old or the new content."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value, indent=1), encoding="utf-8")
    draft.replace(path)


def remove_tree(path: Path) -> None:
    """Remove a directory, as far as nobody still writes into it."""
    import shutil  # takes long to import, and few commands need it

    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to this file."""
    with path.with_name(f"{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _app(raw: dict[str, Any]) -> App:
    for key in ("built", "live"):
        raw[key] = raw[key] and Release(**raw[key])
    raw["front"] = raw["front"] and Process(**raw["front"])
    raw["processes"] = [Process(**process) for process in raw["processes"]]
    return App(**raw)


class Store:
    """The state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def app_dir(self, name: str) -> Path:
        """Return where the app's state, releases and logs are."""
        return self.root / "apps" / name

    def repo(self, name: str) -> Path:
        """Return the app's bare repository (a real Dokku's `/home/dokku/<app>`)."""
        return self.app_dir(name) / "repo"

    def builds(self, name: str) -> Path:
        """Return where the app's build records are."""
        return self.root / "builds" / name

    def deploy_lock(self, name: str) -> Path:
        """Return the app's deploy lock file."""
        return self.app_dir(name) / ".deploy.lock"

    def settings(self) -> Settings:
        """Return the settings as they are now."""
        return Settings(**read_json(self.root / "settings.json"))

    def write_settings(self, settings: Settings) -> None:
        """Replace the settings."""
        write_json(self.root / "settings.json", asdict(settings))

    def app_names(self) -> list[str]:
        """Return all apps, sorted."""
        names = (path.parent.name for path in self.root.glob("apps/*/app.json"))
        return sorted(name for name in names if not name.startswith("."))

    def app(self, name: str) -> App | None:
        """Return an app as it is now."""
        raw = read_json(self.app_dir(name) / "app.json")
        return _app(raw) if raw else None

    def create_app(self, app: App, init_repo: Callable[[Path], None]) -> bool:
        """Create an app, complete or not at all; False when there is one of that name."""
        draft = self.root / "apps" / f".{app.name}.{os.getpid()}"
        for name in ("releases", "logs"):
            (draft / name).mkdir(parents=True)
        write_json(draft / "app.json", asdict(app))
        init_repo(draft / "repo")
        try:
            draft.rename(self.app_dir(app.name))
        except OSError:
            remove_tree(draft)
            return False
        return True

    @contextmanager
    def edit_app(self, name: str) -> Iterator[App]:
        """Change an app; nobody else changes it meanwhile."""
        path = self.app_dir(name) / "app.json"
        with locked(path):
            raw = read_json(path)
            if not raw:
                raise FileNotFoundError(path)
            app = _app(raw)
            yield app
            write_json(path, asdict(app))

    def remove_app(self, name: str) -> None:
        """Forget an app."""
        remove_tree(self.app_dir(name))
        remove_tree(self.builds(name))

    def globals(self) -> Globals:
        """Return what is set with `--global`."""
        return Globals(**read_json(self.root / "global.json"))

    @contextmanager
    def edit_globals(self) -> Iterator[Globals]:
        """Change what is set with `--global`."""
        path = self.root / "global.json"
        with locked(path):
            value = self.globals()
            yield value
            write_json(path, asdict(value))

    def services(self, kind: str) -> list[Service]:
        """Return all services of a type, sorted by name."""
        paths = sorted((self.root / "services").glob(f"{kind}.*.json"))
        return [Service(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]

    def create_service(self, service: Service) -> bool:
        """Create a service; False when there is one of that name."""
        path = self._service_path(service)
        with locked(path):
            if path.exists():
                return False
            write_json(path, asdict(service))
        return True

    @contextmanager
    def edit_service(self, service: Service) -> Iterator[Service]:
        """Change a service; nobody else changes it meanwhile."""
        path = self._service_path(service)
        with locked(path):
            fresh = Service(**read_json(path))
            yield fresh
            write_json(path, asdict(fresh))

    def remove_service(self, service: Service) -> None:
        """Forget a service."""
        self._service_path(service).unlink()

    def _service_path(self, service: Service) -> Path:
        return self.root / "services" / f"{service.type}.{service.name}.json"
