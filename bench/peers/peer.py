"""What a benchmark asks of a gateway, Bleen's or another."""

import asyncio
import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

Address = tuple[str, int]
Colours = Mapping[str, Sequence[Address]]
"""The instances of ``blue`` and ``green``."""


class Peer(ABC):
    """A gateway with two colours behind it, all requests on one of them."""

    name: ClassVar[str]
    program: ClassVar[str]
    """What it needs on the PATH."""

    def __init__(self, folder: Path, port: int, colours: Colours) -> None:
        self.folder = folder
        self.port = port
        self.colours = colours

    @classmethod
    def missing(cls) -> str:
        """Return why it cannot be measured here; empty where it can."""
        return "" if shutil.which(cls.program, path=_path()) else f"{cls.name}: {cls.program} is not installed"

    @abstractmethod
    async def start(self) -> None:
        """Serve at ``port``, all on blue; return when it does."""

    @abstractmethod
    async def switch(self, colour: str) -> None:
        """Send every new request to ``colour``; return when the gateway says so, or where it says nothing, at once."""

    @abstractmethod
    async def stop(self) -> None:
        """End it."""

    async def ready(self, colour: str) -> None:  # noqa: B027 most gateways do not know: nothing to wait for
        """Return when the gateway could switch to ``colour``."""

    async def run(self, *words: str) -> asyncio.subprocess.Process:
        """Start a program of this peer; its output goes to a log in ``folder``."""
        program = shutil.which(words[0], path=_path()) or words[0]
        with (self.folder / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(program, *words[1:], stdout=log, stderr=log, cwd=self.folder)

    async def answers(self) -> None:
        """Return when a request through the gateway is answered."""
        await until(self._serves, f"{self.name} does not serve; see its log in {self.folder}")

    async def _serves(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        head = await reader.read(4096)
        writer.close()
        return head.startswith(b"HTTP/1.1 200")


class NotReady(Exception):
    """A gateway did not do in time what was asked of it."""


async def until(what: Callable[[], Awaitable[bool]], otherwise: str, seconds: float = 10.0) -> None:
    """Return when ``what`` answers True; NotReady with ``otherwise`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not await what():
        if time.monotonic() > deadline:
            raise NotReady(otherwise)
        await asyncio.sleep(0.02)


async def end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, and wait; SIGKILL after five seconds."""
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        process.kill()
        await process.wait()


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin"
