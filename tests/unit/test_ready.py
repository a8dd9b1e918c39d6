"""Waiting for connections: who is asked again, and what several dead hosts are told as."""

from __future__ import annotations

from ci_deploy.errors import DeployError, Unauthorized, Unreachable, together


def test_several_errors_are_told_in_one_of_the_kind_of_the_first() -> None:
    """(faults B4)"""
    errors: list[DeployError] = [
        Unreachable("a is dead."),
        Unauthorized("b says no.", hint="Ask b."),
    ]
    found = together(errors)
    assert (found.code, found.message, found.hint) == (11, "a is dead.\nb says no.", "Ask b.")
    assert together(errors[1:]) is errors[1]
