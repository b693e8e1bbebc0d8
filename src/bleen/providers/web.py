"""A web server that sleeps while nobody asks, and does not wait for ever for whoever does."""

import asyncio
from contextlib import suppress
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_DATE_SECONDS = 1.0
"""Between two looks at the clock, for the header `Date`."""


class WebServer(uvicorn.Server):
    """uvicorn, told when to end: of its own it looks ten times a second, however idle the program is."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()

    async def main_loop(self) -> None:
        """Return once it is told to end."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATE_SECONDS):
                    await self._ended.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End because of a signal, which came in the midst of anything."""
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._ended.set)

    def end(self) -> None:
        """End it; `serve` returns once every request is answered, or their time is over."""
        self.should_exit = True
        self._ended.set()


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 for clients that may be slow, silent or many: uvicorn waits for a request without end, and for a reader too."""

    HEAD = 10.0
    """Seconds for the head of a request, from its connection or its first byte on."""
    BODY = 60.0
    """Seconds for the body behind it."""
    UNREAD = 30.0
    """Seconds for a reader to take anything of what waits for it."""
    MOST = 1_000
    """Connections at once; one more is told 503. Each costs about 5 kB and a descriptor."""

    _coming: asyncio.TimerHandle | None = None
    _awaited: object = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, where there is room for one."""
        super().connection_made(transport)
        if len(self.connections) > self.MOST:
            self._refuse(b"503 Service Unavailable")
        else:
            self._await(h11.IDLE)

    def data_received(self, data: bytes) -> None:
        """Go on with a request; its head and its body each have their time as a whole, however they drip."""
        super().data_received(data)
        self._await(self.conn.their_state)

    def pause_writing(self) -> None:
        """Wait for the reader, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        """Write on."""
        super().resume_writing()
        self._stop_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._await(h11.CLOSED)
        self._stop_unread()
        super().connection_lost(exc)

    def _await(self, state: object) -> None:
        if state is self._awaited:
            return
        if self._coming is not None:
            self._coming.cancel()
        self._awaited = state
        seconds = self.HEAD if state is h11.IDLE else self.BODY if state is h11.SEND_BODY else 0
        self._coming = self.loop.call_later(seconds, self._too_late) if seconds else None

    def _too_late(self) -> None:
        if self.conn.our_state is h11.IDLE:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.close()

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
