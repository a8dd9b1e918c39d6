"""Reads the commits of a release from git (`commits`), in the format of Sentry's API ("Update an
Organization's Release")."""

from __future__ import annotations

from typing import Any

from ci_deploy.git.repository import Repository

MOST = 200  # commits that are sent at most
FIRST = 20  # commits of the first release, as in sentry-cli
BODY = 4000  # characters of a message at most
FORMAT = "%x01%H%x02%an%x02%ae%x02%aI%x02%B%x02"


def commits(repository: Repository, old: str, new: str, name: str) -> list[dict[str, Any]]:
    """The commits after `old` (what was live before) up to `new`, full SHAs: JSON objects, newest
    first, with their files, at most MOST. If `old` is empty or not in the checkout, the newest
    FIRST up to `new`. Commits that a shallow clone lacks are left out; empty if git fails. `name`:
    the repository's name in Sentry."""
    known = bool(old) and repository.has(old)
    which = [f"{old}..{new}"] if known else [new]
    most = MOST if known else FIRST
    found = repository.git(
        "log", "-z", f"--max-count={most}", "--no-show-signature", "--no-renames", "--name-status",
        f"--format={FORMAT}", *which, ok=None,
    )  # fmt: skip
    return [
        commit
        for text in found.out.decode(errors="replace").split("\x01")[1:]
        if (commit := _commit(text, name))
    ]


def _commit(text: str, name: str) -> dict[str, Any] | None:
    parts = text.split("\x02")
    if len(parts) < 6:
        return None
    sha, author, email, at, message, *files = parts
    words = [word for word in files[-1].strip("\0\n").split("\0") if word]
    pairs = zip(words[::2], words[1::2], strict=False)
    return {
        "id": sha,
        "repository": name,
        "author_name": author,
        "author_email": email,
        "timestamp": at,
        "message": message.strip()[:BODY],
        "patch_set": [{"path": path, "type": kind[:1]} for kind, path in pairs],
    }
