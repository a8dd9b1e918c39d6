"""Review apps: a separate app for each branch, which ci-deploy creates, marks and removes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Problem, Refused, SettingsError, SkipDeploy
from ci_deploy.settings import setting, settings
from ci_deploy.settings.lines import from_json

if TYPE_CHECKING:
    from ci_deploy.git.repository import Repository

PORTS = {
    "postgres": 5432, "mysql": 3306, "mariadb": 3306, "mongodb": 27017, "redis": 6379,
    "rediss": 6379, "amqp": 5672, "amqps": 5671,
}  # fmt: skip
ALIASES = {"postgresql": "postgres", "postgis": "postgres", "mysql2": "mysql"}
HASH = 6  # characters that make a shortened or changed name unique
MARK = "CI_DEPLOY_REVIEW_APP"  # the app's variable that marks it as our review app
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/@]*@)?([^/:?]*)")
WEB = re.compile(r"https?://")


@settings
class ReviewSettings:
    """Review apps: a separate app for each branch."""

    name: str = setting(
        "REVIEW_APP_NAME",
        "Name of the review app",
        default="",
        default_help="`APP_NAME` and the branch",
        pattern=r"[a-z0-9][a-z0-9.-]*",
    )
    domain: str = setting(
        "REVIEW_DOMAIN",
        "Domain under which each review app gets its own host name",
        default="",
        example="review.example.com",
        pattern=r"[a-z0-9][a-z0-9.-]*",
    )
    url: str = setting(
        "REVIEW_URL",
        "URL of the review app; `{app}`, `{branch}` and `{number}` (of the merge or pull request) "
        "are replaced",
        default="",
        default_help="the URL that the provider reports",
    )
    config: dict[str, str] = setting(
        "REVIEW_CONFIG",
        "Variables to set on the review app on top of APP_CONFIG, as dotenv lines",
        default={},
        text=True,
    )


def is_about(command: str, facts: CIContext, *, named: bool) -> bool:
    """Whether `command` acts on a review app in a job with these `facts`: `review` and `destroy`
    always do, `rollback` if REVIEW_APP_NAME is set (`named`) and the job is one of a merge or pull
    request or of a review environment."""
    if command == "rollback":
        return named and facts.of_a_change
    return command in {"review", "destroy"}


class ReviewApp(NamedTuple):
    """The review app on which a run acts. `review_app` makes it from the job's branch; for
    `destroy --stale` it has only its name and its base app."""

    name: str  # on the provider
    base: str  # the base app: the one whose changes it shows
    branch: str  # empty if the job has none
    settings: ReviewSettings

    @property
    def host(self) -> str:
        """The host name of the review app under REVIEW_DOMAIN; empty if that is not set."""
        label = self.name.partition(".")[0]
        return f"{label}.{self.settings.domain}" if self.settings.domain else ""

    def check_branch(self, command: str, facts: CIContext, repository: Repository) -> None:
        """Raise SkipDeploy when `review` is run for a branch that is known to be deleted: an old
        job that is run again must not recreate the review app."""
        known = self.branch and not facts.fork and facts.event != "local"
        named = self.settings.name or command != "review"
        if known and not named and repository.is_gone(self.branch):
            message = f"the branch {self.branch} is deleted, so its review app is not recreated."
            raise SkipDeploy(message)

    def url(self, facts: CIContext) -> str:
        """REVIEW_URL with its placeholders replaced; empty when it is not set."""
        known = {"app": self.name, "branch": slug(self.branch), "number": facts.change}
        return re.sub(r"\{(app|branch|number)\}", lambda m: known[m[1]], self.settings.url)


def review_app(base: str, settings: ReviewSettings, facts: CIContext, *, limit: int) -> ReviewApp:
    """The review app of this job's branch: REVIEW_APP_NAME, or a name made of `base` and the
    branch with a label of at most `limit` characters. Raises SettingsError."""
    if not (facts.branch or settings.name):
        reason = "a review app belongs to a branch, but this job has none."
        remedy = "Set REVIEW_APP_NAME to the name of the review app."
        raise SettingsError(Problem("REVIEW_APP_NAME", reason, "", remedy))
    name = settings.name or app_name(base, facts.branch, limit)
    if name == base:
        reason = f"`{base}` is the base app; a review app must be another app."
        remedy = "Set REVIEW_APP_NAME to another name, or unset it."
        raise SettingsError(Problem("REVIEW_APP_NAME", reason, "", remedy))
    return ReviewApp(name, base, facts.branch, settings)


def app_name(base: str, branch: str, limit: int) -> str:
    """A name that is valid and unique for any branch name, and the same for every pipeline of the
    branch. `hello` and `feature/x` → `hello-feature-x-3f2a1b`. The hash is added when the branch
    had to be changed or cut, since `feature-x` is another branch, or when the branch ends like a
    hash. In a domain the branch joins the first label, and `limit` (characters) is that label's."""
    label, dot, domain = base.partition(".")
    short = slug(branch)
    name = f"{label}-{short}"
    if short != branch or len(name) > limit or re.search(rf"-[0-9a-f]{{{HASH}}}\Z", branch):
        digest = hashlib.sha256(branch.encode()).hexdigest()[:HASH]
        room = limit - HASH - 1
        name = f"{name[:room].rstrip('-')}-{digest}"
    return f"{name}{dot}{domain}"


