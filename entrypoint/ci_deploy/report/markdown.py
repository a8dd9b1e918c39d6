"""Escapes text from outside for the Markdown of GitHub, GitLab, Forgejo and Gitea, so that it is
shown as plain text."""

from __future__ import annotations

import re

# What they turn into a mention, reference or character: @jane, #1, !1, %milestone, ~label, &#64;
REFERENCE = re.compile(r"([@#!%~&^](?=[\w#\"{])|\$(?=\d))")
SAFE_URL = re.compile(r"https?://[\w.:/?&=%~+,;@-]+")


def plain(text: str) -> str:
    """The text on one line, escaped: it makes no table, link, mention, reference, HTML or quick
    action."""
    for character in "\\|`<>[]*_~$":
        text = text.replace(character, f"\\{character}" if character not in "<>" else " ")
    return " ".join(REFERENCE.sub("\\1\u2060", text).split())


def link(url: str, text: str = "") -> str:
    """A Markdown link to `url`, which comes from a server, or the bare URL if there is no text. If
    the URL is not safe: the text, or the escaped URL."""
    if not SAFE_URL.fullmatch(url):
        return text or plain(url)
    return f"[{text}]({url})" if text else url


def fenced(text: str) -> str:
    """A Markdown code block with `text`, whose fence is longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
