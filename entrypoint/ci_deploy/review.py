"""Review apps: an app of its own for each branch, made by us, marked by us, removed by us."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from ci_deploy.ci.base import CIContext
from ci_deploy.errors import Problem, SettingsError
from ci_deploy.settings import setting, settings, spelled
from ci_deploy.source import Source

HASH = 6  # characters that make a shortened or changed name unique


@settings
class ReviewSettings:
    """Review apps: an app of its own for each branch."""

    name: str = setting(
        "REVIEW_APP_NAME",
        "Name of the review app",
        default="",
        default_help="`APP_NAME` and the branch",
        pattern=r"[a-z0-9][a-z0-9.-]*",
    )
    domain: str = setting(
        "REVIEW_DOMAIN",
        "Domain under which the review app gets a name of its own",
        default="",
        example="review.example.com",
        pattern=r"[a-z0-9][a-z0-9.-]*",
    )
    url: str = setting(
        "REVIEW_URL",
        "URL of the review app; `{app}`, `{branch}` and `{number}` are replaced",
        default="",
        default_help="what the provider says",
    )
    config: dict[str, str] = setting(
        "REVIEW_CONFIG",
        "dotenv lines to set on the review app, on top of APP_CONFIG",
        default={},
        text=True,
    )


class ReviewApp(NamedTuple):
    """The review app of a branch."""

    name: str
    base: str  # the app that it is made for
    branch: str
    settings: ReviewSettings

    @property
    def host(self) -> str:
        """Its own host name under REVIEW_DOMAIN; empty without one."""
        label = self.name.partition(".")[0]
        return f"{label}.{self.settings.domain}" if self.settings.domain else ""

    def url(self, facts: CIContext) -> str:
        """REVIEW_URL for this app; empty when it is not set."""
        known = {"app": self.name, "branch": slug(self.branch), "number": facts.change}
        return re.sub(r"\{(app|branch|number)\}", lambda m: known[m[1]], self.settings.url)


def review_app(
    base: str, wanted: ReviewSettings, facts: CIContext, source: Source, *, limit: int
) -> ReviewApp:
    """The review app of this job's branch. Raises SettingsError."""
    if not (facts.branch or wanted.name):
        reason = "a review app is made for a branch, and this job has none."
        raise SettingsError(Problem("REVIEW_APP_NAME", reason, "", "Name the app."))
    name = wanted.name or app_name(base, facts.branch, limit)
    if name == base:
        reason = f"it is `{base}`, the app itself: a review app has to be another one."
        raise SettingsError(Problem(spelled("REVIEW_APP_NAME", inputs=source.inputs), reason))
    return ReviewApp(name, base, facts.branch, wanted)


def app_name(base: str, branch: str, limit: int) -> str:
    """A name that is valid and unique at any branch name, the same for every pipeline of it.

    `hello` and `feature/x` → `hello-feature-x-3f2a1b`. The hash is there whenever the branch had to
    be changed or cut, since `feature-x` is another branch, or when its own end looks like one. In a
    domain it joins the first label, and `limit` (characters) is that label's.
    """
    label, dot, domain = base.partition(".")
    short = slug(branch)
    name = f"{label}-{short}"
    if short != branch or len(name) > limit or re.search(rf"-[0-9a-f]{{{HASH}}}\Z", branch):
        digest = hashlib.sha256(branch.encode()).hexdigest()[:HASH]
        room = limit - HASH - 1
        name = f"{name[:room].rstrip('-')}-{digest}"
    return f"{name}{dot}{domain}"


def slug(text: str) -> str:
    """Lower case, digits and single dashes; never empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "branch"
