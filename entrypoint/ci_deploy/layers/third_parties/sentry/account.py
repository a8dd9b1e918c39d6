"""The Sentry account (`Account`): server, organization and token, also from what an organization
token contains."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from ci_deploy.settings.lines import from_json

PREFIX = "sntrys_"  # an organization token: `sntrys_<base64 of JSON>_<secret>`


class Account(NamedTuple):
    """The Sentry server, organization and token of this run."""

    url: str  # of the server, without a slash at its end
    org: str  # the slug of the organization
    token: str
    projects: tuple[str, ...] = ()  # the slugs of the projects
    other_url: str = ""  # the token's URL, if it overrides SENTRY_URL

    def __repr__(self) -> str:  # without the token
        return f"Account({self.url}, {self.org})"

    @classmethod
    def of(cls, url: str, org: str, token: str, projects: tuple[str, ...]) -> Account:
        """Make the account from the settings. An organization token contains the URL of its server,
        which takes precedence over `url`, as in sentry-cli, and its organization, which is used if
        `org` is empty. `org` stays empty if neither names it."""
        told = embedded(token)
        said = str(told.get("url") or "").rstrip("/")
        wanted = url.rstrip("/")
        other = said if said and said != wanted else ""
        return cls(said or wanted, org or str(told.get("org") or ""), token, projects, other)


def embedded(token: str) -> dict[str, object]:
    """The JSON object in an organization token (`url`, `org` and more); empty for other tokens, and
    for one that cannot be decoded."""
    if not token.startswith(PREFIX):
        return {}
    code = token.removeprefix(PREFIX).rpartition("_")[0]
    try:
        found = from_json(base64.b64decode(code + "=" * (-len(code) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}
