"""The pictures that README and the home page show are of real runs, as they are today."""

from __future__ import annotations

import re

from tooling import log_picture


def _alike(picture: str) -> str:
    """Without what differs from run to run: ids of containers, the duration and its room."""
    return re.sub(r"\b[0-9a-f]{9}\b|\b\d+\.\d s *", "", picture)


def test_pictures_of_logs_are_up_to_date() -> None:
    for path, text in log_picture.logs().items():
        drawn = path.read_text(encoding="utf-8")
        assert _alike(drawn) == _alike(log_picture.svg(text)), path.name
