"""What providers share: a push or an archive, names of variables, the source of a promotion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ci_deploy.errors import Problem, SettingsError
from ci_deploy.net.ssh.server import server
from ci_deploy.run.context import Context
from ci_deploy.settings import setting, settings
from ci_deploy.settings.lines import NAME

SHA256 = 64  # characters of an id


@settings
class GitSettings:
    """How the code gets to the provider."""

    method: str = setting(
        "DEPLOY_METHOD",
        "How the code gets there; `auto` takes a push, or an archive where the revision has LFS "
        "files, or the clone is shallow and cannot be deepened",
        default="auto",
        choices=("auto", "push", "archive", "image"),
    )
    force_push: bool = setting(
        "FORCE_PUSH", "Replace a history that has diverged (always with a lease)", default=False
    )


def impossible_names(config: Mapping[str, str]) -> Iterable[Problem]:
    """Variables that they refuse, and Compose takes: with dots and dashes."""
    if names := [name for name in config if not NAME.fullmatch(name)]:
        message = "names may only have letters, digits and `_` there, unlike "
        yield Problem("APP_CONFIG", f"{message}{', '.join(names)}.")


def folder(text: str) -> str:
    """A directory on a host. Raises ValueError for characters that Compose would interpret."""
    if re.search(r'[\x00-\x1f"\\$:]', text):
        message = f"`{text}` is not a valid directory for Compose."
        raise ValueError(message)
    return text.removeprefix("~/").rstrip("/") or "/"


class Place(NamedTuple):
    """Where the source of a promotion is; on our own host where `host` is empty."""

    host: str
    path: str  # a directory, a stack or an app


def place(text: str) -> Place:
    """Parse `[[user@]host[:port]:]WHAT`. Raises ValueError."""
    host, _, path = text.rpartition(":")
    if not path or path.isdecimal():
        message = (
            f"`{text}` does not end with a directory, stack or app: "
            "`deploy@staging.example.com:/srv/app`."
        )
        raise ValueError(message)
    if host:
        server(host)
    return Place(host, folder(path))


@settings
class PromotionSettings:
    """What `promote` brings."""

    promote_from: Place | None = setting(
        "PROMOTE_FROM",
        "Where what `promote` brings runs: `[[user@]host:]` and its DEPLOY_PATH, on a swarm its "
        "stack, on Dokku its app",
        default=None,
        parse=place,
        default_help="none",
    )


def need_source(given: Place | None) -> Place:
    """PROMOTE_FROM, which a promotion needs. Raises SettingsError."""
    if given is None:
        remedy = (
            "Like `deploy@staging.example.com:/srv/app`; what is on the same host needs no host."
        )
        raise SettingsError(Problem("PROMOTE_FROM", "is required.", "", remedy, missing=True))
    return given


def take_revision(ctx: Context, revision: str, runs_it: str) -> None:
    """What the source of a promotion runs is this run's revision from now on. Raises SettingsError
    when the checkout cannot have it."""
    ctx.revision = ctx.repository.obtain(revision)
    if not ctx.revision:
        reason = f"the checkout lacks {revision[:7]}, which {runs_it} runs."
        raise SettingsError(Problem("the workspace", reason, "", ctx.ci.shallow_hint))
    ctx.title = ctx.redactor.text(ctx.repository.subject(ctx.revision))


def by_archive(ctx: Context, method: str) -> bool:
    """Whether the revision goes by archive, given DEPLOY_METHOD; `auto` says why it does not push.

    Raises SettingsError where it can only go by archive, and a push is asked for.
    """
    if method == "archive":
        return True
    repository = ctx.repository
    lfs, sha256 = repository.uses_lfs(ctx.revision), len(ctx.revision) == SHA256
    if method == "push":
        if sha256:
            reason = "the repository has SHA-256 ids, which the server's does not take by a push."
            raise SettingsError(Problem("DEPLOY_METHOD", reason, "", "Set `archive`, or unset it."))
        if lfs:
            warning = "a push brings the pointers of LFS files, not the files"
            ctx.console.warning(f"{warning}: DEPLOY_METHOD=archive brings them.")
        return False
    why = "the repository has SHA-256 ids" if sha256 else "it has LFS files" if lfs else ""
    if not why and not repository.can_deepen():
        why = "the checkout lacks history or files that cannot be fetched from here"
    if why:
        ctx.console.indent(f"sent as an archive instead of a push: {why}.")
    return bool(why)
