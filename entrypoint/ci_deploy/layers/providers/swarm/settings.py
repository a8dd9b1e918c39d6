"""Swarm's settings, and a small class that is loaded in place of the layer until it is known that
the layer takes part (`layers.load`)."""

from __future__ import annotations

from typing import Any, ClassVar

from ci_deploy.layers.providers.base import Provider
from ci_deploy.layers.providers.docker.settings import HostSettings
from ci_deploy.settings import setting, settings


@settings
class SwarmSettings(HostSettings):
    """Settings of a stack on a Docker Swarm."""

    stack: str = setting(
        "STACK_NAME",
        "Name of the stack on a Docker Swarm; SERVER_HOST names its managers",
        default="",
        default_help="`APP_NAME`",
        pattern=r"[a-z0-9][a-z0-9_-]{0,40}",
        example="shop",
    )


class AboutSwarm(Provider[SwarmSettings]):
    """Stands for the swarm provider until it is known whether it takes part: by STACK_NAME."""

    name = "swarm"
    loads = "ci_deploy.layers.providers.swarm.layer:Swarm"
    Settings: ClassVar[type[Any]] = SwarmSettings
    trigger = "STACK_NAME"
