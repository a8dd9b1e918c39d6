"""Escapes text from outside for the Markdown of GitHub, GitLab, Forgejo and Gitea, so that it is
shown as plain text."""

from __future__ import annotations

import re

# What they turn into a mention, reference or character: @jane, #1, !1, %milestone, ~label, &#64;
REFERENCE = re.compile(r"([@#!%~&^](?=[\w#\"{])|\$(?=\d))")
SAFE_URL = re.compile(r"https?://[\w.:/?&=%~+,;@-]+")


def plain(text: str) -> str:
    """The text on one line, escaped for a table cell or heading. `<` and `>` become spaces, other
    Markdown gets backslashes, and an invisible U+2060 follows what would begin a mention or a
    reference. A bare URL stays a link."""
    for character in "\\|`<>[]*_~$":
        text = text.replace(character, f"\\{character}" if character not in "<>" else " ")
    return " ".join(REFERENCE.sub("\\1\u2060", text).split())


def link(url: str, text: str = "") -> str:
    """A Markdown link to `url`, which comes from a server, or the bare URL if there is no `text`,
    which must be escaped already. If the URL is not http(s), or has characters like `)` or a
    space: only the text, or the escaped URL."""
    if not SAFE_URL.fullmatch(url):
        return text or plain(url)
    return f"[{text}]({url})" if text else url


def fenced(text: str) -> str:
    """A Markdown code block with `text`, which is not changed; its fence of backticks is longer
    than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
