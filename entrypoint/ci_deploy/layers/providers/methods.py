"""What Dokku and Heroku share: a push or an archive, and which variables they refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ci_deploy.errors import Problem, SettingsError
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
        ctx.console.indent(f"it goes as an archive, not by a push: {why}.")
    return bool(why)
