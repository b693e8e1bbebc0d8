"""WebSockets as a load: each one lives for some seconds, and every text that it sends must come back."""

import asyncio
import base64
import os
import struct
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What became of the sockets."""

    opened: int = 0
    echoes: int = 0
    failures: list[str] = field(default_factory=list)


class Sockets:
    """Opens ``rate`` sockets a second to ``/ws``, each for ``seconds``."""

    def __init__(self, port: int, host: str, rate: float, seconds: float) -> None:
        self._port = port
        self._host = host
        self._rate = rate
        self._seconds = seconds
        self._stop = asyncio.Event()
        self.tally = Tally()

    async def run(self) -> Tally:
        """Open sockets until stopped; return when the last one is closed."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stop.is_set():
                tasks.create_task(self._live())
                await asyncio.sleep(1 / self._rate)
        return self.tally

    def stop(self) -> None:
        """Open no more."""
        self._stop.set()

    async def _live(self) -> None:
        self.tally.opened += 1
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            await self._talk(reader, writer)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.tally.failures.append(f"{type(error).__name__} {error}")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nhost: {self._host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ValueError(head.split(b"\r\n", 1)[0].decode())
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        while loop.time() < until:
            text = os.urandom(6).hex()
            writer.write(_frame(0x1, text.encode()))
            await self._echo(reader, text)
            await asyncio.sleep(0.25)
        writer.write(_frame(0x8, struct.pack(">H", 1000)))
        await writer.drain()

    async def _echo(self, reader: asyncio.StreamReader, text: str) -> None:
        while True:
            kind, payload = await _read(reader)
            if kind == 0x8:
                raise ValueError(f"closed by the service: {payload[2:].decode(errors='replace')}")
            if kind == 0x1 and text.encode() in payload:
                self.tally.echoes += 1
                return


def _frame(kind: int, payload: bytes) -> bytes:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes((0x80 | kind, 0x80 | len(payload))) + mask + masked


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    return first & 0x0F, await reader.readexactly(length)
