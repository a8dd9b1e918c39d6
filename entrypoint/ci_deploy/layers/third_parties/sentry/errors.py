"""Turns errors of Sentry's API (`refusal`) and of sentry-cli (`failure`) into ours, with what to
do."""

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
    """Sentry has answered 429 or 5xx, so another attempt may succeed. `retry_after`: the seconds to
    wait before it, if the response names them, else None."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def refusal(status: int, words: str, what: str, *, retry_after: float | None = None) -> DeployError:
    """Make the error for an HTTP status other than 2xx. `words`: Sentry's message, perhaps empty;
    `what`: the action that failed, like `create the release`; `retry_after`: seconds, or None."""
    said = f"{status}: {words[:200].rstrip('.')}" if words else str(status)
    if status == 401:
        return Unauthorized(
            f"cannot {what}: Sentry rejects SENTRY_AUTH_TOKEN ({said}). Check that it is still "
            "valid and belongs to the server SENTRY_URL."
        )
    if status == 403:
        return Unauthorized(
            f"SENTRY_AUTH_TOKEN is not allowed to {what} ({said}): it needs {SCOPES}."
        )
    if status == 404:
        return DeployFailed(
            f"cannot {what}: Sentry does not know this organization or project, or the token does "
            f"not belong to it ({said}). Check SENTRY_ORG, SENTRY_PROJECT and SENTRY_URL."
        )
    if status == 429 or status >= 500:
        return Busy(f"cannot {what}: Sentry answers {said}.", retry_after)
    return DeployFailed(f"cannot {what}: Sentry answers {said}.")


def failure(result: Result, what: str) -> DeployError:
    """Make the error for a failed sentry-cli from its output: that of `refusal` if Sentry has
    answered, Unreachable for curl's temporary errors, else DeployFailed with sentry-cli's words.
    `what`: as for `refusal`."""
    text = result.errors or result.text
    if found := re.search(r"sentry reported an error: (.*?) \(http status: (\d+)\)", text, re.S):
        return refusal(int(found[2]), found[1].strip(), what)
    if re.search(r"error: \w+ not found", text):
        return refusal(404, "", what)
    if found := re.search(r"\[60\] [^(\n]*(?:\((.*)\))?", text):
        reason = f" ({CERTIFICATE.sub('', found[1])})" if found[1] else ""
        message = f"cannot {what}: Sentry's TLS certificate is not trusted{reason}."
        return DeployFailed(f"{message} For a private certificate authority, set CA_BUNDLE.")
    if found := re.search(r"\[(\d+)\] ([^(\n]+)", text):
        words = f"cannot {what}: {found[2].strip()}."
        return Unreachable(words) if int(found[1]) in UNREACHABLE else DeployFailed(words)
    first = next((line for line in text.splitlines() if line.startswith("error:")), text[:200])
    words = first.removeprefix("error:").strip().rstrip(".")
    words = words or f"sentry-cli failed with exit code {result.exit_code} and printed nothing"
    return DeployFailed(f"cannot {what}: {words}.")