def slug(text: str) -> str:
    """The text reduced to lower-case letters, digits and single dashes; `branch` if nothing is
    left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "branch"


def mark(review: ReviewApp | None) -> dict[str, str]:
    """The app variable (name → value) that marks a review app as created by ci-deploy; empty if
    `review` is None."""
    return {MARK: json.dumps({"base": review.base, "branch": review.branch})} if review else {}


def marked(config: Mapping[str, str], base: str) -> bool:
    """Whether an app with the variables `config` is a review app of `base` that ci-deploy has
    created (`mark`)."""
    try:
        found = from_json(config.get(MARK, "{}"))
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("base") == base


def addresses(config: Mapping[str, str], web: re.Pattern[str] = WEB) -> dict[str, str]:
    """The variables of `config` whose values are addresses of services (`scheme://…`), except
    those of web pages, which `web` matches."""
    return {k: v for k, v in config.items() if ADDRESS.match(v) and not web.match(v)}


def host_of(address: str) -> str:
    """The host in an address (`scheme://…`); empty if there is none."""
    found = ADDRESS.match(address)
    return found[1] if found else ""


def same_place(one: str, other: str) -> bool:
    """Whether two addresses lead to the same service or database: the same host, port and path,
    whatever their users, drivers and parameters."""
    return one == other or _place(one) == _place(other)


def _place(address: str) -> tuple[str, str, str]:
    """Host, port and path in lower case; the text itself when it has no host."""
    try:
        parts = urlsplit(address.strip())
        scheme = parts.scheme.partition("+")[0]
        port = parts.port or PORTS.get(ALIASES.get(scheme, scheme), 0)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return address, "", ""
    return (host, str(port), parts.path.strip("/").lower()) if host else (address, "", "")


def guard_addresses(
    review: ReviewApp, base: Mapping[str, str], wanted: Mapping[str, str], hint: str
) -> None:
    """Raise Refused, with `hint`, when an address in `wanted`, of the review app's variables, leads
    to the same service (`same_place`) as one in `base`, of the base app's: migrations of the review
    app would run on production's data. Both: variable → address."""
    for key, value in wanted.items():
        theirs = next((name for name, each in base.items() if same_place(value, each)), "")
        if theirs:
            message = (
                f"{key} of {review.name} would point to the same service as {theirs} of "
                f"{review.base}: a review app must not reach the base app's services."
            )
            raise Refused(message, hint=hint)
