"""The house rules: who may import what, how big a module may be, what has to be written down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from ci_deploy import __version__, commands, errors
from ci_deploy.errors import Ending
from ci_deploy.process.cancellation import Phases
from standins.support import ROOT

PACKAGE = ROOT / "entrypoint/ci_deploy"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
# What only some modules may use (ruff's TID251 says the same, but can be silenced in a line).
OWNERS = {
    "sh": {"process/runner.py"},
    "subprocess": set(),
    "requests": {"net/http.py"},
    "tenacity": {"net/retry.py"},
    "dotenv": {"settings/lines.py"},
    "yaml": {"commands/compose_yaml.py"},
    "tempfile": {"run/private_dir.py"},
    "os.system": set(),
    "os.environ": {"settings/declaration.py"},
    "os.getenv": set(),
    "sys.exit": set(),
    "os._exit": {"__main__.py", "cli.py", "process/cancellation.py"},
}
MOST_LINES = 300
TOO_BIG: set[str] = set()


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


@cache
def used(name: str) -> frozenset[str]:
    """Every module and attribute of a module that the file uses."""
    return frozenset(_used(name))


def _used(name: str) -> Iterator[str]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def test_what_only_some_runs_need_is_not_loaded_by_all() -> None:
    """A deploy without HTTP does not wait for `requests`: it costs as much as the rest of us.
    `tenacity` is loaded while the connection is made, `yaml` by `init` alone."""
    code = "import sys; from ci_deploy import cli; from ci_deploy.commands import assembly, init; "
    code += "assembly.every_setting(); "
    code += "print({'requests', 'tenacity', 'yaml', 'smtplib', 'tarfile'} & {*sys.modules}, "
    code += "[name for name in sys.modules if name.endswith('.layer')])"
    assert _printed(code) == "set() []"


def test_help_loads_no_layer_and_nothing_that_runs_programs() -> None:
    code = "import sys; from ci_deploy import cli; assert cli.run(['run', '--help']) == 0; "
    code += "print({'sh', 'ci_deploy.layers', 'ci_deploy.commands.run'} & {*sys.modules})"
    assert _printed(code).endswith("set()")


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_each_command_is_where_the_list_says(name: str) -> None:
    module, _, function = commands.COMMANDS[name].action.partition(".")
    assert callable(getattr(import_module(f"ci_deploy.commands.{module}"), function))


def _printed(code: str) -> str:
    """What an interpreter of its own prints."""
    argv = [sys.executable, "-I", "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("what", OWNERS)
def test_only_the_owner_uses(what: str) -> None:
    users = {
        name
        for name in MODULES
        if any(each == what or each.startswith(f"{what}.") for each in used(name))
    }
    assert users == OWNERS[what]


@pytest.mark.parametrize("name", MODULES)
def test_nothing_but_the_context_sets_what_is_deployed_and_what_is_live(name: str) -> None:
    """A handler calls `choose`, `verified` or `move`; settings never change during a run."""
    assert name == "run/context.py" or not list(_set_on_a_context(tree(name)))


def test_a_handler_that_sets_what_is_live_is_found() -> None:
    code = "self._ctx.settings = 1\nctx.live: Live = 2\nctx.url, self.ctx._revision = 3, 4"
    assert sorted(_set_on_a_context(ast.parse(code))) == ["_revision", "live", "settings"]


def _set_on_a_context(code: ast.Module) -> Iterator[str]:
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            owner = ast.unparse(node.value).rpartition(".")[2].lstrip("_")
            field = node.attr.lstrip("_")
            if owner in {"ctx", "context"} and field in {"live", "revision", "title", "settings"}:
                yield node.attr


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_printed_past_the_console(name: str) -> None:
    calls = [node.func for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    assert not [each for each in calls if isinstance(each, ast.Name) and each.id == "print"]


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small_enough_to_be_read(name: str) -> None:
    lines = len((PACKAGE / name).read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES or name in TOO_BIG
    assert lines > MOST_LINES or name not in TOO_BIG, "it fits now: take it off the list"


def public(node: ast.AST, inherited: bool = False) -> Iterator[tuple[str, ast.AST]]:
    """Classes, functions and methods that others may use, with their names."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if child.name.startswith("_"):
            continue
        if isinstance(child, ast.ClassDef):
            yield child.name, child
            yield from public(child, inherited=bool(child.bases))
        elif not inherited:  # an override is described where it is declared
            yield child.name, child


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_says_what_it_is(name: str) -> None:
    module = tree(name)
    is_empty = not module.body
    assert is_empty or ast.get_docstring(module), "the module"
    missing = [
        label
        for label, node in public(module)
        if not ast.get_docstring(node)  # type: ignore[arg-type]
        and not any(
            re.search("'(property|setter)'", ast.dump(each))
            for each in getattr(node, "decorator_list", [])
        )
    ]
    assert missing == []


def every_error() -> list[type[Ending]]:
    """All errors of the package, also the indirect ones."""
    found, waiting = [], [Ending]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            found.append(cls)
            waiting.append(cls)
    return [cls for cls in found if cls.__module__.startswith("ci_deploy.")]


def test_exit_codes_are_unique_and_no_childs_code_can_be_one() -> None:
    own = [cls for cls in every_error() if cls.__module__ == errors.__name__]
    codes = [cls.exit_code for cls in own if "exit_code" in vars(cls)]
    assert len(codes) == len(set(codes))
    assert not {1, 126, 127, 128, 255} & set(codes)


def test_errors_of_other_modules_share_the_code_of_their_parent() -> None:
    for cls in every_error():
        if cls.__module__ != errors.__name__:
            assert "exit_code" not in vars(cls), cls


def test_statuses_are_those_of_the_contract() -> None:
    contract = {"failed", "live-but-failed", "rolled-back", "cancelled"}
    assert {cls.status for cls in every_error()} == contract


# --- what has to be written down ---

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_changelog_begins_with_what_is_not_released_yet() -> None:
    headings = re.findall(r"(?m)^## (.*)$", CHANGELOG)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading), heading


def test_newest_released_version_is_ours() -> None:
    released = re.findall(r"(?m)^## \[(\d[^\]]*)\]", CHANGELOG)
    assert not released or released[0] == __version__


def test_architecture_names_every_module_at_the_top() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for name in MODULES:
        path = Path(name)
        if len(path.parts) == 1 and not name.startswith("__"):
            assert path.stem in text, name


def test_architecture_tells_the_seconds_after_a_cancel() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    parts = [name for name in vars(Phases) if name.isupper()]
    assert re.findall(r"(?m)^\| `([A-Z]+)` \| ([\d.]+) \|", text) == [
        (name, str(getattr(Phases, name))) for name in parts
    ]
