"""The worlds that are disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.hostile.proxy import FaultProxy
from tests.hostile.worlds import Dokku, Heroku
from tests.standins.dokku.server import DokkuStandIn
from tests.standins.heroku.server import HerokuStandIn
from tests.support import Checkout


@pytest.fixture
def dokku_world(dokku: DokkuStandIn, checkout: Checkout) -> Iterator[Dokku]:
    with FaultProxy(dokku.host, dokku.port) as proxy:
        yield Dokku(dokku, proxy, checkout)


@pytest.fixture
def heroku_world(tmp_path: Path) -> Iterator[Heroku]:
    with HerokuStandIn(tmp_path / "heroku") as server:
        server.create("hello")
        with FaultProxy("127.0.0.1", urlsplit(server.url).port or 0) as proxy:
            checkout = Checkout(tmp_path / "checkout", {"Procfile": "web: sleep 600\n"})
            (tmp_path / "home").mkdir()
            yield Heroku(server, proxy, checkout, tmp_path / "home")
            server.platform.base = server.url
