"""An instance in the process of a test, that remembers what it was asked, and can be mute or rude."""

import asyncio
import itertools
import os
from dataclasses import dataclass, field
from enum import StrEnum

from bleen.domain.traffic import Endpoint
from bleen.providers.envoy.ports import free_port

_numbers = itertools.count(1)


class Manner(StrEnum):
    """How it answers."""

    POLITE = "polite"
    MUTE = "mute"
    DEAF = "deaf"
    """It does not even read what it is sent."""
    RUDE = "rude"
    """The connection is reset."""


@dataclass
class Recorder:
    """One instance. Its health path always answers, and is not remembered."""

    name: str
    manner: Manner = Manner.POLITE
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def start(self) -> Endpoint:
        """Return where it serves."""
        address = f"127.78.{os.getpid() % 250}.{next(_numbers) % 250 + 1}"
        self.endpoint = Endpoint(address, free_port(address))
        self._server = await asyncio.start_server(self._accept, address, self.endpoint.port, backlog=1024)
        return self.endpoint

    def stop(self) -> None:
        """Serve no more."""
        self.gone.set()
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # the other side left, or the test is over
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("GET /health "):
            self.heads.append(head.lower())
            if self.manner is Manner.DEAF:
                await self.gone.wait()
            self.bodies.append(await _body(head.lower(), reader))
            if self.manner is Manner.MUTE:
                await reader.read()  # until the other side leaves
            if self.manner is not Manner.POLITE:
                writer.transport.abort()
                return False
        text = self.name.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nx-instance: %s\r\ncontent-length: %d\r\n\r\n%s" % (text, len(text), text))
        await writer.drain()
        return True


async def _body(head: str, reader: asyncio.StreamReader) -> bytes:
    if "transfer-encoding: chunked" in head:
        return await reader.readuntil(b"0\r\n\r\n")
    _, _, rest = head.partition("content-length: ")
    return await reader.readexactly(int(rest.split("\r\n")[0]) if rest else 0)
