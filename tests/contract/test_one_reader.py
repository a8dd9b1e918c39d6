"""Each setting has one reader: `Source`, which knows inputs, variables and files."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from ci_deploy.layers import discover
from ci_deploy.settings import declared
from ci_deploy.settings.core import CoreSettings
from tests.contract.test_architecture import MODULES, tree

CLASSES: list[type[Any]] = [CoreSettings, *(layer.Settings for layer in discover())]
SETTINGS = {
    name for cls in CLASSES for each in declared(cls) for name in (each.name, *each.aliases)
}


@pytest.mark.parametrize("name", MODULES)
def test_nobody_reads_a_setting_beside_its_one_reader(name: str) -> None:
    """What is an input or comes from a file would not be seen there. (faults B7)"""
    asked = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in {"get", "pop", "setdefault"} and node.args:
                asked |= set(_texts(node.args[0]))
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            asked |= set(_texts(node.slice))
    found = {each for each in asked if each.removeprefix("INPUT_").replace("-", "_") in SETTINGS}
    assert found == set()


def _texts(node: ast.expr) -> list[str]:
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
