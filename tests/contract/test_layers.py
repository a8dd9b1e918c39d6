"""What every layer has to obey: ours, those of installed packages and those of copied wheels."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import itertools
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ci_deploy import ci, layers
from ci_deploy.commands.assembly import Assembly, every_setting
from ci_deploy.errors import SettingsError, ToolMissing
from ci_deploy.layers import LayerClass, discover, load
from ci_deploy.layers.base import Layer, Notifier
from ci_deploy.layers.providers.base import Provider
from ci_deploy.output.redaction import Redactor
from ci_deploy.process.cancellation import Cancellation
from ci_deploy.report.console import Console
from ci_deploy.run.context import Context
from ci_deploy.run.events import Event, on
from ci_deploy.settings import SECRET_WORDS, Setting, declared, setting, settings
from standins.support import ROOT

OURS = [load(cls) for cls in discover()]
PACKAGE = '''
"""Layers of another package."""

from ci_deploy.layers.base import Notifier
from ci_deploy.layers.providers.base import Provider
from ci_deploy.state import Live
from ci_deploy.state import Ran
from ci_deploy.settings import setting, settings


class Nowhere(Provider):
    """Runs nothing."""

    name = "nowhere"
    exists = True

    def connect(self):
        """Always there."""

    def live(self):
        return Live()

    def run(self, command, **options):
        return Ran(0)

    def process(self, name, action, count=None):
        """Nothing to do."""


@settings
class PagerSettings:
    """Settings of the pager."""

    room: str = setting("PAGER_ROOM", "Where")
    url: str = setting("PAGER_URL", "Trigger", default="")
    token: str = setting("PAGER_TOKEN", "Secret", default="", secret=True)


class Pager(Notifier):
    """Tells a pager."""

    name = "pager"
    Settings = PagerSettings
    trigger = "PAGER_URL"

    def send(self, notice):
        """Never called."""
'''
number = itertools.count()


def package(name: str) -> dict[str, str]:
    """The files of a wheel that has two layers: path → text."""
    info = f"{name}-1.0.dist-info"
    return {
        f"{name}/__init__.py": PACKAGE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[ci_deploy.layers]\n"
        f"pager = {name}:Pager\nnowhere = {name}:Nowhere\n",
        f"{info}/RECORD": "",
    }


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package that nothing knows yet; what it does to the search path is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return f"other_layers_{next(number)}"


@pytest.fixture(params=["installed", "wheel"])
def others(
    request: pytest.FixtureRequest, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[LayerClass]:
    """The layers of another package, which is installed, or a wheel that was copied."""
    files = package(other)
    if request.param == "installed":
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
    else:
        with zipfile.ZipFile(tmp_path / f"{other}-1.0-py3-none-any.whl", "w") as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
        monkeypatch.setattr(layers, "WHEELS", tmp_path)
    return [cls for cls in discover() if cls.__module__ == other]


# --- the rules ---


def names_secrets_well(each: Setting) -> bool:
    return each.secret or not any(word in each.name for word in SECRET_WORDS)


def broken_rules(cls: LayerClass) -> Iterator[str]:
    """What is wrong with a layer."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", cls.name):
        yield "its name is not a word in lower case"
    if not (cls.__doc__ or "").strip() or cls.__doc__ == Layer.__doc__:
        yield "it has no docstring"
    if inspect.isabstract(cls):
        yield "a method is missing"
    if not dataclasses.is_dataclass(cls.Settings):
        yield "its Settings are not made by @settings"
        return
    if not all("setting" in field.metadata for field in dataclasses.fields(cls.Settings)):
        yield "a setting is not declared with setting()"
        return
    known = {each.name: each for each in declared(cls.Settings)}
    for each in known.values():
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", each.name):
            yield f"{each.name} is not in upper case"
        if not names_secrets_well(each):
            yield f"{each.name} is a secret by its name"
        if not each.help or each.help.endswith("."):
            yield f"{each.name} has no help, or one that ends with a full stop"
    if cls.trigger and cls.trigger not in known:
        yield "its trigger is not one of its settings"
    elif cls.trigger and known[cls.trigger].required and not issubclass(cls, Provider):
        yield "its trigger is required, so it could never be off"
    if set(cls.also) - known.keys():
        yield "another trigger is not one of its settings"
    for name, method in inspect.getmembers(cls, lambda value: hasattr(value, "handles")):
        if not all(isinstance(event, Event) for event, _ in method.handles):
            yield f"{name} handles an event that does not exist"
        if len(inspect.signature(method).parameters) != 1:
            yield f"{name} takes arguments"


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.name)
def test_our_layers_obey_the_rules(cls: LayerClass) -> None:
    assert list(broken_rules(cls)) == []
    assert (ROOT / f"docs/{cls.name}.md").is_file()
    assert sys.modules[cls.__module__].__doc__
    place = cls.__module__.removesuffix(".layer")
    assert place.endswith(f".{cls.name.replace('-', '_')}"), "one layer is one file or folder"


