"""Turns the errors of Sentry and sentry-cli into ours, with what to do."""

from __future__ import annotations

import re

from ci_deploy.errors import DeployError, DeployFailed, Unauthorized, Unreachable
from ci_deploy.process.program import Result

SCOPES = "project:releases and org:read, or make it an organization token (scope org:ci)"
# Curl's texts around OpenSSL's reason, in several versions.
CERTIFICATE = re.compile(
    r"^(SSL certificate OpenSSL verify result|SSL certificate problem|SSL): | \(\d+\)$"
)
UNREACHABLE = {6, 7, 16, 18, 28, 35, 52, 55, 56, 92}  # curl's codes for temporary errors


class Busy(Unreachable):
    """Sentry answers 429 or 5xx. `retry_after`: the seconds to wait, if the response names them."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def refusal(status: int, words: str, what: str, *, retry_after: float | None = None) -> DeployError:
    """The error for an HTTP status. `words`: Sentry's message; `what`: the action that failed, like
    `create the release`; `retry_after`: seconds."""
    said = f": {words[:200]}" if words else ""
    if status == 401:
        return Unauthorized(f"Sentry rejects SENTRY_AUTH_TOKEN (401). Skipped: {what}.")
    if status == 403:
        return Unauthorized(f"SENTRY_AUTH_TOKEN is not allowed to {what} (403): it needs {SCOPES}.")
    if status == 404:
        return DeployFailed(
            f"cannot {what}: Sentry does not know this organization or project, or the token does "
            "not belong to it (404). Check SENTRY_ORG, SENTRY_PROJECT and SENTRY_URL."
        )
    if status == 429 or status >= 500:
        return Busy(f"cannot {what}: Sentry answers {status}.", retry_after)
    return DeployFailed(f"cannot {what}: Sentry answers {status}{said}.")


def failure(result: Result, what: str) -> DeployError:
    """The error for a failed sentry-cli, from its output. `what`: as for `refusal`."""
    text = result.errors or result.text
    if found := re.search(r"sentry reported an error: (.*?) \(http status: (\d+)\)", text, re.S):
        return refusal(int(found[2]), found[1].strip(), what)
    if re.search(r"error: \w+ not found", text):
        return refusal(404, "", what)
    if found := re.search(r"\[60\] [^(\n]*(?:\((.*)\))?", text):
        reason = f" ({CERTIFICATE.sub('', found[1])})" if found[1] else ""
        return DeployFailed(f"cannot {what}: Sentry's TLS certificate is not trusted{reason}.")
    if found := re.search(r"\[(\d+)\] ([^(\n]+)", text):
        words = f"cannot {what}: {found[2].strip()}."
        return Unreachable(words) if int(found[1]) in UNREACHABLE else DeployFailed(words)
    first = next((line for line in text.splitlines() if line.startswith("error:")), text[:200])
    return DeployFailed(f"cannot {what}: {first.removeprefix('error:').strip()}")
