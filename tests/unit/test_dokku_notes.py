"""What runs although Dokku records another revision: believed as long as the containers agree."""

from __future__ import annotations

import pytest

from ci_deploy.layers.providers.dokku import notes
from ci_deploy.run.tasks import Key, Task

OLD, NEW, OTHER = "a" * 40, "b" * 40, "c" * 40
BUILT = notes.built_over(OLD, {"1a", "2b"})
TOOK = notes.took_over(NEW, {"3c"}, OLD)
QUIET = Task(Key.WORKERS)


@pytest.mark.parametrize(
    ("note", "recorded", "containers", "runs"),
    [
        (None, OLD, {"1a"}, OLD),
        (QUIET, OLD, {"1a"}, OLD),
        (BUILT, NEW, {"2b", "1a"}, OLD),
        (BUILT, NEW, {"1a"}, OLD),  # scaled down
        (BUILT, NEW, {"9f"}, NEW),  # restarted: Dokku starts what it has built last
        (BUILT, OTHER, {"9f"}, OTHER),  # deployed since
        (notes.built_over("", ()), NEW, (), ""),
        (notes.built_over("", ()), NEW, {"1a"}, NEW),
        (TOOK, OLD, {"3c"}, NEW),
        (TOOK, OLD, {"9f"}, ""),  # restarted: NEW; rebuilt: OLD; which of them, nobody knows
        (TOOK, OTHER, {"9f"}, OTHER),  # deployed since
        (notes.took_over(NEW, {"3c"}, ""), "", {"3c"}, NEW),
    ],
)
def test_what_runs(note: Task | None, recorded: str, containers: set[str], runs: str) -> None:
    noted = [QUIET, *filter(None, [note])]
    assert notes.running(noted, recorded, containers) == runs


def test_notes_of_this_kind_are_known_among_others() -> None:
    noted = [QUIET, BUILT, TOOK]
    assert notes.about_what_runs(noted) == [BUILT, TOOK]
    assert notes.is_held_back(noted)
    assert not notes.is_held_back([QUIET, TOOK])
