"""Compose's settings, and a small class that is loaded in place of the layer until it is known that
the layer takes part (`layers.load`)."""

from __future__ import annotations

from typing import Any, ClassVar

from ci_deploy.layers.providers.base import Provider
from ci_deploy.layers.providers.docker.settings import HostSettings
from ci_deploy.settings import setting, settings


@settings
class ComposeSettings(HostSettings):
    """Settings of an app on Docker Compose."""

    project: str = setting(
        "COMPOSE_PROJECT_NAME",
        "Name of the Compose project; another name means new, empty volumes",
        default="",
        default_help="the name Compose uses in DEPLOY_PATH: `name:` of the compose file, else the "
        "directory's name",
        pattern=r"[a-z0-9][a-z0-9_-]*",
    )
    batch: int = setting(
        "COMPOSE_BATCH",
        "How many hosts are switched at the same time",
        default=0,
        default_help="the first alone, then all others",
    )
    steady: int = setting(
        "COMPOSE_STEADY_TIME",
        "Seconds that a container without a healthcheck must run without restarting before it "
        "counts as verified",
        default=10,
    )
    check_url: str = setting(
        "COMPOSE_CHECK_URL",
        "URL that each host requests itself; it must answer with 2xx before a release "
        "counts as verified",
        default="",
        example="http://localhost:8080/health",
        pattern=r"https?://[\w.:\[\]-]+(/[^\s\"'\\]*)?",
    )
    min_free: int = setting(
        "COMPOSE_MIN_FREE",
        "Megabytes that must be free on each host, in DEPLOY_PATH and in Docker's data directory, "
        "before images are pulled for a new release",
        default=500,
    )


class AboutCompose(Provider[ComposeSettings]):
    """Docker Compose on one or several hosts, over ssh."""

    name = "compose"
    loads = "ci_deploy.layers.providers.compose.layer:Compose"
    Settings: ClassVar[type[Any]] = ComposeSettings
    trigger = "SERVER_HOST"
    unless = "STACK_NAME"  # with it, the hosts are managers of a swarm
