"""Chooses the commit to deploy: DEPLOY_REVISION, else the one on which the platform and the
checkout agree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci_deploy.ci.base import CI
from ci_deploy.errors import Problem, SettingsError

if TYPE_CHECKING:
    from ci_deploy.git.repository import Repository

SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
ORIGIN = "refs/remotes/origin/"


def resolve(repository: Repository, ci: CI, wanted: str) -> str:
    """The full SHA of `wanted` (a commit, tag or branch), or of the job's commit if it is empty.

    A tag object is resolved to its commit; a commit that the checkout lacks is fetched, if its full
    SHA is known. Raises SettingsError when it cannot be found, and when the platform and HEAD
    disagree, unless the user has named a checkout of another repository (CHECKOUT_DIR).
    """
    if wanted:
        return _named(repository, ci, wanted)
    head, meant = repository.head, ci.context.revision
    if head and meant and not _agree(repository, ci, head):
        other = repository.other_origin()
        if other and repository.checkout.named:
            return head  # the user has named this checkout
        whose = f" of {other}" if other else ""
        reason = (
            f"the checkout's HEAD is {head[:7]}{whose}, but {ci.title} runs this job for "
            f"{meant[:7]}: it is not clear which one to deploy."
        )
        job = "" if other else f", or to `{meant}` for the job's commit"
        remedy = f"Set it to `HEAD` for what is checked out{job}."
        raise SettingsError(Problem("DEPLOY_REVISION", reason, "", remedy))
    name = meant or head
    found = repository.obtain(name) if SHA.fullmatch(name) else ""
    if not name:
        reason = "the checkout has no commits yet."
        raise SettingsError(Problem("the workspace", reason))
    if not found:
        reason = f"the checkout lacks the commit to deploy, {name}, and {unfetched(repository)}."
        raise SettingsError(Problem("the workspace", reason, "", ci.commit_hint))
    return found


def unfetched(repository: Repository) -> str:
    """The clause of a message that a commit, called "it", cannot be fetched: after
    `Repository.obtain` has found none. Git's reason follows in parentheses, if it gave one."""
    return f"it cannot be fetched{fetch_reason(repository)}"


def fetch_reason(repository: Repository) -> str:
    """` (REASON)` if the last fetch from the origin failed and the reason is known; else empty."""
    return f" ({repository.fetch_error})" if repository.fetch_error else ""


def _agree(repository: Repository, ci: CI, head: str) -> bool:
    """Whether HEAD is what the platform checks out for the job's commit: that commit, or its merge
    with the pull request's target."""
    facts = ci.context
    if facts.detached or head in {facts.revision, facts.checked_out}:
        return True
    if head == repository.commit(facts.revision):  # the platform names the tag's own object
        return True
    text = repository.git("cat-file", "commit", head, ok=None).text.partition("\n\n")[0]
    parents = [line[7:] for line in text.splitlines() if line.startswith("parent ")]
    return bool(facts.change) and len(parents) > 1 and facts.revision in parents


def _named(repository: Repository, ci: CI, wanted: str) -> str:
    """The commit that DEPLOY_REVISION names. Raises SettingsError."""
    if SHA.fullmatch(wanted):
        found = repository.obtain(wanted)
    else:
        found = _branch_or_tag(repository, ci, wanted) or _expression(repository, wanted)
    if found:
        return found
    kind = repository.git("cat-file", "-t", wanted, ok=None).text if SHA.fullmatch(wanted) else ""
    if kind:
        reason = f"`{wanted}` is a {kind}, not a commit."
        remedy = "Set it to a commit, tag or branch."
        raise SettingsError(Problem("DEPLOY_REVISION", reason, "", remedy))
    reason = f"there is no commit, branch or tag `{wanted}` in the checkout."
    if SHA.fullmatch(wanted):
        reason = f"the checkout lacks the commit `{wanted}`, and {unfetched(repository)}."
    raise SettingsError(Problem("DEPLOY_REVISION", reason, "", ci.shallow_hint))


def _expression(repository: Repository, wanted: str) -> str:
    """The commit of other names that git understands (`HEAD~1`, an abbreviated id,
    `refs/pull/1/head`); empty for none."""
    return "" if wanted.startswith("-") else repository.named(wanted)


def _branch_or_tag(repository: Repository, ci: CI, wanted: str) -> str:
    """The commit of a branch or tag; empty for none. A name means the branch, as on the platforms,
    unless the job runs for that tag."""
    kind, _, rest = wanted.removeprefix("refs/").partition("/")
    if kind == "heads" and rest:
        return _branch(repository, rest)
    if kind == "tags" and rest:
        return repository.named(f"refs/tags/{rest}")
    if wanted in {"HEAD", "@"} or wanted.startswith(("-", "refs/")):
        return ""
    tag = repository.named(f"refs/tags/{wanted}")
    return tag if tag and wanted == ci.context.tag else _branch(repository, wanted) or tag


def _branch(repository: Repository, name: str) -> str:
    """The commit of a branch, here or at origin: of two, the one that contains the other. Raises
    SettingsError when neither does."""
    here = repository.named(f"refs/heads/{name}")
    there = repository.named(f"{ORIGIN}{name}")
    if not (here and there) or here == there:
        return here or there
    if repository.shallow and not _contains(repository, here, there):
        repository.can_deepen()
    if newer := _contains(repository, here, there):
        return newer
    reason = (
        f"the branch `{name}` is {here[:7]} in the checkout but {there[:7]} at origin, and neither "
        "is known to contain the other."
    )
    raise SettingsError(Problem("DEPLOY_REVISION", reason, "", "Set it to a commit."))


def _contains(repository: Repository, one: str, other: str) -> str:
    """Of two commits, the one that contains the other; empty when neither does."""
    if repository.is_ancestor(one, other):
        return other
    return one if repository.is_ancestor(other, one) else ""
