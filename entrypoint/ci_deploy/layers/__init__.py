"""Finds the layers (`discover`): those of ci-deploy in the folders of `layers`, those of other
packages by their entry points. `load` imports the code of a layer that takes part in the run."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ci_deploy.errors import DOCS, ToolMissing
from ci_deploy.layers.base import Layer

KINDS = ("providers", "applications", "third_parties", "notifiers")
GROUP = "ci_deploy.layers"
WHEELS = Path("/opt/ci-deploy/layers")  # a derived image copies wheels here

LayerClass = type[Layer[Any]]


def discover() -> list[LayerClass]:
    """The classes of all layers that are installed, ordered by kind (providers first) and name.

    Some classes only describe a layer, which `load` imports if it takes part in the run. Raises
    ToolMissing when a layer of another package cannot be imported, or is not one. Appends the
    wheels in WHEELS to sys.path.
    """
    found = {cls for module in _modules() for cls in _layers_of(module)}
    return sorted(found | set(_from_other_packages()), key=lambda cls: (cls.order, cls.name))


def load(cls: LayerClass) -> LayerClass:
    """The class that implements a layer: the one that `cls.loads` names (`module:Class`), which is
    then imported, else `cls` itself."""
    if "loads" not in vars(cls):
        return cls
    module, _, name = cls.loads.partition(":")
    loaded: LayerClass = getattr(importlib.import_module(module), name)
    return loaded


def _modules() -> Iterator[Any]:
    """The modules of our own layers; a folder describes its layer in its module `settings`."""
    for kind in KINDS:
        package = importlib.import_module(f"ci_deploy.layers.{kind}")
        for info in pkgutil.iter_modules(package.__path__):
            inside = ".settings" if info.ispkg else ""
            yield importlib.import_module(f"{package.__name__}.{info.name}{inside}")


def _layers_of(module: Any) -> Iterator[LayerClass]:
    for value in vars(module).values():
        own = isinstance(value, type) and value.__module__ == module.__name__
        if own and issubclass(value, Layer) and "name" in vars(value):
            yield value


def _from_other_packages() -> Iterator[LayerClass]:
    """Layers of installed packages and of wheels in /opt/ci-deploy/layers. Raises ToolMissing."""
    if WHEELS.is_dir():
        wheels = map(str, sorted(WHEELS.glob("*.whl")))
        sys.path.extend(wheel for wheel in wheels if wheel not in sys.path)
    if not any(map(_names_layers, sys.path)):
        return
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
        except Exception as error:
            message = f"the layer {entry.name} ({entry.value}) cannot be loaded: {error!r}."
            raise ToolMissing(message, hint=_hint(entry)) from error
        if not (isinstance(loaded, type) and issubclass(loaded, Layer)):
            message = f"{entry.value} of the group {GROUP} is not a subclass of Layer."
            raise ToolMissing(message, hint=_hint(entry))
        yield loaded


def _names_layers(place: str) -> bool:
    """Whether a package or wheel in this entry of sys.path declares layers."""
    folder = Path(place)
    if folder.suffix == ".whl":
        return True
    declared = folder.glob("*.dist-info/entry_points.txt")
    return any(GROUP in file.read_text(encoding="utf-8", errors="replace") for file in declared)


def _hint(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
    return f"It comes from {package}. What a layer needs: {DOCS}writing-a-layer.md"
