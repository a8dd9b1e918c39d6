"""Which way the code takes to the app: a push, an archive of the revision, or an image."""

from __future__ import annotations

from ci_deploy.errors import Refused
from ci_deploy.tools.archive import by_archive
from ci_deploy.tools.dokku.code import Code
from ci_deploy.tools.dokku.provider import DokkuApp
from ci_deploy.tools.dokku.push import Push
from ci_deploy.tools.dokku.upload import Archive, Image
from ci_deploy.tools.revision import SHA


def forward(app: DokkuApp) -> Code:
    """What the settings say."""
    return _image(app, app.settings.image) if app.settings.image else _source(app)


def back(app: DokkuApp, revision: str) -> Code:
    """As the revision was deployed before. Raises Refused when its image is not known."""
    found = [each for each in app.state.deployments if each["revision"] == revision]
    was = found[0].get("as", "") if found else ""
    if was and not SHA.fullmatch(was):
        return _image(app, was)
    if not found and app.state.source == "docker-image":
        message = f"it is not known from which image {revision[:7]} was deployed."
        raise Refused(message, hint="Deploy that image: DOKKU_IMAGE names it.")
    return _source(app, going_back=True)


def _image(app: DokkuApp, name: str) -> Code:
    shared = (app.ctx, app.server, app.state, app.reported)
    return Image(*shared, image=name, force=app.settings.force_push)


def _source(app: DokkuApp, *, going_back: bool = False) -> Code:
    ctx, wanted = app.ctx, app.settings
    shared = (ctx, app.server, app.state, app.reported)
    force = wanted.force_push or ctx.review is not None  # its branch may be rebased
    if by_archive(ctx, wanted.method):
        return Archive(*shared, folder=ctx.settings.app_dir, force=force)
    return Push(*shared, branch=app.branch, force=force, going_back=going_back)
