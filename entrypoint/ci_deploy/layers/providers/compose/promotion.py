"""`promote`: the images that another environment runs, verified, are deployed here by their
digests. Nothing is built, and no tag is pulled: a tag may have moved meanwhile. The compose files
are those of the same revision, with this environment's own configuration."""

from __future__ import annotations

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.compose.facts import HostFacts
from ci_deploy.layers.providers.compose.hosts import Hosts
from ci_deploy.layers.providers.docker.model import Model
from ci_deploy.layers.providers.docker.promotion import Source, chosen
from ci_deploy.layers.providers.methods import Place, need_verified, take_revision
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.net.ssh.server import Server, server
from ci_deploy.run.context import Context


def look(ctx: Context, ssh: Ssh, where: Place, first: Server) -> Source:
    """Ask what the source of the promotion runs, and make its revision this run's. `where` is
    PROMOTE_FROM, `first` this app's first host. The source is the app of the same name in that
    directory, or the only one. Raises SettingsError if there is none or its commit is unknown,
    Refused if its release is not verified, Locked if it is being deployed, Unreachable."""
    host = server(where.host, user=first.user) if where.host else first
    hosts = Hosts(ssh, ctx.runner, [host], where.path)
    if host != first:
        hosts.open()
    hosts.ready()
    hosts.probe(ctx.app, "", {}, version=False)
    app = ctx.app
    if app not in (apps := list(hosts.first.facts.apps)):
        if len(apps) != 1:
            listed = f"it has {', '.join(apps)}" if apps else "it has no app"
            reason = f"{where.path} on {host} has no app {app}; {listed}."
            remedy = "Set it to the DEPLOY_PATH of the environment to promote from"
            remedy += ", or give both the same APP_NAME." if apps else ", and deploy there first."
            raise SettingsError(Problem("PROMOTE_FROM", reason, "", remedy))
        [app] = apps
        hosts.probe(app, "", {}, version=False)
    source = _verified(hosts.first.facts, app, f"{app} in {where.path} on {host}")
    take_revision(ctx, source.revision, source.name)
    return source


def _verified(facts: HostFacts, app: str, name: str) -> Source:
    live = facts.live(app)
    need_verified(live, name, facts.holder)
    tag = str(facts.releases[live.release].facts.get("tag", ""))
    images = {image.service: image.pinned for image in facts.images}
    return Source(name, live.release, tag, live.revision, images)


def pins(ctx: Context, source: Source, model: Model) -> bytes:
    """A file for the hosts with a line `NAME IMAGE` for each service whose image comes from the
    source. Raises SettingsError for a service that the source does not run with a digest."""
    found = chosen(ctx, source, model)
    return "".join(f"{name} {image}\n" for name, image in found.items()).encode()
