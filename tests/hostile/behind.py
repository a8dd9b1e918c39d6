"""A Dokku behind a jump host: each of the two is a connection that somebody may intercept."""

from __future__ import annotations

from standins.dokku.jump import through
from standins.dokku.server import DokkuStandIn
from standins.dokku.sshd import Sshd
from standins.support import Checkout
from tests.hostile.proxy import FaultProxy
from tests.hostile.worlds import Dokku


class Behind(Dokku):
    """The proxy stands `before` the jump host, or `behind` it, in front of the server."""

    def __init__(
        self, server: DokkuStandIn, proxy: FaultProxy, checkout: Checkout, jump: Sshd, where: str
    ) -> None:
        super().__init__(server, proxy, checkout)
        self.jump, self.where = jump, where

    def env(self) -> dict[str, str]:
        return through(self.jump, self.server, **{self.where: self.proxy.port})
