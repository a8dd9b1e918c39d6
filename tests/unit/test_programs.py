"""What each program is given, whoever calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_deploy.process.programs import environ
from ci_deploy.process.runner import Runner

PROXY = {"https_proxy": "http://u:secret@proxy:3128", "HTTP_PROXY": "http://proxy", "TZ": "UTC"}


def test_heroku_updates_nothing_and_reports_nothing_whoever_calls_it(
    runner: Runner, tmp_path: Path
) -> None:
    """`version` and `doctor` only ask for its version (faults J1)."""
    program = tmp_path / "heroku"
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    given = runner.read([str(program), "--version"]).text.splitlines()
    assert {"HEROKU_DISABLE_AUTOUPDATE=1", "DISABLE_TELEMETRY=true"} <= set(given)
    assert "HEROKU_SKIP_NEW_VERSION_CHECK=1" in given


@pytest.mark.parametrize(
    ("argv", "network"),
    [
        (["git", "--git-dir=x", "push", "url"], True),
        (["git", "-C", "x", "rev-parse", "HEAD"], False),
        (["git", "--version"], False),
        (["/usr/bin/ssh", "-F", "x", "-M", "host"], True),
        (["ssh", "-V"], False),
        (["ssh-add", "-"], False),
        (["/bin/sh", "agent.sh"], False),
        (["heroku", "run"], True),
        (["sentry-cli", "releases"], True),
    ],
)
def test_proxy_and_its_password_go_only_to_what_talks_through_it(
    argv: list[str], network: bool
) -> None:
    """The rest of the environ is the same for all (faults J13)."""
    given = environ(PROXY, argv)
    assert ("https_proxy" in given, "HTTP_PROXY" in given) == (network, network)
    assert given["TZ"] == "UTC"
