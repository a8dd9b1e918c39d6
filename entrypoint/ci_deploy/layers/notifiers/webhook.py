"""The notifier `webhook`: POSTs the facts of a run as signed JSON to a URL of the user."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from typing import Any, ClassVar

from ci_deploy import __version__
from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.run.notifications import Notice, shorten
from ci_deploy.run.sending import deliver
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import http_url

SCHEMA = 1  # of the body; raised when a field changes its meaning


@settings
class WebhookSettings(NotifierSettings):
    """The settings of the layer `webhook`; NOTIFY_WEBHOOK_URL switches it on."""

    url: str = setting(
        "NOTIFY_WEBHOOK_URL",
        "URL that receives the facts of each run as JSON",
        default="",
        secret=True,
        parse=http_url,
    )
    secret: str = setting(
        "NOTIFY_WEBHOOK_SECRET",
        "Secret that the JSON is signed with (HMAC-SHA256)",
        default="",
        secret=True,
    )


class Webhook(Notifier[WebhookSettings]):
    """POSTs the facts of the run as JSON at each notice, signed if NOTIFY_WEBHOOK_SECRET is set."""

    name = "webhook"
    Settings: ClassVar[type[Any]] = WebhookSettings
    trigger = "NOTIFY_WEBHOOK_URL"

    def send(self, notice: Notice) -> None:
        body = json.dumps(self.payload(notice), ensure_ascii=False).encode()
        headers = self.headers(notice, body, str(int(time.time())))
        deliver(self.ctx, "the webhook", self.settings.url, data=body, headers=headers)

    def payload(self, notice: Notice) -> dict[str, Any]:
        """The JSON object to send: the notice's facts, with texts cut to 2000 characters;
        docs/webhook.md documents its fields."""
        told = {"schema": SCHEMA, "text": notice.title, **notice.facts}
        return {name: shorten(v, 2000) if isinstance(v, str) else v for name, v in told.items()}

    def headers(self, notice: Notice, body: bytes, at: str) -> dict[str, str]:
        """Make the headers for the JSON `body`, sent at `at` (Unix time in seconds, as text), with
        the signature if there is a secret. To be called once per notice: a receiver recognises
        repeated attempts by the delivery ID, which is random."""
        headers = {
            "Content-Type": "application/json",
            "X-CI-Deploy-Version": __version__,
            "X-CI-Deploy-Event": str(notice.facts.get("event", "")),
            "X-CI-Deploy-Delivery": str(uuid.uuid4()),
            "X-CI-Deploy-Timestamp": at,
        }
        if self.settings.secret:
            headers["X-CI-Deploy-Signature"] = signature(self.settings.secret, at, body)
        return headers

    def preview(self, notice: Notice) -> str:
        signed = "signed" if self.settings.secret else "not signed, without NOTIFY_WEBHOOK_SECRET"
        return f"POST, {signed}\n{json.dumps(self.payload(notice), ensure_ascii=False, indent=2)}"


def signature(secret: str, at: str, body: bytes) -> str:
    """The signature of a request: `sha256=` and the hexadecimal HMAC-SHA256, with `secret` as the
    key, of `at` (Unix time in seconds, as text), a full stop and the body. Spaces around the secret
    are ignored."""
    code = hmac.new(secret.strip().encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"sha256={code.hexdigest()}"
