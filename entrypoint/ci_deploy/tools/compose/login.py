"""Who logs in at which registry."""

from __future__ import annotations

from dataclasses import dataclass

from ci_deploy.context import Context
from ci_deploy.tools.compose.settings import ComposeSettings


@dataclass(frozen=True)
class Login:
    """Registry, user and password; all empty for none."""

    registry: str = ""
    user: str = ""
    password: str = ""


def login(ctx: Context, wanted: ComposeSettings) -> Login:
    """What was given, or on GitLab the project's own registry."""
    if wanted.registry_user:
        return Login(wanted.registry, wanted.registry_user, wanted.registry_password)
    environ = ctx.environ
    registry, password = environ.get("CI_REGISTRY", ""), environ.get("CI_REGISTRY_PASSWORD", "")
    if not (registry and password) or wanted.registry not in {"", registry}:
        return Login(wanted.registry)
    ctx.redactor.add(password)
    return Login(registry, environ.get("CI_REGISTRY_USER", ""), password)
