"""docs/reliability.md has the figures of all that tests/hostile tries, and of nothing else."""

from __future__ import annotations

from standins.support import ROOT
from tests.hostile.planned import PLANNED
from tests.hostile.tally import WRONG, Kind, Table, Way, read


def test_page_has_a_row_for_each_kind_of_attack_and_no_other() -> None:
    """Stale rows are as bad as missing ones: `make hostile` writes them. (faults J)"""
    assert [*read()] == [kind.value for kind in Kind]


def test_each_kind_of_attack_is_made_by_a_test() -> None:
    """(faults J)"""
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("*/test_*.py"))
    assert [kind.name for kind in Kind if f"Kind.{kind.name}" not in tests] == []


def test_all_was_tried_and_nothing_was_lost() -> None:
    """The page is the word of the last run. (faults J)"""
    assert [row for row, (tried, lost) in read().items() if not tried or lost] == []


def test_rows_are_from_these_tests() -> None:
    """A row of an older version of them has another number of cases. (faults J)"""
    page = {row: tried for row, (tried, _lost) in read().items()}
    planned = {kind.value: count for kind, count in PLANNED.items()}
    assert {row: page.get(row) for row in planned} == planned


def test_page_compares_everybody_by_as_many_cases() -> None:
    """`make soak` writes that table."""
    found = read(Table.PEERS)
    assert [*found] == [way.value for way in Way]
    assert len({tried for tried, *_ in found.values()}) == 1


def test_nothing_but_what_is_unknown_is_wrong_with_us() -> None:
    found = read(Table.PEERS)
    ours = [zip(WRONG, found[way.value][1:], strict=True) for way in Way if "OURS" in way.name]
    assert {key for each in ours for key, count in each if count} <= {"unknown"}
