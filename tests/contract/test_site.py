"""The documentation is a site, and is built without warnings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

FROM_ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|link(?![^>]*canonical))\b[^>]*(?:src|href)=\"?http[^>]*>"
)


def test_site_is_built_without_warnings_has_every_page_and_asks_no_other_host(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").glob("*.md")))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not FROM_ELSEWHERE.findall(text), page.name
        assert 'data-md-component="source"' not in text  # asks GitHub for the number of stars
        assert 'class="mermaid"' not in text  # fetches a program that draws
