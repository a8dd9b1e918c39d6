"""Compares the revision to deploy with the live one, and refuses one that must not replace it."""

from __future__ import annotations

from enum import Enum

from ci_deploy.errors import Refused
from ci_deploy.git.repository import Repository
from ci_deploy.git.revision import fetch_reason
from ci_deploy.run.context import Context


class Order(Enum):
    """How the revision to deploy relates to the live one, by their history."""

    AFTER = "it contains the live one, or nothing is live"
    BEFORE = "the live one contains it"
    DIVERGED = "each has commits that the other lacks"
    UNKNOWN = "the checkout lacks the history to compare them"


def order(repository: Repository, new: str, live: str) -> Order:
    """How the revision `new` relates to `live` (both full SHAs; empty: nothing is live), by the
    history in the repository. UNKNOWN if it lacks `live`, or if it is shallow; nothing is
    fetched."""
    if live in {"", new}:
        return Order.AFTER
    if not repository.has(live):
        return Order.UNKNOWN
    if repository.is_ancestor(live, new):
        return Order.AFTER
    if repository.is_ancestor(new, live):
        return Order.BEFORE
    return Order.UNKNOWN if repository.shallow else Order.DIVERGED


def guard(
    ctx: Context,
    live: str,
    found: Order,
    *,
    force: bool,
    overwrites: bool,
    what: str = "which is live",
) -> None:
    """Raise Refused when this run's revision must not replace `live`; otherwise warn unless it
    contains `live`. `found`: how it relates to `live`, which the clause `what` describes. `force`
    (FORCE_PUSH): a history that has diverged, or whose relation is unknown, may be replaced.
    `overwrites`: the deploy method replaces the history on the server, so without `force` an
    unknown relation is refused. With REFUSE_OUTDATED an older and an unknown one always are."""
    new, old = ctx.revision[:7], f"{live[:7]}, {what}"
    refuse_outdated = ctx.settings.refuse_outdated
    if found is Order.BEFORE:
        if refuse_outdated:
            hint = "To deploy an older revision on purpose, unset REFUSE_OUTDATED."
            raise Refused(f"{new} is older than {old}.", hint=hint)
        ctx.console.warning(f"{new} is older than {old}: the older revision replaces it.")
    elif found is Order.UNKNOWN and (refuse_outdated or (overwrites and not force)):
        lacking = f"for lack of history{fetch_reason(ctx.repository)}"
        hint = ctx.ci.shallow_hint
        if not ctx.repository.shallow:
            lacking = "since this checkout does not have that commit"
            hint = (
                f"{live[:7]} came from another repository, from a branch that is not fetched here, "
                "or from one whose history was rewritten."
            )
        anyway = ["unset REFUSE_OUTDATED"] if refuse_outdated else []
        anyway += ["set FORCE_PUSH=true"] if overwrites and not force else []
        hint = f"{hint} To replace it anyway, {' and '.join(anyway)}."
        raise Refused(f"{new} cannot be compared with {old}, {lacking}.", hint=hint)
    elif found is Order.UNKNOWN and not overwrites:
        ctx.console.indent(
            f"it is unknown whether {new} is older than {old}: the checkout lacks the history of "
            "one of them."
        )
    elif found is Order.UNKNOWN:
        ctx.console.warning(
            f"{new} replaces {old}; the checkout lacks the history to compare them."
        )
    elif found is Order.DIVERGED:
        if not force:
            hint = (
                f"Deploy a revision that contains {live[:7]}, or set FORCE_PUSH=true to replace it."
            )
            raise Refused(f"{new} has diverged from {old}.", hint=hint)
        ctx.console.warning(
            f"{new} replaces {old}, but does not contain it: commits that only {live[:7]} has are "
            "no longer deployed."
        )
