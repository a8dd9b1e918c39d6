"""Which Sentry, which organization, which token."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from ci_deploy.settings.lines import from_json

PREFIX = "sntrys_"  # an organization token: `sntrys_<base64 of JSON>_<secret>`


class Account(NamedTuple):
    """Where and as whom to speak. `url` has no slash at its end."""

    url: str
    org: str
    token: str
    projects: tuple[str, ...] = ()
    other_url: str = ""  # what the token says, where it overrules the setting

    def __repr__(self) -> str:  # without the token
        return f"Account({self.url}, {self.org})"

    @classmethod
    def of(cls, url: str, org: str, token: str, projects: tuple[str, ...]) -> Account:
        """An organization token names its server and organization; sentry-cli lets that win."""
        told = embedded(token)
        said = str(told.get("url") or "").rstrip("/")
        wanted = url.rstrip("/")
        other = said if said and said != wanted else ""
        return cls(said or wanted, org or str(told.get("org") or ""), token, projects, other)


def embedded(token: str) -> dict[str, object]:
    """What an organization token says of itself; nothing for other tokens."""
    if not token.startswith(PREFIX):
        return {}
    code = token.removeprefix(PREFIX).rpartition("_")[0]
    try:
        found = from_json(base64.b64decode(code + "=" * (-len(code) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}
