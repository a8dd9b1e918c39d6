"""Deploys by an archive of the revision, or by an image that CI has built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ci_deploy.errors import DeployFailed, ToolMissing
from ci_deploy.git.archive import write_archive
from ci_deploy.layers.providers.dokku import answers, ignored
from ci_deploy.layers.providers.dokku.app import State
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.server import DokkuServer, named
from ci_deploy.process.program import Result
from ci_deploy.run.context import Context
from ci_deploy.run.order import guard, order
from ci_deploy.state import Live

SINCE = (0, 24, 0)  # git:from-archive and git:from-image
PULLS_AGAIN = (0, 37, 5)  # git:from-image --force


class Upload(DeployMethod):
    """A deployment by an archive or an image, from which Dokku makes a commit of its own."""

    def prepare(self) -> None:
        """Check the order of the revisions, except for a rollback, and the server's version. Raises
        Refused, ToolMissing."""
        if self._ctx.command != "rollback":
            repository, live = self._ctx.repository, self._state.live.revision
            if self._ctx.settings.refuse_outdated:
                repository.can_deepen()
            found = order(repository, self.revision, live)
            guard(self._ctx, live, found, force=self._force, overwrites=False)
        if self._server.version and not self._server.at_least(*SINCE):
            message = f"{named(self._server.version)} cannot deploy an {self.method}."
            hint = "That needs Dokku 0.24."
            if self._ctx.command != "promote":
                hint += " Older versions take a push: DEPLOY_METHOD=push, without DOKKU_IMAGE."
            raise ToolMissing(message, hint=hint)

    def identity(self, state: State) -> str:
        """The server's name for what it has now by its new `state`: for an archive a commit, for an
        image the image. Raises DeployFailed when it reports none, or when that is not ours."""
        if not state.identity:
            message = "the server does not report which commit it deployed."
            hint = f"On the server, `dokku git:report {self._ctx.app}` shows what it records."
            raise DeployFailed(message, hint=hint)
        return state.identity

    def _needs_rebuild(self) -> bool:
        return self.said(answers.UNCHANGED)

    def _succeeded(self, result: Result) -> bool:
        return result.exit_code == 0 or self.said(answers.UNCHANGED)


class Archive(Upload):
    """Sends a tar archive of the folder to `git:from-archive`: with LFS files and submodules,
    without history."""

    method = "archive"
    _file = Path()
    _builds: frozenset[str] | None = None  # the builds before the last attempt

    def prepare(self) -> None:
        super().prepare()
        if not self.is_live():
            self._file = write_archive(
                self._ctx.repository, self._ctx.private_dir, self.revision, self.folder
            )
            ignored.keep(self._ctx, self._file)

    def identity(self, state: State) -> str:
        """Check that the live build is ours, since Dokku's own commit does not name the revision:
        no other build may have begun since. Raises DeployFailed."""
        if self._builds is not None and len(self._server.builds(self._ctx.app) - self._builds) > 1:
            message = (
                f"{self.revision[:7]} was deployed, but another build has begun since, so it is "
                "not known which one is live."
            )
            hint = "Let only one job at a time deploy an environment, then run this job again."
            raise DeployFailed(message, hint=hint)
        return super().identity(state)

    def _once(self) -> Result:
        app = self._ctx.app
        self._builds = None if self._ctx.planning else self._server.builds(app)
        return self._server.change(
            ["git:from-archive", app, "--archive-type", "tar", "--"],
            what=f"send an archive of {self.revision[:7]} to {app}",
            stdin=self._file,
            ok=None,
            watch=self.watch,
        )


class Image(Upload):
    """Deploys an image from a registry, which the server pulls, by `git:from-image`."""

    method = "image"

    def __init__(
        self,
        ctx: Context,
        server: DokkuServer,
        state: State,
        live: Callable[[], Live],
        *,
        revision: str,
        image: str,
        force: bool = False,
    ) -> None:
        super().__init__(ctx, server, state, live, revision=revision, force=force)
        self.image = image

    @property
    def pinned(self) -> bool:
        """Whether the image is named by a digest; a tag may be another image tomorrow."""
        return "@sha256:" in self.image

    @property
    def doubt(self) -> str:
        if self.pinned or self.revision[:7] in self.image:
            return ""
        pulls = self._server.at_least(*PULLS_AGAIN)
        advice = "REDEPLOY=true pulls it again" if pulls else "name the image by its digest"
        return f"{self.image} was not pulled again. If its tag has moved since, {advice}."

    @property
    def _same(self) -> bool:
        """Whether the server already has an image of this name."""
        return self._state.source == "docker-image" and self._state.identity == self.image

    def is_live(self) -> bool:
        unmoved = self.pinned or self._state.recorded == self.revision
        return self._same and unmoved and self._state.settled

    def is_there(self) -> bool:
        return self.is_live() and self.pinned

    def prepare(self) -> None:
        super().prepare()
        if self.pinned:
            return
        self._ctx.console.warning(
            f"{self.image} has no digest: its tag may point to another image later."
        )
        if self._same and not self._server.at_least(*PULLS_AGAIN):
            message = (
                f"{named(self._server.version)} does not pull a tag again that it already has."
            )
            hint = "Update Dokku to 0.37.5, or deploy by digest (DOKKU_IMAGE=NAME@sha256:…)."
            raise ToolMissing(message, hint=hint)

    def identity(self, state: State) -> str:
        if state.identity != self.image:
            found = state.identity or "no image"
            message = f"the server reports {found} as deployed instead of {self.image}."
            hint = "Let only one job at a time deploy an environment, then run this job again."
            raise DeployFailed(message, hint=hint)
        return state.identity

    def _once(self) -> Result:
        app = self._ctx.app
        force = [] if self.pinned or not self._server.at_least(*PULLS_AGAIN) else ["--force"]
        return self._server.change(
            ["git:from-image", app, self.image, *force],
            what=f"deploy the image {self.image} to {app}",
            ok=None,
            watch=self.watch,
        )
