"""Tabs in the documentation, a hook of mkdocs.

In a page's Markdown they are paragraphs, each under a bold label, between two comments: so the page
also reads well on GitHub, where messages of ci-deploy link to.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import Any

TABS = re.compile(r"^<!-- tabs -->\n(.*?)^<!-- end of tabs -->$", re.M | re.S)
LABEL = re.compile(r"^\*\*(.+)\*\*$", re.M)


def on_page_markdown(markdown: str, **_page: Any) -> str:
    """What mkdocs calls with the Markdown of each page."""
    return TABS.sub(lambda found: _tabs(found[1]), markdown)


def _tabs(text: str) -> str:
    """The paragraphs in the form of pymdownx.tabbed. Raises ValueError for text before a label."""
    before, *parts = LABEL.split(text)
    if before.strip():
        raise ValueError(f"tabs begin with a label like **Dokku**, not with {before!r}")
    pairs = itertools.zip_longest(parts[::2], parts[1::2])
    return "\n".join(f'=== "{label}"\n\n{textwrap.indent(body, " " * 4)}' for label, body in pairs)
