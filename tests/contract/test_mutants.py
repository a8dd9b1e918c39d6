"""The table of breakages stays true as the code moves: each can be applied, and has its tests."""

from __future__ import annotations

from collections import Counter

import pytest

from standins.support import ROOT
from tests.mutants.table import Mutant, load


@pytest.mark.parametrize("mutant", load(), ids=lambda mutant: mutant.name)
def test_mutant_can_be_applied_at_one_place_and_names_tests_that_exist(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    files = [name.partition("::")[0] for name in mutant.tests if name.startswith("tests/")]
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_mutants_have_names_of_their_own() -> None:
    table = load()
    assert len(table) >= 60
    assert [name for name, count in Counter(m.name for m in table).items() if count > 1] == []
