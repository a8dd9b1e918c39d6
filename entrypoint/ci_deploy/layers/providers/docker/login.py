"""Who logs in at which registry."""

from __future__ import annotations

import re
from typing import NamedTuple

from ci_deploy.layers.providers.docker.settings import HostSettings
from ci_deploy.run.context import Context

# Under these names Docker Hub is known; logged in to without a name.
HUB = re.compile(r"(index\.|registry-1\.|registry\.hub\.|hub\.)?docker\.(io|com)")


class Login(NamedTuple):
    """Registry, user and password; all empty for none."""

    registry: str = ""  # as names of images begin with it
    user: str = ""
    password: str = ""

    @property
    def host(self) -> str:
        """Where to log in: a login is for a host, whatever path the images have there. Empty for
        Docker Hub."""
        host = self.registry.partition("/")[0]
        return "" if HUB.fullmatch(host) else host


def image_prefix(text: str) -> str:
    """A registry as people write it (an address, with a path), as names of images begin."""
    prefix = re.sub(r"^https?://", "", text).rstrip("/")
    return re.sub(r"/v[12]$", "", prefix)


def login(ctx: Context, settings: HostSettings) -> Login:
    """What was given, or on GitLab the project's own registry."""
    given = image_prefix(settings.registry)
    if settings.registry_user:
        return Login(given, settings.registry_user, settings.registry_password)
    environ = ctx.environ
    registry, password = environ.get("CI_REGISTRY", ""), environ.get("CI_REGISTRY_PASSWORD", "")
    if not (registry and password) or given.partition("/")[0] not in {"", registry}:
        return Login(given)
    ctx.redactor.add(password)
    return Login(given or registry, environ.get("CI_REGISTRY_USER", ""), password)
