"""No CI at all: `docker run` or a developer's shell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ci_deploy import checkouts
from ci_deploy.ci.base import CI, CIContext


class Local(CI):
    """What git and the user's name tell."""

    name: ClassVar[str] = "local"
    title: ClassVar[str] = "your machine"
    colour: ClassVar[bool] = False

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> bool:  # noqa: ARG003
        return True

    def read(self, environ: Mapping[str, str]) -> CIContext:
        here = Path.cwd()
        return CIContext(
            ref=checkouts.branch(here),
            actor=environ.get("USER", ""),
            event="local",
            workspace=here,
        )
