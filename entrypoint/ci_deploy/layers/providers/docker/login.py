"""The login to the image registry."""

from __future__ import annotations

import re
from typing import NamedTuple

from ci_deploy.layers.providers.docker.settings import HostSettings
from ci_deploy.run.context import Context

# The names of Docker Hub, for which `docker login` needs no registry.
HUB = re.compile(r"(index\.|registry-1\.|registry\.hub\.|hub\.)?docker\.(io|com)")


class Login(NamedTuple):
    """The registry of the images, and the login to it; made by `login`. Without a login `user` and
    `password` are empty; `registry` may be set even so."""

    registry: str = ""  # the prefix of image names
    user: str = ""
    password: str = ""

    @property
    def host(self) -> str:
        """The host (and port) to log in to, without the path in `registry`; empty for Docker
        Hub."""
        host = self.registry.partition("/")[0]
        return "" if HUB.fullmatch(host) else host


def image_prefix(text: str) -> str:
    """The prefix of image names for a registry as people write it:
    `https://registry.example.com/v2/` → `registry.example.com`."""
    prefix = re.sub(r"^https?://", "", text).rstrip("/")
    return re.sub(r"/v[12]$", "", prefix)


def on_one_line(password: str) -> str:
    """The password as it is sent to a host. The line breaks of a JSON key (of Google's registry)
    mean nothing, so it is joined to one line."""
    return " ".join(password.splitlines()) if password.lstrip().startswith("{") else password


def login(ctx: Context, settings: HostSettings) -> Login:
    """The login of DOCKER_USER and DOCKER_PASS; without DOCKER_USER, on GitLab the job's login to
    the project's registry, unless DOCKER_REGISTRY names another one. The password is hidden from
    the log."""
    given = image_prefix(settings.registry)
    if settings.registry_user:
        password = on_one_line(settings.registry_password)
        ctx.redactor.add(password)
        return Login(given, settings.registry_user, password)
    environ = ctx.environ
    registry, password = environ.get("CI_REGISTRY", ""), environ.get("CI_REGISTRY_PASSWORD", "")
    if not (registry and password) or given.partition("/")[0] not in {"", registry}:
        return Login(given)
    ctx.redactor.add(password)
    return Login(given or registry, environ.get("CI_REGISTRY_USER", ""), password)
