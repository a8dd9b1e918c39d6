"""What the ends of the runs on Docker hosts mean for the deploy."""

from __future__ import annotations

import pytest

from ci_deploy.errors import DeployError, DeployFailed, OutcomeUnknown, RolledBack
from ci_deploy.layers.providers.compose.facts import HostFacts, read_facts
from ci_deploy.layers.providers.compose.host_run_log import End, HostRunLog
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.compose.outcome import failure
from ci_deploy.layers.providers.compose.run import _after_healing
from ci_deploy.net.ssh.server import server

UP = """app shop shop
current {current}
image app registry.test/shop:1 1 sha256:a
container shop-app-1|app|sha256:a|{state}|Up|False|shop|/srv
"""


def _log(facts: HostFacts, end: str = "died") -> HostRunLog:
    def nothing(*_: object) -> None: ...

    host = Host(server("deploy@host"), facts)
    log = HostRunLog(host, "", show=nothing, say=nothing, changed=nothing, judge=nothing)
    log.end = End(*end.split(" ", 1))
    return log


@pytest.mark.parametrize(
    ("end", "current", "state", "word"),
    [
        ("live", "new", "running", "live"),
        ("noop", "new", "running", "live"),
        ("noop", "new", "exited", "failed"),
        ("noop", "old", "running", "failed"),
        ("live", "other", "running", "failed"),
        ("rolled-back", "old", "running", "rolled-back"),
        ("stopped", "", "exited", "stopped"),
        ("broken", "old", "exited", "broken"),
        ("locked", "old", "running", "died"),
    ],
)
def test_killed_run_is_judged_by_what_its_host_found_when_it_cleared_up(
    end: str, current: str, state: str, word: str
) -> None:
    log = _log(read_facts(UP.format(current=current, state=state)))
    assert _after_healing(log, End(end, "why"), "new", "shop").word == word


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("manifest for reg:5000/app:1_abc not found: manifest unknown", "must push it"),
        ('Head "https://ghcr.io/v2/acme/app": no basic auth credentials', "DOCKER_PASS"),
        ("pull access denied for acme/app, repository does not exist", "DOCKER_PASS"),
        ("no space left on device", ""),
    ],
)
def test_an_image_that_cannot_be_pulled_says_what_to_set(said: str, hint: str) -> None:
    """Docker's words alone do not say which setting or job they are about. (faults E4)"""
    error = failure([_log(HostFacts(), f"failed {said}")], "")
    assert error is not None
    assert bool(error.hint) is bool(hint)
    assert hint in error.hint


def test_files_that_compose_rejects_are_no_image_that_cannot_be_pulled() -> None:
    """Its error may be "env file … not found". The host says so by a mark, not by its words."""
    log = _log(HostFacts(), "failed Compose does not accept the files: env file /srv/x not found")
    assert (error := failure([log], ""))
    assert "No such image" in error.hint
    log.line("1|@ bad_files")
    assert (error := failure([log], ""))
    assert not error.hint


def test_broken_host_is_not_said_to_be_untouched() -> None:
    error = failure([_log(HostFacts(), "broken it could not be brought back")], "")
    assert error is not None
    assert "it could not be brought back" in error.message
    assert "running container" not in error.message


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        (["died"], OutcomeUnknown),
        (["rolled-back it crashed"], RolledBack),
        (["failed no image", "recalled the other one failed"], RolledBack),
        (["failed no image", "unchanged"], DeployFailed),
        (["stopped it crashed"], DeployFailed),
    ],
)
def test_ends_of_the_hosts_add_up_to_one_error(ends: list[str], kind: type[DeployError]) -> None:
    """A host that went back was touched; of one whose run was killed nobody knows."""
    logs = [_log(HostFacts(), end if " " in end else f"{end} why") for end in ends]
    if ends == ["died"]:
        logs[0].end = None
    error = failure(logs, "")
    assert type(error) is kind, error
    touched = "No running container was replaced" not in str(error)
    assert touched is (ends[-1] != "unchanged")
