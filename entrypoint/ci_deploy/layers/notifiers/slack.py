"""The notifier `slack`: messages by an incoming webhook.

Sources: docs.slack.dev, "Sending messages using incoming webhooks", "Block Kit" (section: text of
3000 characters, ten fields of 2000), "Formatting message text" (`&`, `<`, `>` are the only
characters to escape; mentions and links are written with `<`). A webhook answers 200 `ok`, an error
with a word like `invalid_payload`, 429 with Retry-After; the Web API reports errors by 200 and `ok:
false`.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, ClassVar

from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.run.notifications import COLOURS, Notice, last
from ci_deploy.run.sending import deliver
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import http_url

if TYPE_CHECKING:
    from ci_deploy.net.http import Response

TITLE, FIELD, TEXT = 300, 2000, 3000  # characters
FIELDS = 10  # in one section at most


@settings
class SlackSettings(NotifierSettings):
    """The settings of the layer `slack`; SLACK_WEBHOOK_URL switches it on."""

    webhook_url: str = setting(
        "SLACK_WEBHOOK_URL",
        "URL of an incoming webhook",
        default="",
        secret=True,
        parse=http_url,
    )


class Slack(Notifier[SlackSettings]):
    """Posts each notice as a message in the webhook's Slack channel."""

    name = "slack"
    Settings: ClassVar[type[Any]] = SlackSettings
    trigger = "SLACK_WEBHOOK_URL"

    def send(self, notice: Notice) -> None:
        url = self.settings.webhook_url
        deliver(self.ctx, "Slack", url, refusal=_refusal, json=self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """The JSON for the webhook: the title as text (desktop notifications show it), and an
        attachment with the notice's fields and lines, escaped and shortened to Slack's limits."""
        title = escape(notice.title, TITLE)
        blocks: list[dict[str, Any]] = []
        for start in range(0, len(notice.fields), FIELDS):
            part = notice.fields[start : start + FIELDS]
            fields = [_text(f"*{name}*\n{_value(value, notice)}") for name, value in part]
            blocks.append({"type": "section", "fields": fields})
        if notice.lines:
            shown = [escape(line.replace("```", "` ` `"), FIELD) for line in notice.lines]
            lines = _text(f"```{last(shown, TEXT - 6)}```")
            blocks.append({"type": "section", "text": lines})
        return {
            "text": f"*<{_url(notice.url)}|{title}>*" if notice.url else f"*{title}*",
            "attachments": [{"color": COLOURS[notice.mood], "blocks": blocks}],
        }

    def preview(self, notice: Notice) -> str:
        payload = self.payload(notice)
        texts = [payload["text"]]
        for block in payload["attachments"][0]["blocks"]:
            texts += [field["text"] for field in block.get("fields", [])]
            texts += [block["text"]["text"]] if "text" in block else []
        return "\n".join(map(_shown, texts))


def escape(text: str, limit: int) -> str:
    """Escape `&`, `<` and `>` in text for Slack's mrkdwn, and cut it to `limit` characters with an
    ellipsis, but not within an entity."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    if len(text) <= limit:
        return text
    return re.sub(r"&[a-z]{0,3}$", "", text[: limit - 1]) + "…"


def _shown(text: str) -> str:
    """The text roughly as Slack shows it, for `plan`."""
    text = re.sub(r"<([^|>]+)\|([^>]*)>", r"\2 (\1)", text)
    text = re.sub(r"^\*(.*?)\*\n", r"\1: ", text).replace("```", "")
    return html.unescape(re.sub(r"^\*(.*)\*$", r"\1", text))


def _text(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _url(url: str) -> str:
    return re.sub(r"[<>|\s]", "", url).replace("&", "&amp;")


def _value(value: str, notice: Notice) -> str:
    text = escape(value, FIELD - 100 - len(notice.compare_url))
    if notice.compare_url and notice.change:
        change = escape(notice.change, FIELD)
        if text.startswith(change):
            return f"<{_url(notice.compare_url)}|{change}>{text.removeprefix(change)}"
    return text


def _refusal(response: Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return ""
    if isinstance(answer, dict) and answer.get("ok") is False:
        return f"{response.status} {answer.get('error') or 'ok: false'}"
    return ""
