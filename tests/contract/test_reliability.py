"""docs/reliability.md has the figures of all that tests/hostile tries, and of nothing else."""

from __future__ import annotations

from tests.hostile.tally import Kind, read
from tests.support import ROOT


def test_page_has_a_row_for_each_kind_of_attack_and_no_other() -> None:
    """Stale rows are as bad as missing ones: `make hostile` writes them. (faults J)"""
    assert [*read()] == [kind.value for kind in Kind]


def test_each_kind_of_attack_is_made_by_a_test() -> None:
    """(faults J)"""
    tests = "".join(path.read_text() for path in (ROOT / "tests/hostile").glob("test_*.py"))
    assert [kind.name for kind in Kind if f"Kind.{kind.name}" not in tests] == []


def test_something_was_tried_and_what_was_lost_stands_under_open() -> None:
    """The page is the word of the last run; what it has lost is not hidden. (faults J)"""
    figures = read()
    assert all(tried for tried, _ in figures.values())
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert any(lost for _, lost in figures.values()) == ("\n## Open\n" in page)
