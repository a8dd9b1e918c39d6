"""What a client sees while an app is switched: a host asks it all the time."""

from __future__ import annotations

import re
from pathlib import Path

ASKING = Path(__file__).parent / "host/ask.sh"  # runs on the host
ASKED = re.compile(r"https?://[\w.:\[\]{}-]+(/[^\s\"'\\?@#]*)?")


def client_url(url: str, host: str = "") -> str:
    """What a host asks while it switches; empty for none. Not a URL with a query, in which there
    may be a token: the host's other users can see it."""
    return url.replace("{host}", host) if ASKED.fullmatch(url) else ""
