"""Sends mail: with TLS wherever the server offers it, and never a password without TLS."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from email.message import EmailMessage

from ci_deploy.errors import DeployError, DeployFailed, Unauthorized, Unreachable
from ci_deploy.net import tls
from ci_deploy.net.mail_server import MailServer
from ci_deploy.net.retry import retry

TIMEOUT = 10.0  # seconds to wait for each response of the server


def send(
    server: MailServer,
    message: EmailMessage,
    *,
    ca: str,
    sleep: Callable[[float], None],
    say: Callable[[Exception, float], None],
) -> None:
    """Send a mail; tried up to three times while the server cannot be reached or rejects it for now
    (4xx; but a rejected login or recipient is final). `ca`: the path of a file with CA certificates
    to trust; if empty, the system's. `sleep` and `say` are those of `retry`. Raises Unauthorized
    for the login, DeployFailed (also when only some recipients are rejected) or Unreachable; their
    texts never show the password."""
    context = ssl.create_default_context(cafile=ca or None)
    retry(
        lambda: _send(server, message, context),
        on=Unreachable,
        sleep=sleep,
        attempts=3,
        say=say,
    )


def _send(server: MailServer, message: EmailMessage, context: ssl.SSLContext) -> None:
    try:
        with contextlib.closing(_connected(server, context)) as smtp:
            refused = smtp.send_message(message)
            with contextlib.suppress(OSError, smtplib.SMTPException):
                smtp.quit()  # ignore the answer: the mail is sent, and must not be sent twice
    except smtplib.SMTPAuthenticationError as error:
        said = _words(error)
        raise Unauthorized(f"{server} rejects the user or the password: {said}") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise _rejected(server, error.recipients) from None
    except smtplib.SMTPResponseException as error:
        kind: type[DeployError] = Unreachable if 400 <= error.smtp_code < 500 else DeployFailed
        raise kind(f"{server} rejects the mail: {_words(error)}") from None
    except ssl.SSLCertVerificationError as error:
        raise DeployFailed(f"{server}: {tls.reason(error)}.") from None
    except smtplib.SMTPNotSupportedError as error:
        raise DeployFailed(f"{server} cannot take the mail: {_reason(error)}.") from None
    except (OSError, smtplib.SMTPException) as error:
        raise Unreachable(f"{server} cannot be reached: {_reason(error)}.") from None
    if refused:
        raise _rejected(server, refused)


def _connected(server: MailServer, context: ssl.SSLContext) -> smtplib.SMTP:
    """Connect, over TLS if possible, and log in. Raises DeployFailed, and what smtplib raises."""
    name = _own_name()
    if server.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, name, timeout=TIMEOUT, context=context
        )
    else:
        smtp = smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT)
    try:
        smtp.ehlo()
        if server.scheme == "smtp" and smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
        elif server.scheme == "smtp" and server.user:
            message = f"{server} offers no TLS, so ci-deploy does not send it the password."
            raise DeployFailed(message)
        if server.user:
            smtp.login(server.user, server.password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _own_name() -> str:
    """Our name for EHLO. Not from getfqdn(), which may wait for a name server that hangs."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _rejected(server: MailServer, refused: Mapping[str, tuple[int, bytes]]) -> DeployFailed:
    """The error for recipients that the server rejects: address → code and text."""
    said = (
        f"{address} ({code} {text.decode(errors='replace').partition(chr(10))[0][:160].strip()})"
        for address, (code, text) in refused.items()
    )
    return DeployFailed(f"{server} rejects mail for {', '.join(said)}.")


def _words(error: smtplib.SMTPResponseException) -> str:
    said = error.smtp_error
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return f"{error.smtp_code} {next(iter(text.splitlines()), '')[:160]}".strip()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, ssl.SSLError):
        wrong = "WRONG_VERSION_NUMBER" in str(error)
        return tls.reason(error) + wrong * " here (smtp:// is for STARTTLS, smtps:// for TLS)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rstrip(".").lower() or type(error).__name__
