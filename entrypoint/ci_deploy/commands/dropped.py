"""Finds settings for a framework that have no effect, since no layer of a framework that declares
them is active: `Dropped`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ci_deploy.commands import layout
from ci_deploy.errors import Problem
from ci_deploy.layers import LayerClass
from ci_deploy.run.events import CHECKED_RELEASING
from ci_deploy.settings import Setting, declared
from ci_deploy.settings.sources import Found, Source

# Not for a rollback, which migrates only with --migrations, nor for a stop job without a checkout.
WISHING = CHECKED_RELEASING


class Dropped(NamedTuple):
    """Finds the settings that are set to another value than their default, and that ask for
    something only an inactive layer does (`Layer.wishes`, like AUTO_MIGRATE_ON_DEPLOY without a
    Django or Rails app). `Assembly.context` makes one for each run; reads the files below
    `root`."""

    source: Source
    classes: Sequence[LayerClass]  # of all layers
    chosen: Sequence[LayerClass]  # of the active ones
    root: Path  # the app's directory

    def problems(self) -> Iterable[Problem]:
        """Yield a problem for each of these settings that is given as an input: that is meant for
        this job, so the run must not begin without it."""
        for wish, found in self._wishes():
            if found.by_input:
                reason = f"the setting has no effect: {self._why(wish)}"
                yield Problem(wish.name, reason, found.origin, self._remedy(wish))

    def warnings(self) -> Iterable[str]:
        """Yield a warning for each of these settings that is given in another way, by a variable or
        a file, which may be meant for many projects. None if DEPLOY_APPLICATION is `none`."""
        if self.source.text("DEPLOY_APPLICATION") == "none":
            return
        for wish, found in self._wishes():
            if not found.by_input:
                yield f"{wish.name} has no effect: {self._why(wish)} {self._remedy(wish)}"

    def _wishes(self) -> Iterator[tuple[Setting, Found]]:
        fulfilled = {each.name for cls in self.chosen for each in declared(cls.Settings)}
        seen = set(fulfilled)
        for cls in self.classes:
            for each in declared(cls.Settings):
                if each.name in cls.wishes and each.name not in seen:
                    seen.add(each.name)
                    found = self.source.find(each)
                    if found and _asks(each, found.text):
                        yield each, found

    def _able(self, wish: Setting) -> list[LayerClass]:
        return [cls for cls in self.classes if wish.name in cls.wishes]

    def _why(self, wish: Setting) -> str:
        names = " or ".join(cls.name.capitalize() for cls in self._able(wish))
        named = self.source.text("DEPLOY_APPLICATION")
        if named and named != "auto":
            return f"the app is not {names} (DEPLOY_APPLICATION is `{named}`)."
        return f"no {names} app was found in {self.root}."

    def _remedy(self, wish: Setting) -> str:
        choices = " or ".join(f"`{cls.name}`" for cls in self._able(wish))
        below = layout.framework(self.root)
        folder = below.at or " or ".join(below.rivals) or "the app's folder"
        if below.name == "django" and below.at:
            choices = f'{choices} with DJANGO_MANAGE_COMMAND="python {below.at}/manage.py"'
        return f"Set DEPLOY_APPLICATION to {choices}, or APP_DIR to {folder}, or unset {wish.name}."


def _asks(wish: Setting, text: str) -> bool:
    """Whether the value differs from the default; an invalid value counts as different."""
    try:
        return bool(wish.convert(text) != wish.default)
    except ValueError:
        return True
