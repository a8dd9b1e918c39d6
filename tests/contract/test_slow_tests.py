"""What makes the suite slow says why: each test that is marked as long has it in its docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from standins.support import ROOT


def _long() -> Iterator[tuple[str, str]]:
    """The tests that are marked so, each with its docstring."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                marks = [ast.unparse(each) for each in node.decorator_list]
                if "pytest.mark.long" in marks:
                    yield f"{path.name}::{node.name}", ast.get_docstring(node) or ""


def test_long_tests_say_how_long_they_take_and_why() -> None:
    """`make test` shows the slowest: what takes more than 20 seconds gets the mark."""
    found = dict(_long())
    assert len(found) > 10
    assert [name for name, text in found.items() if "Takes " not in text] == []
