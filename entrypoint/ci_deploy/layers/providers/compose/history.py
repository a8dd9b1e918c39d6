"""What was live when, from the hosts' audit logs and the releases that they keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ci_deploy.errors import Refused
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.docker.rollback_target import Earlier, choose
from ci_deploy.run.context import Context
from ci_deploy.run.order import guard, order
from ci_deploy.state import Deployed


def deployments(hosts: Sequence[Host]) -> list[Deployed]:
    """The results of all runs on all hosts, newest first, from the last 100 lines of each host's
    audit log; runs that found nothing to do are left out."""
    lines: list[tuple[str, int, Deployed]] = []
    for host in hosts:
        latest = ""  # a clock that was set back must not change the order of a log
        for entry in host.facts.audit:
            if entry.get("outcome") in {"started", "noop"}:
                continue
            where = f" on {host}" if len(hosts) > 1 else ""
            latest = max(latest, str(entry.get("at")))
            lines.append((latest, len(lines), _deployed(entry, where)))
    return [line for *_, line in sorted(lines, key=lambda each: each[:2], reverse=True)]


def _deployed(entry: dict[str, Any], where: str) -> Deployed:
    action, outcome = entry.get("action", ""), str(entry.get("outcome", ""))
    status = f"{outcome}{' by rollback' if action == 'rollback' and outcome == 'live' else ''}"
    return Deployed(
        str(entry.get("revision", "")),
        str(entry.get("at", "")),
        f"{status}{where}",
        str(entry.get("release", "")),
        str(entry.get("pipeline") or entry.get("actor") or ""),
        outcome == "live",
    )


def last_switch(hosts: Sequence[Host]) -> str:
    """What a client noticed on the first host at the last run that ended live, or how long its
    services were down; empty if that was not measured."""
    for entry in reversed(hosts[0].facts.audit):
        if entry.get("outcome") == "live":
            stopped = float(entry.get("stopped") or 0)
            away = f"the services were down for {stopped:.1f} s" if stopped else ""
            return str(entry.get("client") or away)
    return ""


def target(app: str, hosts: Sequence[Host], wanted: str) -> str:
    """The id of the release to roll back to. `wanted`: an id, a tag or the beginning of a revision;
    empty for the previous release.

    Only releases that were live on the first host count. Raises Refused when there is none, or
    another host does not have it.
    """
    facts = hosts[0].facts
    live = sorted((each for each in facts.releases.values() if each.live), key=lambda e: -e.live)
    kept = [Earlier(each.id, str(each.facts.get("tag", "")), each.revision) for each in live]
    chosen = choose(kept, facts.current, wanted, f"{app} on {hosts[0]}")
    lacking = [str(host) for host in hosts if chosen not in host.facts.releases]
    if lacking:
        names = ", ".join(lacking)
        message = f"{chosen} is not on {names}: never deployed there, or not kept any more."
        hint = f"Deploy its revision {facts.revision(chosen)[:7]} instead."
        raise Refused(message, hint=hint)
    return chosen


def runs(app: str, hosts: Sequence[Host], release: str) -> bool:
    """Whether the release is live on all hosts, and up."""
    return all(host.facts.current == release and host.facts.live(app).up for host in hosts)


def guard_order(ctx: Context, hosts: Sequence[Host]) -> None:
    """Warn when the revision is older than the live one of the first host, or has diverged from it.
    With REFUSE_OUTDATED, fetch missing history first; raises Refused when the revision is older,
    or still cannot be compared."""
    live = hosts[0].facts.revision(hosts[0].facts.current)
    if ctx.settings.refuse_outdated:
        ctx.repository.can_deepen()
    # An image replaces no history, so a diverged one is only a warning.
    guard(ctx, live, order(ctx.repository, ctx.revision, live), force=True, overwrites=False)
