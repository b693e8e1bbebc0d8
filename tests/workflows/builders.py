"""A worker in a process of its own that builds real images, and stops for ever at one stage: to be killed there.

``python -m tests.workflows.builders ENGINE QUEUE SOCKET HOME STAGE MOMENT`` works. At ``STAGE`` it stops ``before`` the work is
done, or ``after`` it was done and before anybody hears of it. Everything but images is at the other end of the socket.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bleen.domain.finding import Scan
from bleen.domain.image import Image
from bleen.domain.inventory import BillFormat
from bleen.domain.pipeline import Carried, Making, Plan
from bleen.providers.local.images import LocalBases, LocalBuilder, LocalImages
from bleen.providers.scanning.scanner import ImageScanner
from bleen.settings import EngineAccess
from bleen.workflows.connection import connect
from bleen.workflows.worker import run_worker
from bleen.workflows.world import World
from tests.fixtures.debian import NOW
from tests.workflows.crew import PORTS, Away

T = TypeVar("T")


@dataclass
class Stops:
    """Stops at ``stage``, and writes down each stage that was begun in ``log``."""

    log: Path
    stage: str
    moment: str

    async def at(self, stage: str, work: Awaitable[T]) -> T:
        with self.log.open("a") as log:
            log.write(f"{stage}\n")
        if (stage, "before") == (self.stage, self.moment):
            await self._stop()
        done = await work
        if (stage, "after") == (self.stage, self.moment):
            await self._stop()
        return done

    async def _stop(self) -> None:
        sys.stdout.write("stopped\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


@dataclass
class StoppingBuilder:
    """Keeps the port `Builder`, over a real one."""

    builder: LocalBuilder
    stops: Stops

    async def begin(self, making: Making) -> Plan:
        return await self.stops.at("inputs", self.builder.begin(making))

    async def carry_out(self, key: str, stage: str) -> Carried:
        return await self.stops.at(stage, self.builder.carry_out(key, stage))

    async def find(self, digest: str) -> Image:
        return await self.builder.find(digest)

    async def publish(self, key: str, digest: str) -> Image:
        return await self.stops.at("publish", self.builder.publish(key, digest))


@dataclass
class StoppingScanner:
    """Keeps the port `Scanner`, over a real one."""

    scanner: ImageScanner
    stops: Stops

    async def bill(self, digest: str, form: BillFormat) -> str:
        return await self.scanner.bill(digest, form)

    async def scan(self, digest: str) -> Scan:
        return await self.stops.at("scan", self.scanner.scan(digest))

    async def comply(self, digest: str) -> Scan:
        return await self.stops.at("compliance", self.scanner.comply(digest))


@asynccontextmanager
async def builder(address: str, queue: str, socket: Path, home: Path, at: tuple[str, str]) -> AsyncIterator[Any]:
    """Run the worker while the block runs; ``at`` is where it stops."""
    command = (sys.executable, "-m", "tests.workflows.builders", address, queue, str(socket), str(home), *at)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def main(address: str, queue: str, socket: str, home: Path, stops: Stops) -> None:
    """Work until killed."""
    images, bases = LocalImages(home), LocalBases(home, clock=lambda: NOW)
    real = LocalBuilder(images, bases)
    ports: dict[str, Any] = {port: Away(socket, port) for port in PORTS} | {
        "images": images,
        "bases": bases,
        "builder": StoppingBuilder(real, stops),
        "scanner": StoppingScanner(ImageScanner(real, bases), stops),
    }
    client = await connect(EngineAccess(address=address))
    await run_worker(client, World(**ports, regions=("local",)), asyncio.Event(), queue)


if __name__ == "__main__":
    engine, queue, socket, home, stage, moment = sys.argv[1:]
    asyncio.run(main(engine, queue, socket, Path(home), Stops(Path(home).with_name("stages"), stage, moment)))
