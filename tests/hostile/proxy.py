"""A TCP proxy that does one thing wrong at one named step, and then perhaps for good.

with FaultProxy("127.0.0.1", 22) as proxy: proxy.arm(step, Effect.CUT); … proxy.port …
"""

from __future__ import annotations

import asyncio
import enum
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from standins.loopback import PATIENCE, Proxy

BLOCK = 65536


class Effect(enum.Enum):
    """What goes wrong."""

    CUT = "cut"  # both sides get an end of file
    RESET = "reset"  # the client gets RST
    STALL = "stall"  # nothing passes any more, and the connection stays
    SLOW = "slow"  # one byte a second from now on
    TRUNCATE = "truncate"  # half of what is due, then an end of file
    GARBAGE = "garbage"  # random bytes instead of what is due, then as usual


SILENT = {Effect.STALL, Effect.SLOW}  # those after which only the clock can tell


@dataclass
class Connection:
    """One connection, as the proxy knows it."""

    number: int
    port: int = 0  # from which the server sees us
    sent: int = 0  # bytes that the server has sent
    heard: bytes = b""  # the first of them
    got: bytes = b""  # the first bytes of the client
    struck: bool = False


# Where in this data the step is (0 for its beginning); None when it is not there.
Step = Callable[[Connection, bool, bytes], int | None]
"""Called with the connection, whether the data goes to the client, and the data; b"" on accept."""


class FaultProxy(Proxy):
    """Passes everything on until the step that is armed comes."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.struck = 0
        self.sent = 0  # bytes of all connections to the client
        self._step: Step | None = None
        self._effect, self._lasting = Effect.CUT, False
        self._random = random.Random(0)
        self._count = 0
        self.impostor, self.deceived = (
            0,
            0,
        )  # the port of one that takes the server's place; for whom

    def arm(self, step: Step, effect: Effect, *, lasting: bool = False, seed: int = 0) -> None:
        """Let it happen once; with `lasting` no later connection works either."""
        self.disarm()
        self._random = random.Random(seed)
        self._effect, self._lasting, self._step = effect, lasting, step

    def disarm(self) -> None:
        """Pass everything on, and forget the connections so far."""
        self._step, self.impostor = None, 0
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(PATIENCE)
        self.struck = self._count = self.sent = self.deceived = 0

    def replace(self, port: int, step: Step | None = None) -> None:
        """Let somebody else be there: at once, or once the connection was cut at a step."""
        self.disarm()
        if step:
            self.arm(step, Effect.CUT)
        self.impostor = port

    # --- in the loop ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pass_on(reader, writer)
        finally:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        connection = Connection(self._count)
        if (self.struck and self._lasting) or self._due(connection, True, b"") is not None:
            return await self._refuse(reader, writer)
        target = self._target
        if self.impostor and (self.struck or self._step is None):
            target = ("127.0.0.1", self.impostor)
            self.deceived += 1
        far_reader, far_writer = await asyncio.open_connection(*target)
        connection.port = far_writer.get_extra_info("sockname")[1]
        pumps = [
            asyncio.ensure_future(self._pump(connection, False, reader, far_writer, writer)),
            asyncio.ensure_future(self._pump(connection, True, far_reader, writer, writer)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            far_writer.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)
        return None

    def _due(self, connection: Connection, to_client: bool, data: bytes) -> int | None:
        """Where the step is in this; the effect is due there."""
        if self._step is None or self.struck:
            return None
        at = self._step(connection, to_client, data)
        if at is not None:
            self.struck += 1
            connection.struck = True
        return at

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Of a connection that was only accepted."""
        if self._effect in SILENT:
            while await reader.read(BLOCK):
                pass
        elif self._effect is Effect.RESET:
            _reset(writer)
        elif self._effect is Effect.GARBAGE:
            writer.write(self._random.randbytes(512))
            await writer.drain()
            writer.close()

    async def _pump(
        self,
        connection: Connection,
        to_client: bool,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(BLOCK):
            if connection.struck and self._effect in SILENT:
                await self._dribble(writer, data)
                continue
            if to_client:
                self.sent += len(data)
            elif len(connection.got) < BLOCK:
                connection.got += data
            at = self._due(connection, to_client, data)
            if to_client:
                connection.sent += len(data)
                if len(connection.heard) < BLOCK:
                    connection.heard += data
            if at is None:
                writer.write(data)
                await writer.drain()
                continue
            writer.write(data[:at])
            data = data[at:]
            if self._effect is Effect.GARBAGE:
                writer.write(self._random.randbytes(len(data)))
            elif self._effect in SILENT:
                await self._dribble(writer, data)
            else:
                if self._effect is Effect.TRUNCATE:
                    writer.write(data[: len(data) // 2])
                await writer.drain()
                if self._effect is Effect.RESET:
                    _reset(client)
                raise ConnectionAbortedError  # both pumps end, both connections are closed
        if not (connection.struck and self._effect in SILENT):
            writer.write_eof()

    async def _dribble(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """What is silent reads on, so that nobody waits for room in a socket."""
        if self._effect is Effect.SLOW:
            for byte in data:
                writer.write(bytes([byte]))
                await asyncio.sleep(1)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
