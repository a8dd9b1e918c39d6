"""`promote`: checks the source, and chooses the images to take from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.layers.providers.docker.model import Model
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import NOTHING


class Source(NamedTuple):
    """The release that the source of a promotion runs; `images` are those of all its services."""

    name: str = ""  # of the source, for the log
    release: str = ""  # the release's id
    tag: str = ""
    revision: str = ""  # full SHA
    images: Mapping[str, str] = NOTHING  # service → name with digest; without: not pinned


def chosen(ctx: Context, source: Source, model: Model) -> dict[str, str]:
    """The images to take from the source: service → name with digest. Logs them and the commits
    that come with them. Raises SettingsError for a service that the source does not run, or runs
    without a digest."""
    ctx.console.indent(f"verified: {source.name} runs {source.release}")
    problems: list[Problem] = []
    found: dict[str, str] = {}
    for service in model.ours:
        image = source.images.get(service.name, "")
        if "@" in image:
            found[service.name] = image
            ctx.console.indent(f"{service.name}: {image}")
        elif image or not service.optional:
            why, remedy = "the source does not run it", "Deploy a release with that service there."
            if image:
                why = "the image that runs there has no digest of a registry"
                remedy = "Push the image to a registry, and deploy it there first."
            reason = f"{service.name} cannot be promoted from {source.name}: {why}."
            problems.append(Problem("PROMOTE_FROM", reason, "", remedy))
    if problems:
        raise SettingsError(*problems)
    before = ctx.before.revision if ctx.before else ""
    if before and before != source.revision and ctx.repository.has(before):
        _commits(ctx, before, source.revision)
    return found


def _commits(ctx: Context, old: str, new: str, most: int = 10) -> None:
    argv = ["log", "--no-merges", "--format=%h %s", f"--max-count={most + 1}", f"{old}..{new}"]
    listed = ctx.repository.git(*argv, ok=None).text.splitlines()
    for line in listed[:most]:
        ctx.console.indent(f"commit: {line}")
    if len(listed) > most:
        ctx.console.indent("and more commits")
