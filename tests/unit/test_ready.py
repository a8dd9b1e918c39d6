"""Waiting for connections: who is asked again, and what several dead hosts are told as."""

from __future__ import annotations

from ci_deploy.errors import (
    DeployError,
    Problem,
    SettingsError,
    Unauthorized,
    Unreachable,
    together,
)


def test_several_errors_are_told_in_one_of_the_kind_of_the_first() -> None:
    """(faults B4)"""
    errors: list[DeployError] = [
        Unreachable("a is dead."),
        Unauthorized("b says no.", hint="Ask b."),
    ]
    found = together(errors)
    assert (found.code, found.message, found.hint) == (11, "a is dead.\nb says no.", "Ask b.")
    assert together(errors[1:]) is errors[1]


def test_wrong_settings_of_several_hosts_are_told_together_and_nothing_else_is_dropped() -> None:
    path, port = Problem("DEPLOY_PATH", "is missing."), Problem("SERVER_HOST", "has a bad port.")
    for errors in (
        [SettingsError(path), Unreachable("b is dead."), SettingsError(path, port)],
        [Unreachable("b is dead."), SettingsError(path), SettingsError(port)],
    ):
        found = together(errors)
        assert isinstance(found, SettingsError)
        assert (found.problems, found.hint) == ((path, port), "b is dead.")
