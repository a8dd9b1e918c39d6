"""What every command gets: the state, the version, the console and the rules for app names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import versions
from .model import App, Settings
from .output import Console, fail
from .state import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

APP_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
APP_NAME_RULE = (
    "App name must begin with lowercase alphanumeric character, "
    "and may only contain lowercase alphanumerics, dots, and hyphens"
)


class Host:
    """The Dokku server, as one command sees it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root)
        self.settings: Settings = self.store.settings()
        self.version = versions.parse(self.settings.version)
        self.console = Console()
        self.command = ""
        self.force = False

    def since(self, version: versions.Version) -> bool:
        """Tell whether the server is at least of this version."""
        return self.version >= version

    def check_name(self, name: str) -> None:
        """Fail for what cannot be an app's name (docs deployment/application-management.md)."""
        if not name:
            fail("Please specify an app to run the command on")
        if not APP_NAME.fullmatch(name):
            fail(APP_NAME_RULE)

    def app(self, name: str) -> App:
        """Return an existing app; the exit code for a missing one is 20 since 0.24."""
        self.check_name(name)
        app = self.store.app(name)
        if app is None:
            code = 20 if self.since(versions.MISSING_APP_EXITS_20) else 1
            fail(f"App {name} does not exist", code)
        return app

    def first_app(self, words: Sequence[str]) -> App:
        """Return the app that the command's first argument names."""
        return self.app(words[0] if words else "")

    def property(self, app: App, name: str) -> str:
        """Return a property's computed value: the app's, else the global one."""
        return app.properties.get(name) or self.store.globals().properties.get(name, "")
