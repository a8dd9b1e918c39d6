"""Which package may import which: always from a higher one down to a lower, never in a circle.

Imports inside functions and those for types alone count too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

from standins.support import ROOT

SOURCE = ROOT / "entrypoint"
# From the bottom up; the packages on one line do not import each other.
HOUSE = """
errors files state
output process
settings
report
net
net.ssh
ci
git
run
layers.priorities
layers.base
layers.providers.base layers.providers.methods layers.providers.backups
layers.providers.docker
layers.providers.compose layers.providers.dokku layers.providers.heroku layers.providers.swarm
layers.applications layers.third_parties layers.notifiers
layers
commands
cli
__main__
"""
FLOORS = [line.split() for line in HOUSE.split("\n")]
FLOOR = {each: number for number, packages in enumerate(FLOORS) for each in packages}
# docs/architecture.md gives the reason for each of these, which are for types alone.
UPWARDS = {("run.context", "layers.providers.base")}
TOGETHER = {("git.revision", "git.repository")}


@cache
def modules() -> Mapping[str, Path]:
    """Every module of the package by its name below it."""
    found = {}
    for path in (SOURCE / "ci_deploy").rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE / "ci_deploy").with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    del found["__init__"]
    return found


def imports(text: str, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the package that a module imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ci_deploy"):
            package = (node.module or "").removeprefix("ci_deploy").lstrip(".")
            for alias in node.names:
                inner = f"{package}.{alias.name}".lstrip(".")
                yield inner if inner in known else package
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("ci_deploy.")
                for alias in node.names
                if alias.name.startswith("ci_deploy.")
            )


def package(module: str) -> str:
    """The longest name of a package of HOUSE that the module is in."""
    parts = module.split(".")
    names = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next((name for name in names if name in FLOOR), "")


def upwards(module: str, text: str) -> list[str]:
    """What a module imports that is neither below its package nor in it."""
    here = package(module)
    return [
        f"{module} imports {there}"
        for there in imports(text, modules())
        if there
        and package(there) != here
        and FLOOR[package(there)] >= FLOOR[here]
        and (module, there) not in UPWARDS
    ]


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_lead_down(module: str) -> None:
    assert package(module), f"{module} is in no package of HOUSE"
    named = package(module) != "layers" or module in {"layers", "layers.providers"}
    assert named, f"{module} needs a line in HOUSE"
    assert upwards(module, modules()[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("git.revision", "from ci_deploy.layers.base import Layer"),
        ("net.http", "def get():\n    from ci_deploy.run import context"),
        ("layers.providers.dokku.app", "import ci_deploy.layers.providers.heroku.api"),
        ("process.child", "if TYPE_CHECKING:\n    import ci_deploy.output.sanitizer"),
    ],
)
def test_import_that_leads_up_or_across_is_found(module: str, text: str) -> None:
    assert len(upwards(module, text)) == 1


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle, in their order; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other() -> None:
    known = modules()
    graph = {
        name: {
            each
            for each in imports(path.read_text(encoding="utf-8"), known)
            if each
            and (name, each) not in UPWARDS | TOGETHER
            # a package that says its modules' names again
            and not each.startswith(f"{name}.")
        }
        for name, path in known.items()
    }
    assert circle(graph) == []
    longer = {**graph, "errors": {"cli"}}
    assert circle(longer), "a circle is found"


def test_exceptions_are_still_needed_and_explained() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for module, there in UPWARDS | TOGETHER:
        source = modules()[module].read_text(encoding="utf-8")
        assert there in set(imports(source, modules()))
        assert f"`{module}` names `{there}`" in text


def test_architecture_lists_the_packages_in_their_order() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = [line for line in HOUSE.split("\n") if line]
    places = [text.find(f"\n{line}\n") for line in listed]
    assert -1 not in places
    assert all(before < after for before, after in pairwise(places))


@pytest.mark.parametrize(
    "folder", ["bench", "examples", "release", "scripts", "standins", "tooling"]
)
def test_nothing_but_tests_imports_tests(folder: str) -> None:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found or folder == "scripts"
    assert [
        path
        for path in found
        if "tests" not in path.relative_to(ROOT).parts
        and re.search(r"^\s*(from|import) tests\b", path.read_text(encoding="utf-8"), re.M)
    ] == []
