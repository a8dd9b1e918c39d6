"""Where the images of a release come from: a registry, or DEPLOY_IMAGE_ARCHIVE."""

from __future__ import annotations

from collections.abc import Iterable

from ci_deploy.errors import Problem
from ci_deploy.layers.providers.docker.model import Model


class Images:
    """All are pulled: the hosts do that."""

    @property
    def covers(self) -> bool:
        """Whether there is any that the hosts are sent."""
        return False

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the archives."""
        return ()

    def assign(self, model: Model) -> None:
        """Which service gets which image. Raises SettingsError, with all that does not fit."""

    def parts(self) -> dict[str, bytes]:
        """What a release has to say of it."""
        return {}

    def look(self) -> None:
        """What each host lacks, which it is told. Raises SettingsError for an image of another
        platform, DeployFailed where there is no room for it."""

    def send(self) -> None:
        """Bring every host what it lacks; nothing of the app is touched by that. Raises
        DeployFailed, Unreachable."""
