"""The source of a release's images: a registry, or DEPLOY_IMAGE_ARCHIVE."""

from __future__ import annotations

from collections.abc import Iterable

from ci_deploy.errors import Problem
from ci_deploy.layers.providers.docker.model import Model


class Images:
    """Where the hosts get a release's images from: here a registry, from which they pull, so all
    methods do nothing. The subclass `Archives` sends the images of DEPLOY_IMAGE_ARCHIVE."""

    @property
    def covers(self) -> bool:
        """Whether the image of at least one service is sent to the hosts; known after `assign`."""
        return False

    def problems(self) -> Iterable[Problem]:
        """Problems of the archives: unreadable, not of images, without names. Reads the archives,
        so it comes before `assign`."""
        return ()

    def assign(self, model: Model) -> None:
        """Find the image of each service in the archives. Raises SettingsError with all problems:
        an image that is missing in them, or one that no service would get."""

    def parts(self) -> dict[str, bytes]:
        """The files that the release needs for images that are sent: path → bytes; empty for a
        registry."""
        return {}

    def look(self) -> None:
        """Ask each host which layers it lacks, and log that. Raises SettingsError for an image of
        another platform, DeployFailed when there is too little space, Unreachable."""

    def send(self) -> None:
        """Send every host the images that it lacks, as `look` has found; no container is touched.
        Raises DeployFailed when a host cannot load them or the time is over, Unreachable."""
