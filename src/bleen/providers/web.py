"""A web server that sleeps while nobody asks."""

import asyncio
from contextlib import suppress
from types import FrameType

import uvicorn

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
