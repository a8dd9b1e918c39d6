"""Sentry's settings (`SentrySettings`), the description of its layer (`AboutSentry`), and names in
the form that Sentry accepts."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ci_deploy.layers.base import ThirdParty
from ci_deploy.settings import setting, settings
from ci_deploy.settings.parsers import http_url


def release_name(text: str) -> str:
    """A release name that Sentry accepts, at most 200 characters: `text` with `-` in place of
    slashes, backslashes and white space, so that any tag can be given; with `release-` before a
    name that is reserved (like `latest`) or empty."""
    name = re.sub(r"[/\\\s]+", "-", text.strip())[:200]
    return f"release-{name}" if name in {"", ".", "..", "latest"} else name


def environment_name(text: str) -> str:
    """An environment name that Sentry accepts, at most 64 characters: `text` with `-` in place of
    slashes and white space; `production` if it is empty or `None`, which Sentry reserves."""
    name = re.sub(r"[/\s]+", "-", text.strip())[:64]
    return name if name not in {"", "None"} else "production"


@settings
class SentrySettings:
    """The settings of the layer `sentry`; SENTRY_PROJECT switches it on."""

    projects: tuple[str, ...] = setting(
        "SENTRY_PROJECT", "Slugs of the projects that the release belongs to", default=()
    )
    token: str = setting(
        "SENTRY_AUTH_TOKEN",
        "Token with the scopes project:releases and org:read, or org:ci",
        secret=True,
    )
    org: str = setting(
        "SENTRY_ORG",
        "Slug of the organization",
        default="",
        default_help="the organization of the token",
    )
    url: str = setting(
        "SENTRY_URL", "URL of the Sentry server", default="https://sentry.io", parse=http_url
    )
    release: str = setting(
        "SENTRY_RELEASE",
        "Name of the release; the app's SDK must use the same name",
        default="",
        default_help="the full revision",
        parse=release_name,
    )
    sourcemaps: tuple[str, ...] = setting(
        "SENTRY_SOURCEMAPS",
        "Sourcemaps to upload: files or directories in the checkout",
        default=(),
    )
    prefix: str = setting(
        "SENTRY_URL_PREFIX",
        "Prefix of the URLs of the sourcemaps",
        default="",
        example="~/assets",
    )
    timeout: int = setting(
        "SENTRY_TIMEOUT", "Seconds that Sentry may delay a deployment in total", default=30
    )
    strict: bool = setting(
        "SENTRY_STRICT", "Fail the run when Sentry fails (otherwise a warning)", default=False
    )


class AboutSentry(ThirdParty[SentrySettings]):
    """Describes the layer `sentry`, whose code is loaded only if it takes part in the run
    (`layers.load`)."""

    name = "sentry"
    loads = "ci_deploy.layers.third_parties.sentry.layer:Sentry"
    Settings: ClassVar[type[Any]] = SentrySettings
    trigger = "SENTRY_PROJECT"
