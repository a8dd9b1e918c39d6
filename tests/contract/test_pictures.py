"""The pictures of the documentation are those of the messages that are sent."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

from standins.support import ROOT

PICTURES: dict[Path, str] = runpy.run_path(str(ROOT / "tooling/pictures.py"))["generate"]()


def test_pictures_are_up_to_date() -> None:
    for path, picture in PICTURES.items():
        assert path.read_text(encoding="utf-8") == picture, f"`make manifest` draws {path.name}"


def test_pictures_are_xml_and_shown_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    for path, picture in PICTURES.items():
        ET.fromstring(picture)
        assert f"(pictures/{path.name})" in pages
