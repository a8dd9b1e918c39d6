"""What has to be so on every host before anything is changed there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.checks import conflict, together, trouble
from ci_deploy.state import Live


def test_a_wanted_project_name_counts_from_wherever_it_comes() -> None:
    """It is the setting that decides, not a variable of its name. (faults B7)"""
    facts = SimpleNamespace(apps={"web": "old"}, containers=(), path="/srv")
    host: Any = SimpleNamespace(facts=facts)
    ctx: Any = SimpleNamespace(app="web", environ={})
    assert isinstance(conflict(ctx, host, "new", ""), SettingsError)
    assert conflict(ctx, host, "new", "new") is None


def test_file_that_only_adds_to_another_one_gets_the_advice_to_name_both() -> None:
    """(faults H10)"""
    said = 'service "app" has neither an image nor a build context specified: invalid'
    facts = SimpleNamespace(
        docker=True, engine=[], compose="2", model="", missing=[], refused=[said]
    )
    host: Any = SimpleNamespace(facts=facts, server=SimpleNamespace(user="deploy"))
    error = trouble(host)
    assert isinstance(error, SettingsError)
    assert 'COMPOSE_FILE="docker-compose.yml docker-compose.production.yml"' in str(
        error.problems[0]
    )


def _running(release: str) -> Any:
    live = Live("a" * 40, up=True, release=release)
    return SimpleNamespace(facts=SimpleNamespace(live=lambda _app: live))


def test_hosts_are_up_together_only_with_one_release() -> None:
    assert together([_running("1-a"), _running("1-a")], "web").up
    assert not together([_running("1-a"), _running("2-b")], "web").up


def test_project_of_another_directory_is_not_taken_over() -> None:
    """Its containers would be replaced by ours (faults H1)."""
    theirs = SimpleNamespace(project="web", folder="/srv/other", name="web-app-1")
    facts = SimpleNamespace(
        apps={"web": "web"}, containers=(theirs,), path="/srv/web", here=("/srv/web",)
    )
    host: Any = SimpleNamespace(facts=facts)
    ctx: Any = SimpleNamespace(app="web", environ={})
    assert "/srv/other" in str(conflict(ctx, host, "web", ""))
