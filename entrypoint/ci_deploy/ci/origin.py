"""The URL that the checkout was cloned from, and the credentials that the CI platform has left for
it in the job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

SAFE = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "protocol.ext.allow": "never",
    "http.sslVersion": "tlsv1.2",  # or newer: Debian's GnuTLS would accept 1.0 too
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
}


def configured(values: Mapping[str, str]) -> dict[str, str]:
    """Return git config `values` (key → value) as the environment variables GIT_CONFIG_COUNT,
    _KEY_n and _VALUE_n (git-config(1)): so they are not in argv, and no file has to be removed."""
    environ = {"GIT_CONFIG_COUNT": str(len(values))}
    for number, (key, value) in enumerate(values.items()):
        environ |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environ


def source(listed: str, job: str) -> tuple[str, dict[str, str]]:
    """Return `(url, environ)` for fetching from the checkout's origin. `url` has no credentials; it
    is empty if git must not contact the origin (ssh, remote helpers, a malformed URL). `environ`:
    variables that give git the settings SAFE and, for http(s), the credentials and the checkout's
    settings; empty for a malformed URL. `listed`: the output of `git config --get-regexp`, with
    the origin's URL and those settings; `job`: the URL that the platform names, with this job's
    password, used if it has the same path as the origin, or if there is no origin."""
    config = dict(line.partition(" ")[::2] for line in listed.splitlines())
    url = config.pop("remote.origin.url", "") or job
    try:
        if urlsplit(url).path == urlsplit(job).path:
            url = job  # the same repository, with this job's password
        parts = urlsplit(url)
    except ValueError:
        return "", {}
    if parts.scheme not in {"http", "https"}:
        local = url.startswith(("/", "file:///"))  # never an option, a remote helper or an ssh host
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
    """The existing credential files of actions/checkout@v6 that the config lines `included`
    (`includeif.….path PATH`) name: at that path, or with the same name in `temporary`, the job's
    directory for temporary files (empty: unknown). Symbolic links are ignored."""
    paths = [Path(line.partition(" ")[2]) for line in included.splitlines()]
    ours = [path for path in paths if re.fullmatch(r"git-credentials-[\w-]+\.config", path.name)]
    ours += [Path(temporary, path.name) for path in ours if temporary]
    return [path for path in dict.fromkeys(ours) if path.is_file() and not path.is_symlink()]


def repository(url: str) -> str:
    """The repository's path in a URL: `acme/web` for `https://x@git.example.com/acme/web.git`, for
    `git@git.example.com:acme/web`, and for `acme/web` itself."""
    path = url.partition("://")[2].partition("/")[2] if "://" in url else url.rpartition(":")[2]
    return path.strip("/").removesuffix(".git")


# git runs this with sh; the values come from the environ, so there is nothing to quote.
HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$CI_DEPLOY_USER" "$CI_DEPLOY_PASSWORD"; }; f'
)
