"""The notifier `discord`: messages by a webhook. An example of a layer in a separate package.

Source: discord.com/developers/docs/resources/webhook. A colour is a number, an embed has at most 25
fields of 1024 characters and 6000 characters in all, `allowed_mentions` switches mentions off, and
Discord answers an accepted message with 204.
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
        "DISCORD_WEBHOOK_URL",
        "URL of the channel's webhook",
        default="",
        secret=True,
        parse=http_url,
    )
    username: str = setting("DISCORD_USERNAME", "Name of the sender", default="ci-deploy")


class Discord(Notifier[DiscordSettings]):
    """Posts messages in a Discord channel."""

    name = "discord"
    Settings: ClassVar[type[Any]] = DiscordSettings
    trigger = "DISCORD_WEBHOOK_URL"

    def send(self, notice: Notice) -> None:
        """Send a notice; called in a background thread. An error is logged as a warning."""
        deliver(self.ctx, "Discord", self.settings.webhook_url, json=self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """The JSON for the webhook: one embed with a colour, the title with a link to the job, and
        the notice's fields and lines."""
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
