"""Many users who visit a service over a few connections that are kept."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.providers.envoy.world import World

CONNECTIONS = 8


@dataclass(frozen=True)
class Visit:
    """One answer."""

    release: str
    cookie: str
    """What the gateway gave for ``bleen-user``; empty where it gave none."""
    instance: str = ""


async def visit(world: World, cookies: Sequence[str], method: str = "GET", address: str = "") -> list[Visit]:
    """Ask once with each ``Cookie`` header, none where it is empty; return the answers in that order."""
    found: list[Visit | None] = [None] * len(cookies)
    turns = iter(enumerate(cookies))
    await asyncio.gather(*(_connection(world, method, turns, found, address) for _ in range(CONNECTIONS)))
    return [each for each in found if each is not None]


async def _connection(
    world: World, method: str, turns: Iterator[tuple[int, str]], found: list[Visit | None], address: str
) -> None:
    local = (address, 0) if address else None
    reader, writer = await asyncio.open_connection(world.place.address, world.place.port, local_addr=local)
    for number, cookie in turns:
        spelled = f"cookie: {cookie}\r\n" if cookie else ""
        writer.write(f"{method} / HTTP/1.1\r\nhost: hello.localhost\r\ncontent-length: 0\r\n{spelled}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(_field(head, r"content-length: (\d+)")))
        fields = (r"x-bleen-release: (\w+)", r"set-cookie: bleen-user=([^;]+)", r"x-instance: (\S+)")
        found[number] = Visit(*(_field(head, field) for field in fields))
    writer.close()


def _field(head: str, pattern: str) -> str:
    match = re.search(pattern, head)
    return match[1] if match else ""
