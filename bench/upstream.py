"""A small HTTP server to stand behind gateways: ``python -m bench.upstream NAME ADDRESS PORT``.

Every answer carries its name in ``x-instance``. ``/slow/2`` answers after 2 s; ``/stream/10`` sends an event each
100 ms for 10 s; a websocket upgrade is echoed. SIGTERM stops it as servers do: no new connection, idle ones closed,
requests under way finished. SIGUSR1 makes its health path ``/health`` fail, SIGUSR2 makes it pass again.
"""

import asyncio
import base64
import errno
import hashlib
import signal
import sys


class Upstream:
    """One instance."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.healthy = True
        self.stopping = False
        self._idle: set[asyncio.StreamWriter] = set()

    async def serve(self, address: str, port: int) -> None:
        """Serve until SIGTERM, and then until the last request is answered."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(self, "healthy", False))
        loop.add_signal_handler(signal.SIGUSR2, lambda: setattr(self, "healthy", True))
        self._tasks: set[asyncio.Task[None]] = set()
        server = await self._listen(address, port)
        await stop.wait()
        self.stopping = True
        server.close()
        await asyncio.sleep(0.05)  # connections that were accepted, and have no task yet
        for writer in list(self._idle):
            writer.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _listen(self, address: str, port: int) -> asyncio.Server:
        while True:
            try:
                return await asyncio.start_server(self._accept, address, port, backlog=4096)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                await asyncio.sleep(0.02)  # the instance before this one has not heard its SIGTERM yet

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side left
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self._idle.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        finally:
            self._idle.discard(writer)
        _, path, _ = head.split(b" ", 2)
        headers = {k.lower(): v for k, _, v in (line.partition(b": ") for line in head.split(b"\r\n")[1:])}
        await reader.readexactly(int(headers.get(b"content-length", b"0")))
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            await self._echo(headers, reader, writer)
            return False
        verb, _, argument = path.decode().partition("?")[0].strip("/").partition("/")
        if verb == "stream":
            await self._stream(writer, float(argument))
            return False
        if verb == "slow":
            await asyncio.sleep(float(argument))
        status = b"503 Down" if verb == "health" and not self.healthy else b"200 OK"
        if verb == "status":
            status = argument.encode() + b" As Asked"
        self._write(writer, status, head if verb == "echo" else self.name.encode())
        await writer.drain()
        return not self.stopping

    def _write(self, writer: asyncio.StreamWriter, status: bytes, body: bytes) -> None:
        close = b"connection: close\r\n" if self.stopping else b""
        writer.write(
            b"HTTP/1.1 %s\r\nx-instance: %s\r\nx-bleen-release: forged\r\n%scontent-length: %d\r\n\r\n%s"
            % (status, self.name.encode(), close, len(body), body)
        )

    async def _stream(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        head = b"HTTP/1.1 200 OK\r\nx-instance: %s\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head % self.name.encode())
        for number in range(round(seconds * 10)):
            event = b"data: %d\n\n" % number
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _echo(self, headers: dict[bytes, bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        digest = hashlib.sha1(headers[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"x-instance: %s\r\nsec-websocket-accept: %s\r\n\r\n" % (self.name.encode(), accept)
        )
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()


def serve(name: str, address: str, port: int) -> None:
    """Be one instance, until SIGTERM."""
    asyncio.run(Upstream(name).serve(address, port))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
