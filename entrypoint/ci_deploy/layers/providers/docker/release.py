"""A release: all its files under one id, as the hosts keep it.

The id is the tag and six hex digits of a SHA-256 over the Compose project, the revision and the
release's files, without those that differ with each job (`release.json`: who deploys; `order`: the
build number). So the same input is the same release, on every host and at every attempt. A random
`again` is hashed too when that must not be so: with REDEPLOY, or if any image may have changed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ci_deploy import __version__
from ci_deploy.layers.providers.docker.model import Model
from ci_deploy.net.ssh.client import quoted
from ci_deploy.run.context import Context
from ci_deploy.settings.parsers import NOTHING


class Program(bytes):
    """The content of an executable file."""


class Release(NamedTuple):
    """One release to deploy; made by `make_release`."""

    id: str  # the tag and six hex digits, like 74_0b1c2d3-1a2b3c
    revision: str  # full SHA
    tag: str  # of its images
    facts: Mapping[str, str]  # who deploys what, for the audit log; also id, revision and tag
    parts: Mapping[str, bytes] = NOTHING  # its files: path → bytes


def make_release(
    ctx: Context,
    tag: str,
    model: Model,
    files: Mapping[str, bytes],
    *,
    again: str = "",
) -> Release:
    """Make a release of `files` (path → bytes: those of `as_parts` and others), to which it adds
    what the hosts need of `model`, the commands before the traffic and the facts. A different
    `again` gives the same input a different id, so that it is deployed again."""
    texts = {
        "services": model.flags(),
        **{
            f"before/{number}": command_file(step.command)
            for number, step in enumerate(ctx.before_traffic, 1)
        },
    }
    if ctx.review:
        texts["review"] = f"{ctx.review.base}\n"
    if rolled := start_first_plan(model):
        texts["start-first"] = rolled
    parts = {**files, **{name: text.encode() for name, text in texts.items()}}
    digest = hashlib.sha256(f"{model.project}\0{ctx.revision}\0{again}".encode())
    for name in sorted(parts):
        digest.update(f"\0{name}\0{len(parts[name])}\0".encode() + parts[name])
    facts = {**deployment_facts(ctx), "revision": ctx.revision, "tag": tag}
    facts["id"] = f"{tag}-{digest.hexdigest()[:6]}"
    parts["release.json"] = f"{json.dumps(facts)}\n".encode()
    parts["order"] = f"{_number(ctx.facts.build)}\n".encode()
    return Release(facts["id"], ctx.revision, tag, facts, parts)


def deployment_facts(ctx: Context) -> dict[str, str]:
    """Who deploys what from where, for the audit log."""
    facts = ctx.facts
    return {
        "app": ctx.app,
        "environment": ctx.environment,
        "ref": facts.ref,
        "actor": facts.actor,
        "pipeline": facts.job_url,
        "build": facts.build,
        "tool": __version__,
    }


def command_file(command: Sequence[str]) -> str:
    """A command as shell text: a comment for people, and a line that sets `$@` on the host."""
    shown = " ".join(" ".join(command).split())
    return f"# {shown}\nset -- {quoted(command)}\n"


def members(values: Mapping[str, str]) -> str:
    """The values as members to append to a JSON object: `, "name": "value"` for each."""
    return "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())


def tar(parts: Mapping[str, bytes]) -> bytes:
    """A tar archive of these files (path → bytes), accessible only to their owner; those that are
    a Program are executable."""
    import tarfile  # takes long to load, and other providers need none

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o700 if isinstance(content, Program) else 0o600
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def start_first_plan(model: Model) -> str:
    """The services to replace with start-first, in order, one line each: `NAME PARALLELISM DELAY
    MONITOR FILL NEED…`, with a plus at services that must be ready before."""
    wanted = {n: s.update for n, s in model.services.items() if s.update and not s.optional}
    ordered = dict.fromkeys(
        each for name in wanted for each in (*model.needs(name), name) if each in wanted
    )
    lines = []
    for name in ordered:
        found = wanted[name]
        needs = [each for each in model.needs(name) if each not in wanted]
        marked = [f"+{each}" if each in found.ready else each for each in needs]
        numbers = f"{found.parallelism} {found.delay:g} {found.monitor:.0f}"
        fill = "yes" if model.services[name].filled else "no"
        lines.append(" ".join((name, numbers, fill, *marked)) + "\n")
    return "".join(lines)
