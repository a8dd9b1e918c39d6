"""Review apps on Docker hosts: each is a Compose project in its own directory, with a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ci_deploy.errors import DeployFailed, Locked, Refused, SettingsError
from ci_deploy.layers.providers.compose.facts import HostFacts
from ci_deploy.layers.providers.compose.hosts import Host, Hosts
from ci_deploy.layers.providers.docker import sharing
from ci_deploy.layers.providers.docker.model import read_json
from ci_deploy.layers.providers.docker.review import (
    check_limit,
    guard_base,
    project,
    unset,
    variables,
)
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.run.context import Context

REMOVING = 600.0  # seconds; containers are stopped, and volumes may be large


def exists(hosts: Sequence[Host], name: str) -> bool:
    """Whether a host has the review app's directory, or containers of its project."""
    return any(host.facts.mark is not None or _containers(host, name) for host in hosts)


def marked(hosts: Sequence[Host], name: str, base: str) -> bool:
    """Whether all that exists of the review app has our mark for `base`; True if nothing does."""
    for host in hosts:
        found = host.facts.mark
        if found != base and (found is not None or any(_containers(host, name, without=base))):
            return False
    return True


def _containers(host: Host, name: str, without: str | None = None) -> list[str]:
    """The names of the review app's containers on a host; `without`: only those without this
    mark."""
    mine = [each for each in host.facts.containers if each.project == project(name)]
    return [each.name for each in mine if without is None or each.review != without]


def check(ctx: Context, hosts: Sequence[Host], tree: Tree) -> None:
    """Check that the branch's compose files can run beside the base app. Raises SettingsError with
    every conflict (ports, names, volumes, networks, unset variables), Refused when a variable holds
    the address of one of the base app's services."""
    review = ctx.reviewed
    name = project(review.name)
    problems = [*unset(tree, variables(review, ctx.facts))]
    for host in hosts:
        found = host.facts
        beside = sharing.Beside(found.path, found.top, found.others, found.routes)
        problems += sharing.problems(described(found), name, beside)
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    theirs = [{k.split()[0]: v for k, v in host.facts.addresses.items()} for host in hosts]
    guard_base(ctx, read_json(hosts[0].facts.model), theirs)


def described(facts: HostFacts) -> Mapping[str, Any]:
    """The parsed compose files, with the services in profiles, since commands may run in one."""
    data = read_json(facts.model)
    more = read_json(facts.all or "{}").get("services") or {}
    return {**data, "services": {**more, **(data.get("services") or {})}}


def check_room(ctx: Context, hosts: Hosts, limit: int) -> None:
    """Raise Refused when the review app does not exist yet, and would exceed `limit` (REVIEW_LIMIT)
    on one of the hosts."""
    if ctx.review and not exists(hosts.all, ctx.review.name):
        for host in hosts.all:
            check_limit(ctx.review, host.facts.reviews, limit, str(host))


def adopt(ctx: Context, hosts: Hosts) -> None:
    """Mark the app on all hosts, and in their `facts`, as a review app of the base app."""
    review = ctx.reviewed
    what = f"mark {review.name} on {{host}} as a review app of {review.base}"
    hosts.change(hosts.all, ["adopt", review.base], lambda host: what.format(host=host))
    for host in hosts.all:
        host.facts.mark = review.base


def destroy(ctx: Context, hosts: Hosts) -> None:
    """Remove everything of the review app from the hosts, which check that nothing is left.

    Raises Locked when a deployment of it does not end within LOCK_TIMEOUT, Refused for something
    without our mark, DeployFailed when something is left, Unreachable, OutcomeUnknown.
    """
    review = ctx.reviewed
    patience = ctx.settings.lock_timeout
    words = ["destroy", review.name, project(review.name), review.base, str(patience)]
    what = f"remove {review.name} from {{host}}: containers, volumes, networks, images, directory"
    results = hosts.change(
        hosts.all,
        words,
        lambda host: what.format(host=host),
        timeout=patience + REMOVING,
        quiet=False,
    )
    for host, result in zip(hosts.all, results, strict=True):
        if not result.exit_code:
            continue
        said = result.lines[-1] if result.lines else "no reason given"
        message = f"{review.name} could not be removed from {host}: {said}"
        if result.exit_code == 13:
            raise Locked(message, hint="Run `ci-deploy destroy` again when that has ended.")
        if result.exit_code == 14:
            hint = "To adopt it as a review app: `ci-deploy destroy --adopt --yes`."
            raise Refused(message, hint=hint)
        hint = "Fix the cause; the next `ci-deploy destroy` removes what is left."
        raise DeployFailed(message, hint=hint, lines=result.lines, shown=True)
