"""The Sentry account: server, organization and token."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from ci_deploy.settings.lines import from_json

PREFIX = "sntrys_"  # an organization token: `sntrys_<base64 of JSON>_<secret>`


class Account(NamedTuple):
    """The account. `url` has no slash at its end."""

    url: str
    org: str
    token: str
    projects: tuple[str, ...] = ()
    other_url: str = ""  # the token's URL, if it overrides the setting

    def __repr__(self) -> str:  # without the token
        return f"Account({self.url}, {self.org})"

    @classmethod
    def of(cls, url: str, org: str, token: str, projects: tuple[str, ...]) -> Account:
        """Make the account. An organization token names its server, which wins, as in sentry-cli,
        and its organization."""
        told = embedded(token)
        said = str(told.get("url") or "").rstrip("/")
        wanted = url.rstrip("/")
        other = said if said and said != wanted else ""
        return cls(said or wanted, org or str(told.get("org") or ""), token, projects, other)


def embedded(token: str) -> dict[str, object]:
    """The data in an organization token; empty for other tokens."""
    if not token.startswith(PREFIX):
        return {}
    code = token.removeprefix(PREFIX).rpartition("_")[0]
    try:
        found = from_json(base64.b64decode(code + "=" * (-len(code) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}
