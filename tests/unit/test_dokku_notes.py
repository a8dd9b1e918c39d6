"""What runs although Dokku records another revision: believed as long as the containers agree."""

from __future__ import annotations

import pytest

from ci_deploy.layers.providers.dokku import notes

OLD, NEW, OTHER = "a" * 40, "b" * 40, "c" * 40
BUILT = notes.built_over(OLD, {"1a", "2b"})
TOOK = notes.took_over(NEW, {"3c"}, OLD)


@pytest.mark.parametrize(
    ("note", "recorded", "containers", "runs"),
    [
        ("", OLD, {"1a"}, OLD),
        ("migrations are to be run", OLD, {"1a"}, OLD),
        (BUILT, NEW, {"2b", "1a"}, OLD),
        (BUILT, NEW, {"1a"}, OLD),  # scaled down
        (BUILT, NEW, {"9f"}, NEW),  # restarted: Dokku starts what it has built last
        (BUILT, OTHER, {"9f"}, OTHER),  # deployed since
        (f"workers are quiet; {BUILT}", NEW, {"1a"}, OLD),
        (notes.built_over("", ()), NEW, (), ""),
        (notes.built_over("", ()), NEW, {"1a"}, NEW),
        (TOOK, OLD, {"3c"}, NEW),
        (TOOK, OLD, {"9f"}, ""),  # restarted: NEW; rebuilt: OLD; which of them, nobody knows
        (TOOK, OTHER, {"9f"}, OTHER),  # deployed since
        (notes.took_over(NEW, {"3c"}, ""), "", {"3c"}, NEW),
    ],
)
def test_what_runs(note: str, recorded: str, containers: set[str], runs: str) -> None:
    assert notes.running(note, recorded, containers) == runs


def test_notes_of_this_kind_are_known_among_others() -> None:
    noted = ["workers are quiet", BUILT, TOOK]
    assert notes.about_what_runs(noted) == [BUILT, TOOK]
    assert notes.is_held_back(noted)
    assert not notes.is_held_back(["workers are quiet", TOOK])
