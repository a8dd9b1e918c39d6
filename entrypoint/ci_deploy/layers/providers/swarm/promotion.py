"""`promote`: finds out which verified release another stack runs, and its images. The layer's
`connect` then pins their digests in the stack file."""

from __future__ import annotations

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.promotion import Source
from ci_deploy.layers.providers.methods import need_source, need_verified, take_revision
from ci_deploy.layers.providers.swarm import records
from ci_deploy.layers.providers.swarm.judge import live
from ci_deploy.layers.providers.swarm.manager import Manager
from ci_deploy.layers.providers.swarm.settings import SwarmSettings
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.net.ssh.server import server
from ci_deploy.run.context import Context


def look(ctx: Context, ssh: Ssh, settings: SwarmSettings, ours: Manager) -> Source:
    """Ask what PROMOTE_FROM runs; its revision becomes this run's. `ours` is the manager of the
    stack to deploy to. Raises Refused if the source's release is not verified, Locked if it is
    being deployed, SettingsError, Unreachable, Unauthorized, ToolMissing."""
    host, name = need_source(settings.promote_from)
    where = [server(host, user=ours.server.user)] if host else ours.all
    if name == ours.stack and where[0] in ours.all:
        raise SettingsError(Problem("PROMOTE_FROM", f"names {name}, to which this run deploys."))
    manager = Manager(ctx, ssh, where, "", lambda: name)
    stack = manager.choose()
    said = f"the stack {name} on {manager}"
    if not stack.services:
        raise SettingsError(Problem("PROMOTE_FROM", f"there is no stack {name} on {manager}."))
    verified = records.verified(stack)
    now = live(stack, verified)
    need_verified(now, said, stack.holder or "another job")
    tag = next((e.label("tag") for e in verified if e.label("release") == now.release), "")
    images = {each.name: each.image for each in stack.services.values()}
    source = Source(said, now.release, tag, now.revision, images)
    take_revision(ctx, source.revision, source.name)
    return source
