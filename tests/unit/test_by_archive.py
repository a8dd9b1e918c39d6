"""Whether a revision goes by archive, and what `auto` says of that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import SettingsError
from ci_deploy.layers.providers.methods import by_archive

SHA1, SHA256 = "a" * 40, "b" * 64


def decide(
    method: str, *, revision: str = SHA1, lfs: bool = False, whole: bool = True
) -> tuple[bool, list[str]]:
    """The decision, and what was said."""
    said = list[str]()
    repository = SimpleNamespace(
        uses_lfs=lambda _sha: lfs, can_deepen=lambda: whole, fetch_error=""
    )
    console = SimpleNamespace(indent=said.append, warning=said.append)
    ctx = SimpleNamespace(
        revision=revision, repository=repository, console=console, ci=SimpleNamespace(inputs=False)
    )
    return by_archive(cast("Any", ctx), method), said


@pytest.mark.parametrize(
    ("why", "facts"),
    [
        ("it has LFS files", {"lfs": True}),
        ("the repository uses SHA-256 object IDs", {"revision": SHA256}),
        ("the checkout lacks history or files, and they cannot be fetched", {"whole": False}),
    ],
)
def test_auto_says_why_it_does_not_push(why: str, facts: dict[str, Any]) -> None:
    """In one line (faults A11, A14)."""
    archive, [line] = decide("auto", **facts)
    assert archive
    assert f" is sent as an archive instead of a push: {why}" in line


def test_what_can_be_pushed_is_pushed_in_silence() -> None:
    """`auto` has nothing to say then (faults A11)."""
    assert decide("auto") == (False, [])
    assert decide("push") == (False, [])
    assert decide("archive", revision=SHA256, lfs=True, whole=False) == (True, [])


def test_push_that_cannot_work_or_lacks_something_says_so() -> None:
    """LFS files are a warning, SHA-256 ids an error (faults A8, A14)."""
    archive, [warning] = decide("push", lfs=True)
    assert not archive
    assert "pointers of LFS files" in warning
    with pytest.raises(
        SettingsError, match="DEPLOY_METHOD: the repository uses SHA-256 object IDs"
    ):
        decide("push", revision=SHA256)
