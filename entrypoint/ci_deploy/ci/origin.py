"""Where the checkout came from: its URL, and the credentials that CI has left for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

SAFE = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "protocol.ext.allow": "never",
    "http.sslVersion": "tlsv1.2",  # or newer: GnuTLS, Debian's, would take 1.0 as well
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
}


def configured(values: Mapping[str, str]) -> dict[str, str]:
    """git config by environ: values that must not be in argv, and no file to forget."""
    environ = {"GIT_CONFIG_COUNT": str(len(values))}
    for number, (key, value) in enumerate(values.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environ


def source(listed: str, job: str) -> tuple[str, dict[str, str]]:
    """The clone's URL without its password, and an environ that has it; no URL where it cannot be
    asked. `listed` is the checkout's config, `job` the URL that the platform names."""
    config = dict(line.partition(" ")[::2] for line in listed.splitlines())
    url = config.pop("remote.origin.url", "") or job
    try:
        if urlsplit(url).path == urlsplit(job).path:
            url = job  # the same, with this job's password
        parts = urlsplit(url)
    except ValueError:
        return "", {}
    if parts.scheme not in {"http", "https"}:
        local = url.startswith(("/", "file:///"))  # never an option, a helper or a host by ssh
        return (url if local else ""), configured(SAFE)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    environ = {}
    if parts.username or parts.password:
        config |= {"credential.helper": "", f"credential.{bare}.helper": HELPER}
        environ = {
            "CI_DEPLOY_USER": unquote(parts.username or ""),
            "CI_DEPLOY_PASSWORD": unquote(parts.password or ""),
        }
    return bare, {**environ, **configured({**SAFE, **config})}


def credentials(included: str, temporary: str) -> list[Path]:
    """The files of actions/checkout@v6 that are there, of `includeif.….path` lines: where it says,
    or in the job's own directory for temporary files."""
    paths = [Path(line.partition(" ")[2]) for line in included.splitlines()]
    ours = [path for path in paths if re.fullmatch(r"git-credentials-[\w-]+\.config", path.name)]
    ours += [Path(temporary, path.name) for path in ours if temporary]
    return [path for path in dict.fromkeys(ours) if path.is_file() and not path.is_symlink()]


def repository(url: str) -> str:
    """`https://x@git.example.com/acme/web.git`, `git@git.example.com:acme/web` → `acme/web`."""
    path = url.partition("://")[2].partition("/")[2] if "://" in url else url.rpartition(":")[2]
    return path.strip("/").removesuffix(".git")


# git runs this with sh; the values come from the environ, so there is nothing to quote.
HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$CI_DEPLOY_USER" "$CI_DEPLOY_PASSWORD"; }; f'
)
