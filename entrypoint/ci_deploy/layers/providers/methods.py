"""What providers share: the choice between push and archive, the Procfile's release phase, the
source of a promotion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ci_deploy.errors import Locked, Problem, Refused, SettingsError
from ci_deploy.git.revision import fetch_reason, unfetched
from ci_deploy.net.ssh.server import server
from ci_deploy.run.context import Context
from ci_deploy.settings import setting, settings
from ci_deploy.settings.lines import NAME
from ci_deploy.state import Live

SHA256 = 64  # characters of a SHA-256 object id
PROCFILE = "Procfile"
BOM = "\ufeff"
PATH = re.compile(r"(?!.*\.\.)[\w./-]+")  # of a file or directory in a repository


@settings
class GitSettings:
    """How the code gets to the provider."""

    method: str = setting(
        "DEPLOY_METHOD",
        "How the code is sent; `auto` pushes, or sends an archive if the revision has "
        "LFS files, "
        "the repository uses SHA-256 object IDs, or the clone is shallow and cannot be deepened",
        default="auto",
        choices=("auto", "push", "archive", "image"),
    )
    force_push: bool = setting(
        "FORCE_PUSH",
        "Replace a live revision whose history has diverged (a push with `--force-with-lease`)",
        default=False,
    )


def in_repository(path: str) -> str:
    """Normalize a path that is set on the platform: relative to the app's directory in the
    repository, without slashes at its ends; empty if it is not a valid path."""
    return path.strip("/") if PATH.fullmatch(path) else ""


def release_phase(procfile: str, path: str) -> dict[str, str]:
    """The command that the platform runs before a release gets traffic, from the text of the
    Procfile at `path`: {"the Procfile's `release:`": command}; empty for none."""
    for line in procfile.removeprefix(BOM).splitlines():
        name, _, command = line.partition(":")
        if name.strip() == "release":
            whose = "the Procfile" if path == PROCFILE else path
            return {f"{whose}'s `release:`": command.strip()}
    return {}


def impossible_names(configured: Mapping[str, Mapping[str, str]]) -> Iterable[Problem]:
    """Yield a problem for each setting of `ctx.configured` with names that are not valid on this
    provider: those with dots and dashes are accepted on Docker hosts only."""
    for given, config in configured.items():
        if names := [name for name in config if not NAME.fullmatch(name)]:
            message = "a variable's name may contain only letters, digits and `_`, unlike "
            yield Problem(given, f"{message}{', '.join(names)}.")


def folder(text: str) -> str:
    """Parse a directory on a host (or a stack, an app), without `~/` at its start or a slash at its
    end; `/` stays. Raises ValueError for characters that Compose would interpret."""
    if re.search(r'[\x00-\x1f"\\$:]', text):
        message = f"`{text}` contains a double quote, `\\`, `$`, `:` or a control character."
        raise ValueError(message)
    return text.removeprefix("~/").rstrip("/") or "/"


class Place(NamedTuple):
    """The source of a promotion, as PROMOTE_FROM names it."""

    host: str  # `[user@]host[:port]`; empty: the host that this run deploys to
    path: str  # a directory, a stack or an app


def place(text: str) -> Place:
    """Parse PROMOTE_FROM: `[[user@]host[:port]:]WHAT`, where WHAT is a directory, stack or app.
    Raises ValueError."""
    host, _, path = text.rpartition(":")
    if not path or path.isdecimal():
        message = (
            f"`{text}` does not end with a directory, stack or app, as in "
            "`deploy@staging.example.com:/srv/app`."
        )
        raise ValueError(message)
    if host:
        server(host)
    return Place(host, folder(path))


@settings
class PromotionSettings:
    """The source of `promote`."""

    promote_from: Place | None = setting(
        "PROMOTE_FROM",
        "Where the release to promote runs: `[[user@]host:]` and its DEPLOY_PATH, on a "
        "swarm its stack, on Dokku its app",
        default=None,
        parse=place,
        default_help="none",
    )


def need_source(given: Place | None) -> Place:
    """Return PROMOTE_FROM, which a promotion needs. Raises SettingsError when it is not set."""
    if given is None:
        remedy = (
            "Name what runs the release, as [[user@]host:]place: `staging.example.com:/srv/app` on "
            "Compose, `staging.example.com:STACK` on a swarm, `staging.example.com:APP` on Dokku."
        )
        raise SettingsError(Problem("PROMOTE_FROM", "is required.", "", remedy, missing=True))
    return given


def need_verified(live: Live, name: str, holder: str = "") -> None:
    """Check that a promotion's source, `name` in messages, runs a known revision (`live`) and is
    up. Raises Refused if not, Locked when it is being deployed (by `holder`, if that is known)."""
    if live.busy:
        by = f": {holder}" if holder else ""
        hint = "Run `promote` again when that deployment has ended."
        raise Locked(f"a deployment of {name} is in progress{by}.", hint=hint)
    if not live.revision:
        message = f"{name} runs no release whose revision is known."
        raise Refused(message, hint="Deploy it with ci-deploy first.")
    if not live.up:
        message = f"{name} is not fully up: {live.detail}."
        raise Refused(message, hint="Only a verified release can be promoted.")


def take_revision(ctx: Context, revision: str, runs_it: str) -> None:
    """Make `revision` this run's (`Context.choose`): the source of the promotion, `runs_it` in
    messages, runs it. Raises SettingsError when the checkout lacks it and it cannot be fetched."""
    found = ctx.repository.obtain(revision)
    if not found:
        lacks = f"the checkout lacks {revision[:7]}, which {runs_it} runs"
        reason = f"{lacks}, and {unfetched(ctx.repository)}."
        remedy = (
            f"{ctx.ci.shallow_hint} Or promote in a job of the repository that has this commit."
        )
        raise SettingsError(Problem("the workspace", reason, "", remedy))
    ctx.choose(found)


def by_archive(ctx: Context, method: str) -> bool:
    """Whether to send the revision as an archive instead of a push. `method` is DEPLOY_METHOD: for
    `auto` this completes the history if a push is possible, and logs the reason for an archive; for
    `push` it warns about LFS files. Raises SettingsError for `push` of a repository with SHA-256
    object IDs."""
    if method == "archive":
        return True
    repository = ctx.repository
    lfs, sha256 = repository.uses_lfs(ctx.revision), len(ctx.revision) == SHA256
    if method == "push":
        if sha256:
            reason = (
                "the repository uses SHA-256 object IDs, and the server cannot receive those "
                "by push."
            )
            raise SettingsError(
                Problem("DEPLOY_METHOD", reason, "", "Set it to `archive`, or unset it.")
            )
        if lfs:
            warning = "a push sends the pointers of LFS files, not the files"
            ctx.console.warning(f"{warning}: DEPLOY_METHOD=archive sends the files.")
        return False
    why = "it has LFS files" if lfs else ""
    why = "the repository uses SHA-256 object IDs" if sha256 else why
    if not why and not repository.can_deepen():
        lacks = "the checkout lacks history or files, and they cannot be fetched"
        why = f"{lacks}{fetch_reason(repository)}"
    if why:
        revision = ctx.revision[:7]
        ctx.console.indent(f"{revision} is sent as an archive instead of a push: {why}.")
    return bool(why)
