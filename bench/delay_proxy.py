"""A TCP proxy that delays each direction by half a round trip: the kernel here has no netem.

with DelayProxy("127.0.0.1", 22, round_trip=0.1) as proxy: … proxy.port …
"""

from __future__ import annotations

import asyncio
import contextlib

from standins.loopback import Proxy


class DelayProxy(Proxy):
    """Every byte arrives `round_trip` / 2 seconds later than it was sent."""

    def __init__(self, host: str, port: int, *, round_trip: float) -> None:
        super().__init__(host, port)
        self._delay = round_trip / 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self._delay)  # TCP's own handshake, which we have answered at once
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read at once, write later: the delay is of time, not of bandwidth."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    break
                writer.write(data)
            writer.close()

        delivering = asyncio.ensure_future(deliver())
        try:
            while data := await reader.read(65536):
                waiting.put_nowait((self._loop.time() + self._delay, data))
        except ConnectionError:
            pass
        waiting.put_nowait((self._loop.time() + self._delay, b""))
        with contextlib.suppress(ConnectionError):
            await delivering
