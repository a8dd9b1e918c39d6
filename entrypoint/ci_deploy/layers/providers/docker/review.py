"""Review apps on Docker hosts and swarms: the checks that both share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Problem, Refused
from ci_deploy.layers.providers.docker import sharing
from ci_deploy.layers.providers.docker.tree import Tree
from ci_deploy.run.context import Context
from ci_deploy.run.review_app import ReviewApp, addresses, guard_addresses, host_of

USED = re.compile(r"\$\{?REVIEW_(HOST|URL)\b")


class Known(NamedTuple):
    """A review app that exists on a host or in a swarm."""

    name: str
    age: int  # seconds since it was deployed, by its host's clock (a runner's may be wrong)
    base: str
    branch: str


def project(app: str) -> str:
    """The app's Compose project or stack: its name without invalid characters (it may be a
    domain)."""
    return re.sub(r"[^a-z0-9_-]", "-", app)


def url(review: ReviewApp, facts: CIContext) -> str:
    """The review app's URL: REVIEW_URL, else https and its host name in REVIEW_DOMAIN; empty if
    neither is set."""
    return review.url(facts) or (f"https://{review.host}" if review.host else "")


def variables(review: ReviewApp | None, facts: CIContext) -> dict[str, str]:
    """The variables for the compose files of a review app; one without a value is left out."""
    if review is None:
        return {}
    found = {"REVIEW_HOST": review.host, "REVIEW_URL": url(review, facts)}
    return {key: value for key, value in found.items() if value}


def unset(tree: Tree, known: Mapping[str, str]) -> Iterator[Problem]:
    """Problems for review variables that the files use but that are not set: a default in the files
    would be the base app's."""
    texts = [*tree.texts, *tree.reads.values()]
    lines = [line for text in texts for line in text.decode(errors="replace").splitlines()]
    found = (USED.findall(line) for line in lines if not line.lstrip().startswith("#"))
    used = {f"REVIEW_{name}" for names in found for name in names}
    for name in sorted(used - set(known)):
        setting = "REVIEW_DOMAIN" if name == "REVIEW_HOST" else name
        yield Problem(setting, f"not set, but the compose file uses ${{{name}}}.")


def guard_base(ctx: Context, data: Mapping[str, Any], theirs: Iterable[Mapping[str, str]]) -> None:
    """Raise Refused when a variable holds the address of one of the base app's services. `data`:
    the parsed compose files; `theirs`: for each host, the base app's variables with addresses."""
    wanted, own = addresses({**ctx.app_config, **sharing.variables(data)}), sharing.names(data)
    doubtful = {k: v for k, v in wanted.items() if host_of(v) not in own}
    hint = (
        "Remove it from APP_CONFIG, REVIEW_CONFIG and the compose file; define a service of the "
        "review app's own in the compose file."
    )
    for base in theirs:
        guard_addresses(ctx.reviewed, base, doubtful, hint)


def check_limit(review: ReviewApp, there: Sequence[Known], limit: int, where: str) -> None:
    """Raise Refused when one more review app of the base app would exceed `limit` (REVIEW_LIMIT; 0:
    none). `there`: all that exist on `where`, a host or the swarm."""
    mine = sorted((e for e in there if e.base == review.base), key=lambda each: -each.age)
    if limit <= 0 or len(mine) < limit:
        return
    apps = "1 review app" if len(mine) == 1 else f"{len(mine)} review apps"
    message = f"{review.base} has {apps} on {where} already (REVIEW_LIMIT={limit})."
    listed = "; ".join(map(_aged, mine[:12]))
    hint = (
        "Remove one: `ci-deploy destroy` in its branch, or `ci-deploy destroy --stale DAYS --yes`. "
        f"The oldest first: {listed}."
    )
    raise Refused(message, hint=hint)


def _aged(each: Known) -> str:
    days = each.age // 86400
    age = "today" if days <= 0 else "yesterday" if days == 1 else f"{days} days ago"
    return f"{each.name} ({f'{each.branch}, ' if each.branch else ''}deployed {age})"


def stale(there: Iterable[Known], base: str, days: int) -> list[str]:
    """The names of the review apps of `base` whose last deploy, on whichever host, is more than
    `days` days ago."""
    ages: dict[str, int] = {}
    for each in there:
        if each.base == base:
            ages[each.name] = min(each.age, ages.get(each.name, each.age))
    return [name for name, age in ages.items() if age > days * 86400]
