"""Mattermost, by an incoming webhook.

Facts: developers.mattermost.com/integrate/webhooks/incoming; the server splits posts that are
longer than 16383 characters, and answers 400 with JSON for a payload that it does not like.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.notices import BAD, GOOD, NEUTRAL, STARTED, WARN, Notice, deliver
from ci_deploy.settings import setting, settings
from ci_deploy.values import http_url

COLOURS = {STARTED: "#2389d7", GOOD: "#2e9e4f", NEUTRAL: "#8a8f98", WARN: "#d18b00", BAD: "#cc3340"}
FIELD_LIMIT = 1000  # characters; a post has 16383 in all


@settings
class MattermostSettings(NotifierSettings):
    """Settings of Mattermost."""

    webhook_url: str = setting(
        "MATTERMOST_WEBHOOK_URL", "Incoming webhook", default="", secret=True, parse=http_url
    )
    channel: str = setting(
        "MATTERMOST_CHANNEL", "Channel", default="", default_help="the webhook's own"
    )


class Mattermost(Notifier[MattermostSettings]):
    """Messages in a Mattermost channel."""

    name = "mattermost"
    Settings: ClassVar[type[Any]] = MattermostSettings
    trigger = "MATTERMOST_WEBHOOK_URL"

    def send(self, notice: Notice) -> None:
        deliver(self.ctx, "Mattermost", self.settings.webhook_url, json=self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """One attachment: colour, title with a link to the job, the facts as fields."""
        text = "\n".join(f"    {line}" for line in notice.lines)
        fields = [
            {"title": name, "value": value[:FIELD_LIMIT], "short": len(value) < 40}
            for name, value in notice.fields
        ]
        if notice.compare_url:
            fields.append({"title": "Changes", "value": notice.compare_url, "short": False})
        attachment = {
            "fallback": notice.text()[:FIELD_LIMIT],
            "color": COLOURS[notice.mood],
            "title": notice.title,
            "title_link": notice.url,
            "text": text,
            "fields": fields,
        }
        payload: dict[str, Any] = {"username": "ci-deploy", "attachments": [attachment]}
        if self.settings.channel:
            payload["channel"] = self.settings.channel.lstrip("#~")
        return payload
