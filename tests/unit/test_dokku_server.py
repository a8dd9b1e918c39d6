"""What has nothing to do with the question itself, in a Dokku server's answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import DeployError, Unauthorized, Unreachable
from ci_deploy.layers.providers.dokku.server import DokkuServer
from ci_deploy.process.program import Result

ACL = "User ci does not have permissions to run ps:inspect on hello, or hello does not exist"


def trouble(code: int, errors: str, *, connected: bool = True, out: str = "") -> DeployError | None:
    ssh = SimpleNamespace(alive=lambda _server: connected)
    server = DokkuServer(cast("Any", ssh), cast("Any", "dokku.example.com"), cast("Any", None))
    answer = Result(("ssh",), code, out=out.encode(), err=errors.encode())
    return server._trouble(answer)


@pytest.mark.parametrize(
    "errors",
    [
        f" !     {ACL}\n",
        f" !     {ACL}\n !     The plugin trigger user-auth failed\n",
        f"perl: warning: Setting locale failed.\n !     {ACL}\nConnection to x closed.\n",
    ],
)
def test_line_that_names_the_refused_command_is_quoted(errors: str) -> None:
    """Wherever it stands (faults K9)."""
    found = trouble(1, errors)
    assert isinstance(found, Unauthorized)
    assert str(found) == f"Dokku denies access: {ACL}"


def test_words_in_an_answer_are_no_refusal() -> None:
    assert trouble(0, "", out=ACL) is None
    assert trouble(1, " !     App hello does not exist") is None


def test_repository_that_cannot_be_asked_is_not_an_empty_one() -> None:
    """Else what runs would be called unknown, or the branch empty (faults A1)."""
    ssh = SimpleNamespace(git_environ=lambda _server: {})
    answers = [
        Result(("git",), 128, err=b"ssh: connect\nfatal: Could not read from remote repository."),
        Result(("git",), 0),
        Result(("git",), 0, out=b"1234\trefs/heads/main\n"),
    ]
    runner = SimpleNamespace(read=lambda _argv, **_options: answers.pop(0))
    where = SimpleNamespace(url=lambda app: f"ssh://dokku@host/{app}")
    server = DokkuServer(cast("Any", ssh), cast("Any", where), cast("Any", runner))
    with pytest.raises(Unreachable, match=r": ssh: connect$"):
        server.ref("hello", "main")
    assert [server.ref("hello", "main"), server.ref("hello", "main")] == ["", "1234"]


def test_lost_connection_and_a_key_that_was_added_by_hand_are_told_apart() -> None:
    assert isinstance(trouble(255, "closed", connected=False), Unreachable)
    assert isinstance(trouble(127, "sh: apps:report: command not found"), Unauthorized)
