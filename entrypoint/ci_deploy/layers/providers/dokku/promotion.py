"""`promote`: the image that another app runs, verified, is deployed to this one by its digest.

Only an app that was deployed by image can be a source: what Dokku has built from code is in no
registry, and Dokku has no command that gives it to another app.
"""

from __future__ import annotations

from ci_deploy.errors import Problem, Refused, SettingsError
from ci_deploy.layers.providers.dokku.app import App
from ci_deploy.layers.providers.dokku.provider import DokkuApp
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.layers.providers.dokku.upload import Image
from ci_deploy.layers.providers.methods import need_source, need_verified, take_revision
from ci_deploy.net.ssh.server import server

BY_IMAGE = "Deploy the source app by image digest: DOKKU_IMAGE=registry.example.com/app@sha256:…"


def source_image(app: DokkuApp) -> str:
    """The image, with its digest, that the app of PROMOTE_FROM runs; its revision becomes this
    run's. Raises SettingsError for a source that is not named or does not exist, Refused for one
    that is not verified or was not deployed by digest, Locked, Unreachable, Unauthorized."""
    ctx = app.ctx
    host, name = need_source(app.settings.promote_from)
    where = server(host, user="dokku") if host else app.settings.host
    if where == app.settings.host and name == ctx.app:
        reason = f"names {name}, to which this run deploys."
        raise SettingsError(Problem("PROMOTE_FROM", reason, "", "Name another app."))
    if where != app.settings.host:
        app.ssh.open(where)
        app.ssh.ready(where)
    state, _ = App(DokkuServer(app.ssh, where, ctx.runner), ctx.redactor).survey(name, urls=False)
    said = f"{name} on {where}"
    if not state.exists:
        raise SettingsError(Problem("PROMOTE_FROM", f"there is no app {said}."))
    need_verified(state.live, said)
    if not state.settled:
        recorded = state.recorded[:7] or "nothing"
        message = (
            f"{said} runs {state.live.revision[:7]}, but Dokku records {recorded} as deployed."
        )
        raise Refused(
            message, hint="Only a verified release can be promoted: deploy it again first."
        )
    if state.method != Image.method:
        method = state.method or "an unknown method"
        raise Refused(f"{said} was not deployed by image, but by {method}.", hint=BY_IMAGE)
    if "@sha256:" not in state.identity:
        raise Refused(
            f"{said} was deployed by tag, not by digest: {state.identity}.", hint=BY_IMAGE
        )
    take_revision(ctx, state.live.revision, said)
    ctx.console.indent(f"verified: {said} runs {state.identity}")
    return state.identity
