"""`run`: a cancel stays one, whatever becomes of what was started."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.commands import run as command
from ci_deploy.commands.version import tool_versions
from ci_deploy.errors import Cancelled, DeployError, ToolMissing, Unreachable
from ci_deploy.process.program import Result


def test_cancel_of_a_command_that_cannot_be_stopped_is_a_cancel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ended with 11, "safe to retry" (faults D1)."""

    def raising(error: Exception) -> Any:
        def call(*_all: Any) -> None:
            raise error

        return call

    warned = list[str]()
    provider = SimpleNamespace(
        connect=lambda: None,
        run=raising(Cancelled("cancelled (SIGTERM).")),
        interrupted=raising(Unreachable("no answer.")),
    )
    ctx = SimpleNamespace(
        provider=provider,
        app="hello",
        cancellation=SimpleNamespace(leave=lambda: None),
        console=SimpleNamespace(warning=warned.append),
    )
    monkeypatch.setattr(command, "ready", lambda *_all: (ctx, []))
    with pytest.raises(Cancelled):
        command.run(cast("Any", None), argparse.Namespace(after=["bin/x"], words=[]))
    assert warned == ["the command may still be running in hello: no answer."]


def test_program_that_says_nothing_has_an_unknown_version() -> None:
    """It was exit code 1, "a bug" (faults J13)."""

    def find(name: str) -> str:
        if name != "git":
            raise ToolMissing(name)
        return name

    assert issubclass(ToolMissing, DeployError)
    runner = SimpleNamespace(find=find, read_all=lambda *_all, **_o: [Result(("git",), 0)])
    assert tool_versions(cast("Any", SimpleNamespace(runner=runner)))["git"] == "unknown"
