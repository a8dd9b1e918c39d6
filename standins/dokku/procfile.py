"""What an app's tree says about how to run it: `Procfile` and `app.json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .output import fail

if TYPE_CHECKING:
    from pathlib import Path

LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>.+)")


def read_procfile(path: Path) -> dict[str, str]:
    """Return the command of each process type (docs processes/process-management.md)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = (LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match["name"]: match["command"] for match in found if match}


@dataclass(frozen=True)
class AppJson:
    """What the stand-in knows of `app.json` (docs appendices/file-formats/app-json.md)."""

    predeploy: str = ""
    postdeploy: str = ""
    first_postdeploy: str = ""
    formation: dict[str, int] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    health_paths: tuple[str, ...] = ()


def read_app_json(path: Path) -> AppJson:
    """Read an `app.json`; a missing one says nothing."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8") or "{}")
    except (FileNotFoundError, NotADirectoryError):
        return AppJson()
    except ValueError as error:
        fail(f"Cannot parse app.json: {error}")
    scripts = raw.get("scripts", {})
    checks = raw.get("healthchecks", {}).get("web", ())
    formation = raw.get("formation", {})
    return AppJson(
        predeploy=scripts.get("dokku", {}).get("predeploy", ""),
        postdeploy=scripts.get("dokku", {}).get("postdeploy", ""),
        first_postdeploy=scripts.get("postdeploy", ""),
        formation={
            name: each["quantity"] for name, each in formation.items() if "quantity" in each
        },
        env=raw.get("env", {}),
        health_paths=tuple(each["path"] for each in checks if "path" in each),
    )


def apply_env(app_json: AppJson, config: dict[str, str]) -> dict[str, str]:
    """Return what `env` adds to the config; a required variable without value fails the deploy."""
    added = {}
    for name, rule in app_json.env.items():
        value = rule if isinstance(rule, str) else rule.get("value", "")
        required = not isinstance(rule, dict) or rule.get("required", True)
        if name in config:
            continue
        if value:
            added[name] = value
        elif required:
            fail(f"required env var {name} has no value, no default, and no TTY for prompt")
    return added
