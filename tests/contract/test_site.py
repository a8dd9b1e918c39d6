"""The documentation is a site, and is built without warnings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from standins.support import ROOT
from tooling.tabs import on_page_markdown

PROVIDERS = ["Dokku", "Heroku", "Docker Compose", "Docker Swarm"]

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
    for name in ("gitlab", "github", "circleci"):
        text = (tmp_path / f"site/{name}/index.html").read_text(encoding="utf-8")
        [tabs] = re.findall(r'<div class="tabbed-labels">(.*?)</div>', text, re.S)
        assert re.findall(r">([^<>]+)</label>", tabs) == PROVIDERS
        assert text.count('class="tabbed-block"') == len(PROVIDERS)


def test_tabs_are_paragraphs_under_labels_so_that_pages_read_well_on_github_too() -> None:
    shown = on_page_markdown(
        "a\n\n<!-- tabs -->\n\n**B**\n\nc\n\n**D**\n\n```\ne\n```\n<!-- end of tabs -->\n"
    )
    assert shown == 'a\n\n=== "B"\n\n\n\n    c\n\n\n=== "D"\n\n\n\n    ```\n    e\n    ```\n\n'
    with pytest.raises(ValueError, match="begin with a label"):
        on_page_markdown("<!-- tabs -->\ntext\n<!-- end of tabs -->")
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- tabs -->") == text.count("<!-- end of tabs -->")
        assert not re.search(r"^(===|!!!|\?\?\?) ", text, re.M), (
            f"{page.name}: GitHub shows that as it is"
        )
