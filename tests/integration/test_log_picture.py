"""The picture that README shows is one of a real run, as it is today."""

from __future__ import annotations

import re

from tooling import log_picture


def _alike(picture: str) -> str:
    """Without what differs from run to run: ids of containers, the duration and its room."""
    return re.sub(r"\b[0-9a-f]{9}\b|\b\d+\.\d s *", "", picture)


def test_picture_of_the_log_is_up_to_date() -> None:
    drawn = log_picture.PATH.read_text(encoding="utf-8")
    assert _alike(drawn) == _alike(log_picture.svg(log_picture.log()))
