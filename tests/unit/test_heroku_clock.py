"""How old a review app is, by Heroku's own clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_deploy.errors import Refused
from ci_deploy.layers.providers.heroku import review
from ci_deploy.layers.providers.heroku.api import Api
from ci_deploy.net.http import Response

DATE = "Mon, 30 Nov 2026 11:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"Date": DATE}, 1_796_036_400.0), ({}, 0.0), ({"Date": "soon"}, 0.0), ({"Date": ""}, 0.0)],
)
def test_clock_is_that_of_the_answers(headers: dict[str, str], expected: float) -> None:
    class Http:
        def read(self, _url: str, **_options: object) -> Response:
            return Response(200, b"[]", headers)

    cancellation = SimpleNamespace(sleep=lambda _seconds: None, leaving=False, left=lambda: 9.0)
    runner = SimpleNamespace(until=float("inf"))
    ctx = SimpleNamespace(http=Http(), cancellation=cancellation, command="destroy", runner=runner)
    api = Api(cast("Any", ctx), "https://api.heroku.com", "key")
    assert api.get_list("/apps") == []
    assert api.now == expected


def test_without_a_date_nothing_is_removed() -> None:
    api = SimpleNamespace(
        get_list=lambda _path: [{"name": "x", "released_at": "1970-01-01"}], now=0.0
    )
    with pytest.raises(Refused, match="the age of review apps is unknown"):
        review.stale(cast("Any", None), cast("Any", api), "hello", team="", days=14)
