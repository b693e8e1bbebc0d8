"""A worker in a process of its own, to be killed, on a world that outlives it in the test's process.

``python -m tests.workflows.crew ENGINE QUEUE SOCKET`` works; `serving` is the other end of the socket. Only for tests:
what goes through the socket is pickled.
"""

import asyncio
import pickle
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bleen.settings import EngineAccess
from bleen.workflows.connection import connect
from bleen.workflows.worker import run_worker, take_over
from bleen.workflows.world import World

PORTS = ("images", "bases", "fleets", "gateway", "ledger", "prober", "metrics", "notices", "scanner", "builder")


class Away:
    """A port whose provider lives at the other end of a socket."""

    def __init__(self, socket: str, port: str) -> None:
        self._socket = socket
        self._port = port

    def __getattr__(self, verb: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            reader, writer = await asyncio.open_unix_connection(self._socket)
            try:
                writer.write(pickle.dumps((self._port, verb, args, kwargs)))
                writer.write_eof()
                answer, error = pickle.loads(await reader.read())
            finally:
                writer.close()
            if error is not None:
                raise error
            return answer

        return call


@asynccontextmanager
async def serving(world: World, socket: Path) -> AsyncIterator[None]:
    """Answer for the ports of ``world`` while the block runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port, verb, args, kwargs = pickle.loads(await reader.read())
        told: tuple[Any, Exception | None]
        try:
            told = (await getattr(getattr(world, port), verb)(*args, **kwargs), None)
        except Exception as error:
            told = (None, error)
        writer.write(pickle.dumps(told))
        writer.close()

    async with await asyncio.start_unix_server(answer, socket):
        yield


@asynccontextmanager
async def crew(address: str, queue: str, socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the worker while the block runs; it may be killed in it."""
    command = (sys.executable, "-m", "tests.workflows.crew", address, queue, str(socket))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"works\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def main(address: str, queue: str, socket: str) -> None:
    """Work until killed."""
    ports: dict[str, Any] = {port: Away(socket, port) for port in PORTS}
    world = World(**ports, regions=("local",))
    client = await connect(EngineAccess(address=address))
    working = asyncio.create_task(run_worker(client, world, asyncio.Event(), queue))
    await take_over(client, queue)
    sys.stdout.write("works\n")
    sys.stdout.flush()
    await working


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
