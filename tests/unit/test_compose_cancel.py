"""What a cancelled job says to its Docker hosts: `back`, `keep`, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ci_deploy.errors import OutcomeUnknown, Unreachable
from ci_deploy.layers.providers.compose.backups import restore
from ci_deploy.layers.providers.compose.hosts import Host
from ci_deploy.layers.providers.compose.layer import Compose
from ci_deploy.layers.providers.compose.run import Assignment, HostRun
from ci_deploy.layers.providers.docker.login import Login
from ci_deploy.net.ssh.server import server


@pytest.mark.parametrize(
    ("count", "on_cancel", "agreed", "word", "said"),
    [
        (1, "finish", False, "", "host1 finishes 75-a without this job"),
        (
            1,
            "rollback",
            False,
            "back",
            "host1 rolls back to the previous release",
        ),
        (3, "finish", False, "back", "those that were switched roll back, the others stay"),
        (3, "rollback", False, "back", "those that were switched roll back, the others stay"),
        (3, "finish", True, "keep", "all hosts have verified 75-a, so they keep it"),
        (3, "rollback", True, "keep", "all hosts have verified 75-a, so they keep it"),
    ],
)
def test_hosts_are_told_what_leaves_all_of_them_with_the_same_release(
    count: int, on_cancel: str, agreed: bool, word: str, said: str
) -> None:
    told: list[list[str]] = []
    shown: list[str] = []
    ctx: Any = SimpleNamespace(app="shop", console=SimpleNamespace(indent=shown.append))
    hosts: Any = SimpleNamespace(
        all=[Host(server(f"deploy@host{number}")) for number in range(1, count + 1)],
        change=lambda _hosts, words, _what, **_: told.append(list(words)),
    )
    wanted: Any = SimpleNamespace(on_cancel=on_cancel)
    run = HostRun(ctx, hosts, wanted, Assignment("deploy", "75-a", "shop", {}, {}), Login())
    run._follower.coordinator.agreed = agreed
    run.cancel()
    assert [words[4:] for words in told] == ([[word]] if word else [])
    assert said in shown[0]


@pytest.mark.parametrize("what", ["command", "restore"])
def test_what_continues_after_a_lost_connection_is_not_called_safe_to_retry(what: str) -> None:
    def lost(*_: Any, **_options: Any) -> Any:
        message = "the connection to host1 was lost: Broken pipe."
        raise Unreachable(message)

    host = Host(server("deploy@host1"))
    known = "backup 20261130T093000Z-db 100 postgres db 75-a 3"
    hosts = SimpleNamespace(all=[host], first=host, ask=lambda *_: known, change=lost)
    ctx: Any = SimpleNamespace(app="shop", settings=SimpleNamespace(lock_timeout=1))
    compose: Any = SimpleNamespace(
        ctx=ctx, hosts=hosts, settings=SimpleNamespace(run_service="app", deploy_env="production")
    )
    calls: dict[str, Callable[[], object]] = {
        "command": lambda: Compose.run(compose, ["true"]),
        "restore": lambda: restore(ctx, compose.hosts, "20261130T093000Z-db"),
    }
    with pytest.raises(OutcomeUnknown, match=r"lost: Broken pipe; the .* continues on the host if"):
        calls[what]()
