"""A hook of mkdocs that makes tabs.

In a page's Markdown, tabs are paragraphs, each under a bold label, between two comments. So the
page also reads well on GitHub, to which messages of ci-deploy link.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import Any

TABS = re.compile(r"^<!-- tabs -->\n(.*?)^<!-- end of tabs -->$", re.M | re.S)
LABEL = re.compile(r"^\*\*(.+)\*\*$", re.M)


def on_page_markdown(markdown: str, **_page: Any) -> str:
    """The Markdown of a page with its tabs in the form of pymdownx.tabbed; mkdocs calls it for each
    page (mkdocs.org, "Plugin events"). Raises ValueError for text before the first label."""
    return TABS.sub(lambda found: _tabs(found[1]), markdown)


def _tabs(text: str) -> str:
    """The paragraphs in the form of pymdownx.tabbed. Raises ValueError for text before a label."""
    before, *parts = LABEL.split(text)
    if before.strip():
        raise ValueError(f"tabs begin with a label like **Dokku**, not with {before!r}")
    pairs = itertools.zip_longest(parts[::2], parts[1::2])
    return "\n".join(f'=== "{label}"\n\n{textwrap.indent(body, " " * 4)}' for label, body in pairs)