def test_layers_of_other_packages_obey_the_rules(others: list[LayerClass]) -> None:
    assert [cls.name for cls in others] == ["nowhere", "pager"]
    for cls in others:
        assert list(broken_rules(cls)) == []


@settings
class BadSettings:
    """Settings with every mistake."""

    token: str = setting("BAD_TOKEN", "Not marked as a secret", default="")
    webhook: str = setting("BAD_WEBHOOK_URL", "Not marked either.", default="")
    url: str = setting("bad_url", "", default="")


class Bad(Notifier[BadSettings]):
    name = "Bad Name"
    Settings = BadSettings
    trigger = "MISSING"

    @on("no_such_event")  # type: ignore[arg-type]
    def act(self, argument: str) -> None:
        """Handles what does not exist."""


def test_rules_find_what_is_wrong() -> None:
    """A rule that finds nothing proves nothing."""
    assert set(broken_rules(Bad)) == {
        "its name is not a word in lower case",
        "it has no docstring",
        "a method is missing",
        "BAD_TOKEN is a secret by its name",
        "BAD_WEBHOOK_URL is a secret by its name",
        "BAD_WEBHOOK_URL has no help, or one that ends with a full stop",
        "bad_url is not in upper case",
        "bad_url has no help, or one that ends with a full stop",
        "its trigger is not one of its settings",
        "act handles an event that does not exist",
        "act takes arguments",
    }


def test_layer_that_lacks_a_method_cannot_be_made() -> None:
    """Other packages have no type checker to tell them."""
    with pytest.raises(TypeError, match="send"):
        Bad(ctx=None, settings=BadSettings())  # type: ignore[arg-type, abstract]


def test_names_are_unique_and_order_is_kind_then_name() -> None:
    assert len({cls.name for cls in OURS}) == len(OURS)
    assert [(cls.order, cls.name) for cls in OURS] == sorted((cls.order, cls.name) for cls in OURS)


def test_setting_that_two_layers_share_is_the_same_for_both() -> None:
    seen: dict[str, Setting] = {}
    for cls in OURS:
        for each in declared(cls.Settings):
            plain = each._replace(field="", group="", group_help="", parse=None)
            assert seen.setdefault(each.name, plain) == plain, each.name


def test_every_secret_by_name_is_one_everywhere() -> None:
    assert [each.name for each in every_setting() if not names_secrets_well(each)] == []


# --- finding them ---


def test_every_problem_names_a_setting_that_there_is() -> None:
    """A problem's setting is spelled for the platform where it is told; a name that is none would
    be told as an input that nobody can set (faults E7)."""
    known = {each.name for each in every_setting()}
    named: set[str] = set()
    for path in (ROOT / "entrypoint/ci_deploy").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                first = call.args[0] if call.func.id == "Problem" and call.args else None
                if isinstance(first, ast.Constant) and re.fullmatch(r"[A-Z_]+", str(first.value)):
                    named.add(str(first.value))
    assert len(named) > 10
    assert named <= known


def test_other_packages_stand_in_the_order_like_ours(others: list[LayerClass]) -> None:
    found = [load(cls) for cls in discover()]
    assert [(cls.order, cls.name) for cls in found] == sorted(
        (cls.order, cls.name) for cls in found
    )
    assert set(OURS) < set(found)
    assert set(others) < set(found)


def test_looking_twice_finds_nothing_twice(others: list[LayerClass]) -> None:
    before = list(sys.path)
    assert discover() == discover()
    assert sys.path == before


def test_settings_of_other_packages_become_settings(others: list[LayerClass]) -> None:
    assert {"PAGER_URL", "PAGER_ROOM", "PAGER_TOKEN"} <= {each.name for each in every_setting()}


