"""Values of an app's config as Dokku stores them, and its errors about them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from ci_deploy.errors import DeployError, DeployFailed, OutcomeUnknown
from ci_deploy.layers.providers.dokku.answers import corrupt_config
from ci_deploy.process import limits
from ci_deploy.process.program import Result

UNSTORABLE = (
    'No value may end in `"` or a backslash, contain NUL, or be a number like 0123 or +1, which '
    "Dokku rewrites: encode it (base64, say)."
)  # what to do about a value that is in `unstorable`


def unstorable(values: Mapping[str, str]) -> list[str]:
    """The names of `values` that Dokku does not return unchanged: its ENV file loses a `"` at the
    end, cannot be parsed after a `\\` at the end, and normalises numbers; NUL cannot be sent."""
    return [name for name, value in values.items() if value.endswith(('"', "\\")) or _odd(value)]


def _odd(value: str) -> bool:
    number = re.fullmatch(r"[+-]?[0-9]{1,19}", value) is not None
    return "\0" in value or (number and str(int(value)) != value)


def refused(message: str, app: str, done: Result, *, wrote: bool = False) -> DeployError:
    """The error for a config command that failed. It does not have the server's output, which may
    contain values. `message` begins a sentence that ends with the app's name. OutcomeUnknown if the
    command writes (`wrote`) and its ssh session was cut."""
    if wrote and done.exit_code in {255, limits.KILLED}:
        cut = f"the ssh session failed (exit code {done.exit_code})"
        message = f"{cut}, so it is unknown whether Dokku changed the config of {app}."
        return OutcomeUnknown(message)
    if corrupt_config(done):
        hint = (
            "Dokku cannot repair the app's file of variables: on the server, as root, correct "
            f'/home/dokku/{app}/ENV (a value that ends in `"` or a backslash, say), until '
            f"`dokku config:export {app}` works again."
        )
        return DeployFailed(f"{message}: the stored config of {app} is corrupt.", hint=hint)
    hint = "Its output may contain values, so it is not shown. On the server, "
    hint += f"`dokku config:export {app}` shows whether the config can be read."
    return DeployFailed(f"{message} of {app} (exit code {done.exit_code}).", hint=hint)


def encoded(text: str) -> str:
    """A value in the form for `config:set --encoded`."""
    return base64.b64encode(text.encode()).decode()
