"""Discord, by a webhook: a layer of ci-deploy in a package of its own.

Facts: discord.com/developers/docs/resources/webhook. A colour is a number, an embed has at most 25
fields of 1024 characters and 6000 characters in all, `allowed_mentions` switches mentions off, and
204 is the answer to a message that was taken.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.run.notifications import COLOURS, Notice, last, shorten
from ci_deploy.run.sending import deliver
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import http_url

TITLE, FIELD, TEXT = 256, 400, 2000  # characters; nine fields and the text stay below 6000


@settings
class DiscordSettings(NotifierSettings):
    """Settings of Discord."""

    webhook_url: str = setting(
        "DISCORD_WEBHOOK_URL", "Webhook of the channel", default="", secret=True, parse=http_url
    )
    username: str = setting("DISCORD_USERNAME", "Name of the sender", default="ci-deploy")


class Discord(Notifier[DiscordSettings]):
    """Messages in a Discord channel."""

    name = "discord"
    Settings: ClassVar[type[Any]] = DiscordSettings
    trigger = "DISCORD_WEBHOOK_URL"

    def send(self, notice: Notice) -> None:
        """Called in a thread of its own; what it raises becomes one warning."""
        deliver(self.ctx, "Discord", self.settings.webhook_url, json=self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """One embed: colour, title with a link to the job, the facts as fields."""
        embed: dict[str, Any] = {
            "title": shorten(notice.title, TITLE),
            "color": int(COLOURS[notice.mood].lstrip("#"), 16),
            "fields": [
                {"name": name, "value": shorten(value, FIELD), "inline": len(value) < 30}
                for name, value in notice.fields
            ],
        }
        if notice.url:
            embed["url"] = notice.url
        if notice.lines:
            lines = last([line.replace("```", "'''") for line in notice.lines], TEXT)
            embed["description"] = f"```\n{lines}\n```"
        mentions: dict[str, list[str]] = {"parse": []}
        return {
            "username": self.settings.username,
            "embeds": [embed],
            "allowed_mentions": mentions,
        }
