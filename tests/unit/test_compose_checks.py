"""What has to be so on every host before anything is changed there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ci_deploy.errors import SettingsError
from ci_deploy.tools.compose.checks import conflict


def test_a_wanted_project_name_counts_from_wherever_it_comes() -> None:
    """It is the setting that decides, not a variable of its name. (faults B7)"""
    facts = SimpleNamespace(apps={"web": "old"}, containers=(), path="/srv")
    host: Any = SimpleNamespace(facts=facts)
    ctx: Any = SimpleNamespace(app="web", environ={})
    assert isinstance(conflict(ctx, host, "new", ""), SettingsError)
    assert conflict(ctx, host, "new", "new") is None
