"""CHANGELOG.md in the form of Keep a Changelog: what a release says, and beginning the next one."""

from __future__ import annotations

import re
from datetime import date

from release.project import Project, Refused

UNRELEASED = "## [Unreleased]\n"


def notes(project: Project, version: str) -> str:
    """The section of a version, without its heading."""
    pattern = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}\n(.*?)(?=^## \[|\Z)"
    match = re.search(pattern, _read(project), re.M | re.S)
    if not match:
        raise Refused(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'")
    if not _entries(match[1]):
        raise Refused(f"the section of {version} in CHANGELOG.md says nothing")
    return match[1].strip() + "\n"


def unreleased(project: Project) -> list[str]:
    """What the next release would bring."""
    return _entries(_read(project).partition(UNRELEASED)[2].partition("\n## [")[0])


def cut(project: Project, version: str, day: date) -> None:
    """Give what is not released yet the number and the date of its release."""
    if not unreleased(project):
        raise Refused("nothing stands under [Unreleased] in CHANGELOG.md: what is released?")
    heading = f"{UNRELEASED}\n## [{version}] - {day.isoformat()}\n"
    text = _read(project).replace(UNRELEASED, heading, 1)
    (project.root / "CHANGELOG.md").write_text(text, encoding="utf-8")


def _read(project: Project) -> str:
    return (project.root / "CHANGELOG.md").read_text(encoding="utf-8")


def _entries(section: str) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("- ")]
