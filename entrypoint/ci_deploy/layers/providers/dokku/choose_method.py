"""Chooses the deploy method: a push, an archive of the revision, or an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_deploy.errors import Refused
from ci_deploy.git.revision import SHA, unfetched
from ci_deploy.layers.providers.dokku.deploy_method import DeployMethod
from ci_deploy.layers.providers.dokku.provider import DokkuApp
from ci_deploy.layers.providers.dokku.push import Push
from ci_deploy.layers.providers.dokku.upload import Archive, Image
from ci_deploy.layers.providers.methods import by_archive


def forward(app: DokkuApp) -> DeployMethod:
    """The deployment of this run's revision by the method that the settings ask for: the image of
    `promote` or DOKKU_IMAGE, else DEPLOY_METHOD. Raises SettingsError for a push that is
    impossible."""
    if image := app.promoted or app.settings.image:
        return _image(app, image, app.ctx.revision)
    archive = by_archive(app.ctx, app.settings.method)
    return _source(app, app.ctx.revision, app.ctx.settings.app_dir, archive=archive)


def back(app: DokkuApp, revision: str, deployments: Sequence[Mapping[str, str]]) -> DeployMethod:
    """The deployment for a rollback to `revision`: by the method and of the folder with which it
    was deployed, as `deployments` (the recorded history, `State.deployments`) has them, else by the
    settings.

    Raises Refused when its image is not recorded, its commit cannot be fetched, or APP_DIR is not
    in it; SettingsError for a push that is impossible.
    """
    was = next((each for each in deployments if each["revision"] == revision), {})
    identity = was.get("as", "")
    if identity and not SHA.fullmatch(identity):
        return _image(app, identity, revision)
    if not was and app.state.method == Image.method:
        message = f"it is not recorded from which image {revision[:7]} was deployed."
        hint = f"Deploy that image instead: DOKKU_IMAGE=… and DEPLOY_REVISION={revision}."
        raise Refused(message, hint=hint)
    ctx, wanted = app.ctx, app.ctx.settings.app_dir
    if not ctx.repository.obtain(revision):
        why = unfetched(ctx.repository)
        message = f"the checkout lacks {revision[:7]}, which was deployed, and {why}."
        hint = (
            f"{ctx.ci.shallow_hint} If no branch contains the commit any more, or the job that "
            "deployed it had created it, run that pipeline again instead."
        )
        raise Refused(message, hint=hint)
    folder = was.get("dir", wanted)
    known = "dir" in was or not (folder and ctx.repository.has(revision))
    if not known and not ctx.repository.is_folder(revision, folder):
        message = f"{revision[:7]} has no directory {folder} (APP_DIR), and it is not recorded "
        hint = "Set APP_DIR to the directory that it was deployed from."
        raise Refused(f"{message}from which directory it was deployed.", hint=hint)
    method = was.get("way", Archive.method if identity else "")
    if method == Push.method and ctx.repository.can_deepen():
        archive = False
    else:
        archive = method == Archive.method or by_archive(ctx, app.settings.method)
    return _source(app, revision, folder, archive=archive, going_back=True)


def _image(app: DokkuApp, name: str, revision: str) -> DeployMethod:
    shared = (app.ctx, app.server, app.state, app.reported)
    return Image(*shared, revision=revision, image=name, force=app.settings.force_push)


def _source(
    app: DokkuApp, revision: str, folder: str, *, archive: bool, going_back: bool = False
) -> DeployMethod:
    ctx, wanted = app.ctx, app.settings
    shared = (ctx, app.server, app.state, app.reported)
    force = wanted.force_push or ctx.review is not None  # its branch may be rebased
    if archive:
        return Archive(*shared, revision=revision, folder=folder, force=force)
    return Push(
        *shared,
        revision=revision,
        branch=app.branch,
        folder=folder,
        force=force,
        going_back=going_back,
    )
