"""The source of a release's images: a registry, or DEPLOY_IMAGE_ARCHIVE."""

from __future__ import annotations

from collections.abc import Iterable

from ci_deploy.errors import Problem
from ci_deploy.layers.providers.docker.model import Model


class Images:
    """All images come from a registry: the hosts pull them."""

    @property
    def covers(self) -> bool:
        """Whether any images are sent to the hosts."""
        return False

    def problems(self) -> Iterable[Problem]:
        """Problems of the archives that are to be sent."""
        return ()

    def assign(self, model: Model) -> None:
        """Assign images to services. Raises SettingsError with all mismatches."""

    def parts(self) -> dict[str, bytes]:
        """The files that the release needs for images that are sent: path → bytes."""
        return {}

    def look(self) -> None:
        """Find out and log what each host lacks. Raises SettingsError for an image of another
        platform, DeployFailed when there is too little space."""

    def send(self) -> None:
        """Send every host the images that it lacks; the app is not touched. Raises DeployFailed,
        Unreachable."""
