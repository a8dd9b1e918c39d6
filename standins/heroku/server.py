"""Starts and ends the stand-in, and lets tests look into it."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from standins.heroku import (  # noqa: F401 - the routes register themselves
    certificates,
    routes_apps,
    routes_data,
    routes_pipelines,
    routes_releases,
)
from standins.heroku.faults import Fault, Faults
from standins.heroku.handler import Handler
from standins.heroku.model import Addon, App, Behaviour, Call, Pipeline, Release
from standins.heroku.platform import Platform
from standins.heroku.rendezvous import Rendezvous

KEY = "HRKU-5b1c7a0e-93d4-4f0a-8e6b-2d9f1c3a7e55"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are expected."""


class HerokuStandIn:
    """Heroku on 127.0.0.1: the Platform API, git, output streams and rendezvous."""

    def __init__(self, folder: Path, key: str = KEY, tls: Path | None = None) -> None:
        """`tls`: a folder for certificates that several stand-ins share."""
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key
        self.folder = folder
        self.faults_ = Faults()
        self.calls: list[Call] = []
        self.credentials: list[tuple[str, str]] = []  # that git clients have shown
        self.sources: dict[str, bytes] = {}
        self.uploads: dict[str, dict[str, str]] = {}  # build id → its files
        self.setups: dict[str, dict[str, Any]] = {}
        self.promotions: dict[str, list[tuple[App, Release | None, str]]] = {}
        self.behaviour_of_new_apps = Behaviour()
        self.page_size = 200
        self.requests_left = 4500
        self._strange: list[str] = []
        self.platform = Platform(folder / "git", "jane@example.com")
        self.platform.folder.mkdir(exist_ok=True)
        self.ca, context = certificates.make(tls or folder / "tls")
        self.rendezvous = Rendezvous(self.platform, context, folder / "dyno")
        handler = type("BoundHandler", (Handler,), {"stand_in": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = self.platform.base = self.platform.own = (
            f"http://127.0.0.1:{self._server.server_port}"
        )

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.platform.ended.set()
        self.rendezvous.close()
        self._server.shutdown()
        self._server.server_close()

    # --- for tests ---

    def settings(self, url: str = "") -> dict[str, str]:
        """What a run that deploys `hello` needs; `url`: of what stands in front of it."""
        return {
            "APP_NAME": "hello",
            "HEROKU_API_KEY": self.key,
            "HEROKU_API_URL": url or self.url,
            "HEROKU_DATA_URL": url or self.url,
            "HEROKU_GIT_URL": url or self.url,
            "HEROKU_BOOT_TIMEOUT": "3",
            "CA_BUNDLE": str(self.ca),
        }

    def create(self, name: str, **facts: str) -> App:
        """An app that is there already."""
        return self.platform.create_app(name, **facts)

    def pipeline(self, name: str, **stages: str) -> Pipeline:
        """A pipeline; stages: `staging="hello-staging"`."""
        found = Pipeline(name, {self.apps[app].id: stage for stage, app in stages.items()})
        self.platform.pipelines[found.id] = found
        return found

    def database(self, app: str, name: str = "DATABASE", *, payer: str = "") -> Addon:
        """A database, attached to an app."""
        number = len(self.platform.databases)
        made = Addon(f"postgresql-round-{number}", payer or app, attachments=[(app, name)])
        self.platform.databases[made.id] = made
        self.apps[app].config[f"{name}_URL"] = made.url
        return made

    @property
    def apps(self) -> dict[str, App]:
        """All apps by name."""
        return self.platform.apps

    def faults(self, *faults: Fault) -> None:
        """Let these things go wrong."""
        self.faults_.add(*faults)

    def note(self, call: Call) -> None:
        """A call has come."""
        self.calls.append(call)

    def strange(self, what: str) -> None:
        """Something that is not modelled was asked for."""
        self._strange.append(what)

    def unexpected(self) -> list[str]:
        """What fails the test."""
        return self._strange

    def writes(self, *but: str) -> list[str]:
        """`METHOD /path` of every call that changes something, git's own calls excepted."""
        return [
            call.name
            for call in self.calls
            if call.method != "GET" and ".git/" not in call.path and not call.path.startswith(but)
        ]

    def pushes(self) -> int:
        """How often something was pushed."""
        return sum(call.path.endswith("/git-receive-pack") for call in self.calls)
