"""Chooses the release to roll back to, for Docker hosts and swarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ci_deploy.errors import Refused

PREVIOUS = "previous"


class Earlier(NamedTuple):
    """A release that was live and is kept."""

    id: str
    tag: str
    revision: str  # full SHA


def choose(kept: Sequence[Earlier], current: str, wanted: str, app: str) -> str:
    """The id of the release that is `wanted`: an id, a tag, or at least seven digits of a revision;
    empty or `previous` for the newest one that is not `current`. `kept`: the newest first. Raises
    Refused when there is none, with `app` in its message."""
    others = [each for each in kept if each.id != current]
    if wanted in {"", PREVIOUS}:
        found, message = others, f"there is no release of {app} to roll back to."
    else:
        found = [each for each in kept if _is(each, wanted)]
        message = f"there is no release {wanted} of {app} to roll back to."
    if not found:
        listed = ", ".join(each.id for each in others) or "none"
        raise Refused(message, hint=f"Releases that are kept: {listed}.")
    return found[0].id


def _is(release: Earlier, wanted: str) -> bool:
    begins = len(wanted) >= 7 and release.revision.startswith(wanted)
    return begins or wanted in {release.id, release.tag}
