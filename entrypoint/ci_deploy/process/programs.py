"""The environment variables that git, heroku and sentry-cli always get, whoever calls them.

They are not set by the callers, one of whom would forget them: without them, `heroku --version`
starts an updater and telemetry that outlive the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ALWAYS: Mapping[str, Mapping[str, str]] = {
    # No config of the machine or the workspace, no prompts.
    "git": {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ADVICE": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TEMPLATE_DIR": "",  # `git init` would copy fourteen files that nobody reads
    },
    "heroku": {
        "DISABLE_TELEMETRY": "true",
        "HEROKU_DISABLE_AUTOUPDATE": "1",
        "HEROKU_SKIP_NEW_VERSION_CHECK": "1",
        "TERM": "dumb",
    },
    # It retries only 502 to 504, so its retries are off; ours cover more.
    "sentry-cli": {
        "SENTRY_LOAD_DOTENV": "0",
        "SENTRY_DISABLE_UPDATE_CHECK": "1",
        "SENTRY_NO_PROGRESS_BAR": "1",
        "SENTRY_HTTP_MAX_RETRIES": "0",
        "SENTRY_LOG_LEVEL": "warn",
    },
}
# A proxy's password goes only to programs that use the network (ssh: by a ProxyCommand).
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
NETWORK = {"ssh", "heroku", "sentry-cli"}
GIT_NETWORK = {"fetch", "push", "ls-remote"}
OFFLINE = {"--version", "-V"}


def environ(given: Mapping[str, str], argv: Sequence[str]) -> dict[str, str]:
    """The environment of the program that `argv` starts: `given`, without the variables of PROXIES
    if it does not use the network, and with those of ALWAYS for it."""
    name = Path(argv[0]).name
    talks = not OFFLINE & set(argv[1:2]) and (
        name in NETWORK or (name == "git" and bool(GIT_NETWORK & set(argv[1:])))
    )
    passed = {key: value for key, value in given.items() if talks or key.lower() not in PROXIES}
    return {**passed, **ALWAYS.get(name, {})}