def test_entry_point_that_is_no_layer_is_named(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = package(other)
    files[f"{other}-1.0.dist-info/entry_points.txt"] = "[ci_deploy.layers]\nx = json:loads\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ToolMissing, match=r"json:loads .* is not a subclass of Layer") as caught:
        discover()
    assert f"It comes from {other} 1.0" in caught.value.hint


def test_layer_that_cannot_be_imported_is_named(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**package(other), f"{other}/__init__.py": "import nothing_like_this\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ToolMissing, match=r"cannot be loaded: ModuleNotFoundError.*nothing_like"):
        discover()


# --- switched on, switched off ---


class Runs:
    """Puts runs together and keeps the log."""

    def __init__(self, workspace: Path, log: Path, cleanup: contextlib.ExitStack) -> None:
        self.workspace = workspace
        self.log = log
        self.cleanup = cleanup

    def __call__(self, **environ: str) -> tuple[Context, list[Layer[Any]]]:
        given = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(self.workspace), **environ}
        platform, redactor = ci.detect(given), Redactor()
        with self.log.open("wb") as file:
            console = Console(platform, redactor, fd=file.fileno(), child_fd=file.fileno())
            assembly = Assembly(given, platform, console, redactor, Cancellation(), self.cleanup)
            return assembly.context("deploy")


@pytest.fixture
def assemble(tmp_path: Path) -> Iterator[Callable[..., tuple[Context, list[Layer[Any]]]]]:
    (tmp_path / "workspace").mkdir()
    with contextlib.ExitStack() as cleanup:
        yield Runs(tmp_path / "workspace", tmp_path / "log", cleanup)


def sample(each: Setting) -> str:
    """A value that is taken."""
    if each.choices:
        return each.choices[0]
    by_type = {int: "7", bool: "true", dict[str, str]: "A=1"}
    return by_type.get(each.base) or each.example or str(each.default or "x")


def own_settings(cls: LayerClass) -> list[Setting]:
    """What no other layer has, nor every run."""
    shared = {each.name for other in OURS if other is not cls for each in declared(other.Settings)}
    return [each for each in declared(cls.Settings) if each.name not in shared]


@pytest.mark.parametrize(
    "cls",
    [cls for cls in OURS if any(each.required for each in declared(cls.Settings)) and cls.trigger],
    ids=lambda cls: cls.name,
)
def test_trigger_alone_where_more_is_required_is_an_error(cls: LayerClass, assemble: Runs) -> None:
    missing = [each.name for each in declared(cls.Settings) if each.required]
    by_name = {each.name: each for each in declared(cls.Settings)}
    with pytest.raises(SettingsError) as caught:
        assemble(**{cls.trigger: sample(by_name[cls.trigger])})
    for name in missing:
        assert (f"- {name}: is required" in str(caught.value)) is (name != cls.trigger)


@pytest.mark.parametrize(
    "cls", [cls for cls in OURS if not issubclass(cls, Provider)], ids=lambda cls: cls.name
)
def test_other_settings_without_the_trigger_leave_it_off_with_one_line(
    cls: LayerClass, assemble: Runs, others: list[LayerClass]
) -> None:
    triggers = {cls.trigger, *cls.also}
    given = {each.name: sample(each) for each in own_settings(cls) if each.name not in triggers}
    _, active = assemble(DEPLOY_PROVIDER="nowhere", APP_NAME="web", **given)
    assert [layer.name for layer in active] == ["nowhere"]
    lines = [line for line in assemble.log.read_text().splitlines() if "is off" in line]
    if given:
        (line,) = lines
        assert line.startswith(f"  {cls.name} is off: ")
        assert all(name in line for name in given)
    else:
        assert lines == []


def test_layer_of_another_package_is_switched_on_by_its_trigger(
    assemble: Runs, others: list[LayerClass]
) -> None:
    given = {"DEPLOY_PROVIDER": "nowhere", "APP_NAME": "web"}
    with pytest.raises(SettingsError, match="PAGER_ROOM: is required"):
        assemble(PAGER_URL="x", **given)
    ctx, active = assemble(PAGER_URL="x", PAGER_ROOM="y", **given)
    assert [layer.name for layer in active] == ["nowhere", "pager"]
    assert ctx.provider is active[0]
    assemble(PAGER_ROOM="y", PAGER_TOKEN="t0ken-t0ken", **given)
    text = assemble.log.read_text()
    assert (
        text.count("pager is off: PAGER_URL is not set, although PAGER_ROOM, PAGER_TOKEN are set")
        == 1
    )
    assert "t0ken-t0ken" not in text
