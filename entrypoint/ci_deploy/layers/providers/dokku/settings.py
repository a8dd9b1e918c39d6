"""Dokku's settings, and a small class that is loaded in place of the layer until it is known that
the layer takes part (`layers.load`)."""

from __future__ import annotations

import hashlib
import re
from typing import Any, ClassVar, NamedTuple

from ci_deploy.layers.providers.base import Provider
from ci_deploy.layers.providers.methods import GitSettings, PromotionSettings
from ci_deploy.net.ssh.client import SshSettings
from ci_deploy.net.ssh.server import Server, server
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import branch, words

NAME_LIMIT = 50  # characters; the container is dokku.TYPE.NAME, and a DNS label has at most 63


class Service(NamedTuple):
    """A service that the app needs: `redis:7=cache` is type, version and name."""

    kind: str
    version: str = ""
    given: str = ""

    def name(self, app: str, *, own: bool = False) -> str:
        """The given name, or `<app>-<type>`. With `own` the latter always: a review app must not
        share a service that is named in DOKKU_SERVICES."""
        if self.given and not own:
            return self.given
        return service_name(app, self.kind)


def service_name(app: str, kind: str) -> str:
    """`hello`, `postgres` → `hello-postgres`. If the app's name is too long, or has a dot, which a
    service's name cannot have, a digest keeps it apart from other apps' services."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", app)
    if name != app or len(name) > NAME_LIMIT - len(kind) - 1:
        digest = hashlib.sha256(app.encode()).hexdigest()[:6]
        name = f"{name[: NAME_LIMIT - len(kind) - 8]}-{digest}"
    return f"{name}-{kind}"


def services(text: str) -> tuple[Service, ...]:
    """Parse `postgres redis:7 mysql=main`. Raises ValueError."""
    found = []
    for word in words(text):
        match = re.fullmatch(
            r"(?P<kind>[a-z][a-z0-9-]*)(?::(?P<version>[\w.-]+))?(?:=(?P<name>[A-Za-z0-9_-]+))?",
            word,
        )
        if not match:
            message = f"`{word}` is not `type`, with a version and a name if needed: `redis:7=x`."
            raise ValueError(message)
        found.append(Service(match["kind"], match["version"] or "", match["name"] or ""))
    return tuple(found)


@settings
class DokkuSettings(SshSettings, GitSettings, PromotionSettings):
    """Settings of the Dokku server and of the app on it."""

    host: Server = setting(
        "DOKKU_HOST",
        "The Dokku server: `host`, `user@host:port` or `ssh://…`",
        example="dokku@dokku.example.com",
        parse=lambda text: server(text, user="dokku"),
    )
    deploy_branch: str = setting(
        "DOKKU_DEPLOY_BRANCH",
        "The branch that Dokku deploys",
        default="",
        default_help="the app's `deploy-branch` on the server",
        parse=branch,
    )
    create_app: bool = setting(
        "DOKKU_CREATE_APP", "Create the app when it does not exist", default=False
    )
    services: tuple[Service, ...] = setting(
        "DOKKU_SERVICES",
        "Services to create and link when missing: `type[:version][=name]`",
        default=(),
        example="postgres redis:7",
        parse=services,
    )
    image: str = setting(
        "DOKKU_IMAGE",
        "Deploy this image instead of code, preferably by digest",
        default="",
        example="registry.example.com/hello@sha256:…",
        pattern=r"[\w][\w./:@-]*",
    )


class AboutDokku(Provider[DokkuSettings]):
    """Dokku, the app platform on the user's own server."""

    name = "dokku"
    loads = "ci_deploy.layers.providers.dokku.layer:Dokku"
    Settings: ClassVar[type[Any]] = DokkuSettings
    trigger = "DOKKU_HOST"
