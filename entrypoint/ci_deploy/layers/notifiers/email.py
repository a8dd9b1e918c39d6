"""The notifier `email`: mails by SMTP, with STARTTLS or TLS."""

from __future__ import annotations

import html
import re
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, ClassVar

from ci_deploy.errors import expect
from ci_deploy.layers.base import Notifier, NotifierSettings
from ci_deploy.net.mail_server import MailServer, mail_server
from ci_deploy.run.context import Context
from ci_deploy.run.notifications import COLOURS, Notice, shorten
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import words

SUBJECT = 200  # characters; RFC 5322 folds lines at 78, programs show some 100
ADDRESS = re.compile(r"[^\s@<>,;:]+@[^\s@<>,;:]+")
BAR = "border-left:4px solid {colour};padding:2px 0 2px 14px;font:14px/1.5 sans-serif;color:#1f2328"


def sender(text: str) -> str:
    """Check a sender, `x@example.com` or `Name <x@example.com>`; returns it. Raises ValueError,
    also for a name with a comma, colon, semicolon or `@`."""
    if not re.fullmatch(rf"{ADDRESS.pattern}|[^<>@,;:\n]+ <{ADDRESS.pattern}>", text):
        message = (
            f"`{text}` is not a valid e-mail address, nor like `Name <x@example.com>` with a name "
            "that has no comma, colon, semicolon or `@`."
        )
        raise ValueError(message)
    return text


def addresses(text: str) -> tuple[str, ...]:
    """Parse addresses like `x@example.com`, separated by spaces, commas or newlines. Raises
    ValueError for one that is not an address, like `Name <x@example.com>`."""
    found = words(text)
    for each in found:
        if not ADDRESS.fullmatch(each):
            message = f"`{each}` is not a valid e-mail address."
            raise ValueError(message)
    return found


@settings
class EmailSettings(NotifierSettings):
    """The settings of the layer `email`; NOTIFY_SMTP_URL switches it on."""

    server: MailServer | None = setting(
        "NOTIFY_SMTP_URL",
        "Mail server: `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465` (TLS)",
        default=None,
        secret=True,
        example="smtp://user:password@mail.example.com:587",
        parse=mail_server,
    )
    sender: str = setting(
        "NOTIFY_EMAIL_FROM",
        "Sender: an address, or `Name <address>`",
        example="deploys@example.com",
        parse=sender,
    )
    to: tuple[str, ...] = setting(
        "NOTIFY_EMAIL_TO",
        "Addresses of the recipients",
        example="team@example.com",
        parse=addresses,
    )


class Email(Notifier[EmailSettings]):
    """Sends each notice as an e-mail to NOTIFY_EMAIL_TO. Later mails of a run are replies to the
    first one, so that mail programs group them."""

    name = "email"
    Settings: ClassVar[type[Any]] = EmailSettings
    trigger = "NOTIFY_SMTP_URL"

    def __init__(self, ctx: Context, settings: EmailSettings) -> None:
        super().__init__(ctx, settings)
        self._thread = ""  # Message-ID of the first message

    def send(self, notice: Notice) -> None:
        from ci_deploy.net import smtp

        smtp.send(
            expect(self.settings.server, "the mail server"),
            self.message(notice),
            ca=self.ctx.settings.ca_bundle,
            sleep=self.ctx.cancellation.sleep,
            say=lambda error, _seconds: self.ctx.send_queue.note(error),
        )

    def message(self, notice: Notice) -> EmailMessage:
        """Make the mail for a notice, as text and HTML; in the HTML, texts from outside are
        escaped. Later mails are replies to the one that the first call has made."""
        message = EmailMessage()
        message["Subject"] = shorten(" ".join(notice.title.split()), SUBJECT)
        message["From"], message["To"] = self.settings.sender, ", ".join(self.settings.to)
        message["Date"] = formatdate(localtime=True)
        message["Message-ID"] = make_msgid(domain="ci-deploy.invalid")
        message["Auto-Submitted"] = "auto-generated"
        if self._thread:
            message["In-Reply-To"] = message["References"] = self._thread
        else:
            self._thread = str(message["Message-ID"])
        links = [f"Job: {notice.url}"] if notice.url else []
        links += [f"Changes: {notice.compare_url}"] if notice.compare_url else []
        message.set_content("\n".join([notice.text(), "", *links]).rstrip() + "\n")
        message.add_alternative(self.html(notice), subtype="html")
        return message

    def html(self, notice: Notice) -> str:
        """The notice as an HTML fragment, escaped: a coloured bar, title, fields, lines."""
        rows = "".join(
            f'<tr><td style="color:#59636e;padding-right:14px;vertical-align:top">'
            f"{html.escape(name)}</td><td>{_value(value, notice)}</td></tr>"
            for name, value in notice.fields
        )
        lines = html.escape("\n".join(notice.lines))
        pre = f'<pre style="background:#f6f8fa;padding:8px">{lines}</pre>' if lines else ""
        title = _link(notice.url, notice.title)
        bar = BAR.format(colour=COLOURS[notice.mood])
        return f'<div style="{bar}"><b>{title}</b><table>{rows}</table>{pre}</div>\n'

    def preview(self, notice: Notice) -> str:
        message = self.message(notice)
        head = [f"{name}: {message[name]}" for name in ("From", "To", "Subject")]
        return "\n".join([*head, "", message.get_body(("plain",)).get_content().rstrip()])  # type: ignore[union-attr]


def _link(url: str, text: str) -> str:
    shown = html.escape(text)
    return f'<a href="{html.escape(url)}">{shown}</a>' if re.match(r"https?://", url) else shown


def _value(value: str, notice: Notice) -> str:
    if notice.compare_url and notice.change and value.startswith(notice.change):
        rest = html.escape(value.removeprefix(notice.change))
        return _link(notice.compare_url, notice.change) + rest
    if re.fullmatch(r"https?://\S+", value):
        return _link(value, value)
    return html.escape(value).replace("\n", "<br>")
