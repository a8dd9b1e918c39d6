"""The instructions for Dokku in an app's files, and those that Dokku ignores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ci_deploy.run.context import Context
from ci_deploy.settings import parsers as values

BOM = "\ufeff"
PROCFILE, APP_JSON, APP_YML = "Procfile", "app.json", "app.yml"


def tasks(ctx: Context) -> Mapping[str, str]:
    """The commands that Dokku runs by itself at a deploy: where configured → command."""
    found = {}
    for line in _files(ctx)[PROCFILE].removeprefix(BOM).splitlines():
        name, _, command = line.partition(":")
        if name.strip() == "release":
            found["the Procfile's `release:`"] = command.strip()
    scripts = _app_json(ctx).get("scripts")
    own = scripts.get("dokku") if isinstance(scripts, dict) else None
    for name, command in own.items() if isinstance(own, dict) else ():
        found[f"app.json's `scripts.dokku.{name}`"] = str(command)
    return found


def hints(ctx: Context) -> list[str]:
    """Warnings about files or entries that people expect to work and that Dokku ignores."""
    files, found = _files(ctx), []
    if addons := _app_json(ctx).get("addons"):
        names = ", ".join(map(str, addons))
        found.append(f"app.json names addons ({names}), which Dokku ignores: use DOKKU_SERVICES.")
    try:
        values.jsonc(files[APP_JSON] or "{}")
    except ValueError as error:
        found.append(
            f"app.json is not valid JSON: {error}. Its scripts and variables could not be checked."
        )
    found += [
        f"{name} begins with a byte order mark, which Dokku may not understand: save it "
        "without that."
        for name in (PROCFILE, APP_JSON)
        if files[name].startswith(BOM)
    ]
    if files[APP_YML]:
        found.append("there is an app.yml, which Dokku ignores: it reads app.json.")
    return found


def _files(ctx: Context) -> Mapping[str, str]:
    """The texts of the files that matter here; empty for missing ones."""
    names = (PROCFILE, APP_JSON, APP_YML)
    return dict(zip(names, ctx.texts(*names), strict=True))


def _app_json(ctx: Context) -> dict[str, Any]:
    try:
        found = values.jsonc(_files(ctx)[APP_JSON] or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
