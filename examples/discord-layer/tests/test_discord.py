"""Tests of the JSON for Discord: `python -m pytest` in this directory, with ci-deploy installed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ci_deploy_discord import Discord, DiscordSettings

from ci_deploy.run.notifications import BAD, Notice

NOTICE = Notice(
    mood=BAD,
    title="web: deploy failed: 9f8e7d6",
    fields=(("By", "jane"), ("Reason", "x" * 5000)),
    lines=("boom ```", "@everyone"),
    url="https://ci.example.com/7",
)


def _payload(notice: Notice = NOTICE) -> dict[str, Any]:
    ctx: Any = SimpleNamespace()
    return Discord(ctx, DiscordSettings(webhook_url="https://x/y")).payload(notice)


def test_colour_is_a_number_and_the_title_leads_to_the_job() -> None:
    [embed] = _payload()["embeds"]
    assert embed["color"] == 0xCC3340
    assert embed["url"] == NOTICE.url


def test_lengths_are_kept() -> None:
    [embed] = _payload()["embeds"]
    assert all(len(field["value"]) <= 1024 for field in embed["fields"])
    assert embed["description"].count("```") == 2


def test_of_too_many_lines_the_last_ones_are_shown() -> None:
    [embed] = _payload(NOTICE._replace(lines=("x" * 1500, "y" * 1500, "the reason")))["embeds"]
    assert embed["description"].endswith("\nthe reason\n```")


def test_nobody_is_mentioned() -> None:
    assert _payload()["allowed_mentions"] == {"parse": []}
