"""Review apps on Docker hosts: a Compose project of its own, in a directory of its own, marked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import DeployFailed, Locked, Problem, Refused, SettingsError
from ci_deploy.layers.providers.compose import sharing
from ci_deploy.layers.providers.compose.facts import ReviewDir
from ci_deploy.layers.providers.compose.hosts import Host, Hosts
from ci_deploy.layers.providers.docker.model import read_json
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.run.context import Context
from ci_deploy.run.review_app import ReviewApp, addresses, guard_addresses

USED = re.compile(r"\$\{?REVIEW_(HOST|URL)\b")
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://([^/@]*@)?([^/:?]*)")
REMOVING = 600.0  # seconds; containers are stopped, and volumes may be large


def project(app: str) -> str:
    """The name of its Compose project: that of the app, which may be a domain."""
    return re.sub(r"[^a-z0-9_-]", "-", app)


def url(review: ReviewApp, facts: CIContext) -> str:
    """Where it answers; empty when neither REVIEW_URL nor REVIEW_DOMAIN says it."""
    return review.url(facts) or (f"https://{review.host}" if review.host else "")


def variables(review: ReviewApp, facts: CIContext) -> dict[str, str]:
    """What the compose files may use; what is not known is not set."""
    found = {"REVIEW_HOST": review.host, "REVIEW_URL": url(review, facts)}
    return {key: value for key, value in found.items() if value}


def exists(hosts: Sequence[Host], name: str) -> bool:
    """Whether anything of it is on a host: a directory, or containers of its project."""
    return any(host.facts.mark is not None or _containers(host, name) for host in hosts)


def marked(hosts: Sequence[Host], name: str, base: str) -> bool:
    """Whether all of it was made by us as a review app of `base`."""
    for host in hosts:
        found = host.facts.mark
        if found != base and (found is not None or any(_containers(host, name, without=base))):
            return False
    return True


def _containers(host: Host, name: str, without: str | None = None) -> list[str]:
    """Names of its containers; `without`: only those that have not this mark."""
    mine = [each for each in host.facts.containers if each.project == project(name)]
    return [each.name for each in mine if without is None or each.review != without]


def check(ctx: Context, hosts: Sequence[Host], tree: Tree) -> None:
    """Raises SettingsError for all that two projects cannot share or that leads to the base app,
    and Refused for an address of one of its services."""
    review = ctx.review
    assert review is not None, "asked for review apps only"  # noqa: S101
    name = project(review.name)
    problems = [*_unset(tree, variables(review, ctx.facts))]
    for host in hosts:
        problems += sharing.problems(host.facts, name)
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    data = read_json(hosts[0].facts.model)
    wanted, own = addresses({**ctx.app_config, **sharing.variables(data)}), sharing.names(data)
    doubtful = {k: v for k, v in wanted.items() if _host(v) not in own}
    hint = "Take it out of APP_CONFIG, REVIEW_CONFIG and the compose file; give it a service there."
    for host in hosts:
        base = {key.split()[0]: value for key, value in host.facts.addresses.items()}
        guard_addresses(review, base, doubtful, hint)


def _host(address: str) -> str:
    found = ADDRESS.match(address)
    return found[3] if found else ""


def _unset(tree: Tree, known: Mapping[str, str]) -> Iterator[Problem]:
    """Without a value a default would count, which is the base app's."""
    texts = [*tree.texts, *tree.reads.values()]
    lines = [line for text in texts for line in text.decode(errors="replace").splitlines()]
    found = (USED.findall(line) for line in lines if not line.lstrip().startswith("#"))
    used = {f"REVIEW_{name}" for names in found for name in names}
    for name in sorted(used - set(known)):
        setting = "REVIEW_DOMAIN" if name == "REVIEW_HOST" else name
        yield Problem(setting, f"it is not set, and the compose file uses ${{{name}}}.")


def check_limit(ctx: Context, hosts: Hosts, limit: int) -> None:
    """Raises Refused when there would be one more than REVIEW_LIMIT."""
    review = ctx.review
    if not review or limit <= 0 or exists(hosts.all, review.name):
        return
    for host in hosts.all:
        mine = sorted(
            (each for each in host.facts.reviews if each.base == review.base),
            key=lambda each: each.deployed,
        )
        if len(mine) >= limit:
            there = "1 review app" if len(mine) == 1 else f"{len(mine)} review apps"
            message = f"{review.base} has {there} on {host} already (REVIEW_LIMIT={limit})."
            listed = "; ".join(map(_aged, mine[:12]))
            hint = (
                f"Remove one, the oldest first: {listed}. `ci-deploy destroy` in its branch, or "
                "`ci-deploy destroy --stale DAYS --yes`."
            )
            raise Refused(message, hint=hint)


def _aged(each: ReviewDir) -> str:
    days = int((time.time() - each.deployed) // 86400)
    age = "today" if days <= 0 else "yesterday" if days == 1 else f"{days} days ago"
    return f"{each.name} ({f'{each.branch}, ' if each.branch else ''}deployed {age})"


def adopt(ctx: Context, hosts: Hosts) -> None:
    """Mark it as a review app of the base app."""
    review = ctx.review
    assert review is not None, "asked for review apps only"  # noqa: S101
    what = f"mark {review.name} on {{host}} as a review app of {review.base}"
    hosts.change(hosts.all, ["adopt", review.base], lambda host: what.format(host=host))
    for host in hosts.all:
        host.facts.mark = review.base


def destroy(ctx: Context, hosts: Hosts) -> None:
    """Remove all of it from the hosts, which look whether anything is left.

    Raises Locked, Refused, DeployFailed.
    """
    review = ctx.review
    assert review is not None, "asked for review apps only"  # noqa: S101
    if not ctx.sweeping and not exists(hosts.all, review.name):
        ctx.console.indent(f"{review.name} does not exist: nothing to remove.")
        return
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
            raise Locked(message)
        if result.exit_code == 14:
            raise Refused(message)
        hint = "What is left is removed by the next `ci-deploy destroy`."
        raise DeployFailed(message, hint=hint, lines=result.lines, shown=True)


def stale(hosts: Hosts, base: str, days: int) -> list[str]:
    """Review apps of `base` that were not deployed for `days`, on any host."""
    last: dict[str, int] = {}
    for each in hosts.reviews():
        if each.base == base:
            last[each.name] = max(each.deployed, last.get(each.name, 0))
    since = time.time() - days * 86400
    return [name for name, deployed in last.items() if deployed < since]
