"""The notifier `mattermost`: messages by an incoming webhook.

Sources: developers.mattermost.com/integrate/webhooks/incoming and /reference/message-attachments.
The server answers 400 with JSON for an invalid payload, splits posts of more than 16383 characters,
and refuses attachments of more than about 8000.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.run.notifications import COLOURS, LINES, Notice, last, shorten
from ci_deploy.run.sending import deliver
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import http_url

TITLE, FIELD, TEXT = 200, 500, 2000  # characters; with nine fields the sum stays below 8000
SHORT = 40  # characters; shorter values are shown two in a row


@settings
class MattermostSettings(NotifierSettings):
    """The settings of the layer `mattermost`; MATTERMOST_WEBHOOK_URL switches it on."""

    webhook_url: str = setting(
        "MATTERMOST_WEBHOOK_URL",
        "URL of an incoming webhook",
        default="",
        secret=True,
        parse=http_url,
    )
    channel: str = setting(
        "MATTERMOST_CHANNEL", "Channel to post to", default="", default_help="the webhook's own"
    )


class Mattermost(Notifier[MattermostSettings]):
    """Posts each notice as a message in a Mattermost channel."""

    name = "mattermost"
    Settings: ClassVar[type[Any]] = MattermostSettings
    trigger = "MATTERMOST_WEBHOOK_URL"

    def send(self, notice: Notice) -> None:
        deliver(self.ctx, "Mattermost", self.settings.webhook_url, json=self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """The JSON for the webhook: one attachment with a colour, the title with a link to the job,
        and the notice's fields and lines, escaped and shortened to Mattermost's limits; the channel
        if MATTERMOST_CHANNEL is set."""
        lines = last(notice.lines, TEXT - 4 * (LINES + 1))
        # a title with a link is shown as it is, one without is Markdown
        title = notice.title if notice.url else plain(notice.title)
        attachment = {
            "fallback": shorten(notice.title, TITLE),
            "color": COLOURS[notice.mood],
            "title": shorten(title, TITLE),
            "title_link": notice.url,
            "text": "\n".join(f"    {line}" for line in lines.splitlines()),
            "fields": [
                {"title": name, "value": _value(value, notice), "short": len(value) < SHORT}
                for name, value in notice.fields
            ],
        }
        payload: dict[str, Any] = {"username": "ci-deploy", "attachments": [attachment]}
        if self.settings.channel:
            payload["channel"] = self.settings.channel.lstrip("#~")
        return payload

    def preview(self, notice: Notice) -> str:
        payload = self.payload(notice)
        [attachment] = payload["attachments"]
        to = [f"to {payload['channel']}"] if "channel" in payload else []
        rows = [f"{field['title']}: {field['value']}" for field in attachment["fields"]]
        text = "\n".join([*to, attachment["title"], *rows])
        text = re.sub(r"(?<!\\)\[([^\]]*)\]\((https?:[^)]*)\)", r"\1 (\2)", text)
        return "\n".join([re.sub(r"\\(\W)", r"\1", text), *attachment["text"].splitlines()])


def plain(text: str) -> str:
    """Escape Mattermost's Markdown with backslashes, so that a commit message makes no image, style
    or link, except for a bare URL."""
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", text)


def _value(value: str, notice: Notice) -> str:
    if re.fullmatch(r"https?://[^\s()\[\]<>]+", value):
        return shorten(value, FIELD)
    text = shorten(plain(value), FIELD)
    if notice.compare_url and notice.change and text.startswith(notice.change):
        return f"[{notice.change}]({notice.compare_url}){text.removeprefix(notice.change)}"
    return text
