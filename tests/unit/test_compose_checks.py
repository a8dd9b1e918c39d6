"""What has to be so on every host before anything is changed there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.compose.checks import conflict, trouble


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
