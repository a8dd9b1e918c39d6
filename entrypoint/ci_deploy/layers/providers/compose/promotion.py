"""`promote`: what another environment runs, proven there, comes here by the digests of its images.

Nothing is built, and no tag is pulled: who has moved it meanwhile has no say. The compose files are
those of the same revision, with this environment's own configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ci_deploy.errors import Locked, Problem, Refused, SettingsError
from ci_deploy.layers.providers.compose.facts import HostFacts
from ci_deploy.layers.providers.compose.hosts import Hosts
from ci_deploy.layers.providers.compose.settings import Place
from ci_deploy.layers.providers.docker.model import Model
from ci_deploy.net.ssh.client import Ssh
from ci_deploy.net.ssh.server import Server, server
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import NOTHING

NO_DIGEST = "-"  # of an image that was never pushed


class Source(NamedTuple):
    """What runs there; `images`: service → name with digest."""

    name: str = ""
    release: str = ""
    tag: str = ""
    revision: str = ""
    images: Mapping[str, str] = NOTHING


def wanted(given: Place | None) -> Place:
    """PROMOTE_FROM, which a promotion needs. Raises SettingsError."""
    if given is None:
        remedy = "Like `deploy@staging.example.com:/srv/app`, or a directory on SERVER_HOST."
        raise SettingsError(Problem("PROMOTE_FROM", "is required.", "", remedy, missing=True))
    return given


def look(ctx: Context, ssh: Ssh, where: Place, first: Server) -> Source:
    """Ask the source, whose revision becomes this run's. Raises Refused for what is not proven
    there, Locked, Unreachable, SettingsError."""
    host = server(where.host, user=first.user) if where.host else first
    hosts = Hosts(ssh, ctx.runner, [host], where.path)
    if host != first:
        hosts.open()
    hosts.ready()
    hosts.probe(ctx.app, "", {}, version=False)
    app = ctx.app
    if app not in (apps := list(hosts.first.facts.apps)):
        if len(apps) != 1:
            listed = f"these apps are there: {', '.join(apps)}" if apps else "no app is there"
            reason = f"{where.path} on {host} has no app {app}; {listed}."
            raise SettingsError(Problem("PROMOTE_FROM", reason))
        [app] = apps
        hosts.probe(app, "", {}, version=False)
    source = _proven(hosts.first.facts, app, f"{app} in {where.path} on {host}")
    ctx.revision = ctx.repository.obtain(source.revision)
    if not ctx.revision:
        reason = f"the checkout lacks {source.revision[:7]}, which {source.name} runs."
        raise SettingsError(Problem("the workspace", reason, "", ctx.ci.shallow_hint))
    ctx.title = ctx.redactor.text(ctx.repository.subject(ctx.revision))
    return source


def _proven(facts: HostFacts, app: str, name: str) -> Source:
    live = facts.live(app)
    if live.busy:
        raise Locked(f"a deploy of {name} goes on: {facts.holder}.", hint="Promote it after that.")
    if not live.release or not live.revision:
        raise Refused(f"{name} runs nothing that ci-deploy has deployed.")
    if not live.up:
        message = f"{name} runs {live.release}, but not all of it: {live.detail}."
        raise Refused(message, hint="What is promoted has to be proven there.")
    tag = str(facts.releases[live.release].facts.get("tag", ""))
    images = {image.service: image.pinned for image in facts.images}
    return Source(name, live.release, tag, live.revision, images)


def pins(ctx: Context, source: Source, model: Model) -> bytes:
    """For the hosts, a line for each service whose image comes from the source: `NAME IMAGE`. Says
    what is brought, and which commits come with it.

    Raises SettingsError for a service that the source does not run, or runs without a digest.
    """
    ctx.console.indent(f"{source.name} runs {source.release}, which is proven there")
    problems, lines = [], []
    for service in model.ours:
        image = source.images.get(service.name, "")
        if image and image != NO_DIGEST:
            lines.append(f"{service.name} {image}\n")
            ctx.console.indent(f"{service.name}: {image}")
        elif image or not service.optional:
            why = "its image was never pushed" if image else "it does not run there"
            reason = f"{service.name} cannot come from {source.name}: {why}."
            problems.append(Problem("PROMOTE_FROM", reason))
    if problems:
        raise SettingsError(*problems)
    before = ctx.before.revision if ctx.before else ""
    if before and before != source.revision and ctx.repository.has(before):
        _commits(ctx, before, source.revision)
    return "".join(lines).encode()


def _commits(ctx: Context, old: str, new: str, most: int = 10) -> None:
    argv = ["log", "--no-merges", "--format=%h %s", f"--max-count={most + 1}", f"{old}..{new}"]
    listed = ctx.repository.git(*argv, ok=None).text.splitlines()
    for line in listed[:most]:
        ctx.console.indent(f"comes: {line}")
    if len(listed) > most:
        ctx.console.indent("comes: and more")
