"""Golden signals for whoever looks: read each second, once for all, and only while somebody looks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from bleen.domain.traffic import Backend, Colour, Endpoint, Route, Split
from bleen.interfaces.api.signals import Signals
from bleen.interfaces.glance import SignalPoint
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.metrics import MemoryMetrics


class World:
    """Two colours of ``hello``, and what their requests met."""

    def __init__(self) -> None:
        self.gateways = MemoryGateways(("local",))
        self.gateway = MemoryGateway(self.gateways)
        self.metrics = MemoryMetrics()
        self.signals = Signals(self.metrics, self.gateway, lambda: datetime.now(UTC), tick=0.05, patience=0.5)

    async def points(self, count: int) -> list[SignalPoint]:
        """Look until there are so many points."""
        while len(found := self.signals.look("dev", "hello")) < count:  # noqa: ASYNC110  # each look keeps it going
            await asyncio.sleep(0.01)
        return list(found)


@asynccontextmanager
async def serving() -> AsyncIterator[World]:
    """A world with a route."""
    world = World()
    backends = MemoryBackends(world.gateways)
    for colour, release in ((Colour.BLUE, 1), (Colour.GREEN, 2)):
        await backends.set_backend(Backend("dev", "hello", colour, release, (Endpoint("127.0.0.1", 80),)))
    await world.gateway.set_route(Route("dev", "hello", ("hello.localhost",), Split(8000, 2000), 1, 2), 1)
    yield world


async def test_both_colours_are_told_with_their_weights() -> None:
    """What each met between two readings: traffic, errors, latencies."""
    async with serving() as world:
        await world.points(1)
        world.metrics.add("hello", 1, 80, ms=5.0)
        world.metrics.add("hello", 2, 10, ms=9.0)
        world.metrics.add("hello", 2, 10, status=500, ms=9.0)
        last = (await world.points(3))[-1]
        assert last.weights == {"blue": 80.0, "green": 20.0}
        assert (
            last.blue is not None
            and last.green is not None
            and last.blue.release == 1
            and (last.blue.failed, last.blue.p95) == (0, 5.0)
            and last.blue.rate > 0
        )
        assert last.green.release == 2 and last.green.failed == 50 and last.green.p95 == 9.0


async def test_counters_are_read_once_for_all_and_not_when_nobody_looks() -> None:
    """Ten who look are one reading; after a while without any, none is made."""
    async with serving() as world:
        for _ in range(10):
            world.signals.look("dev", "hello")
        found = await world.points(3)
        assert world.metrics.reads <= len(found) + 1
        await asyncio.sleep(0.8)
        reads = world.metrics.reads
        await asyncio.sleep(0.3)
        assert world.metrics.reads == reads
        assert len(world.signals.look("dev", "hello")) == 0


async def test_a_silent_counter_is_told_as_that() -> None:
    """No figure is made up for a second in which nobody counted."""
    async with serving() as world:
        await world.points(2)
        world.metrics.answers = False
        count = len(await world.points(3))
        last = (await world.points(count + 1))[-1]
        assert last.silent and last.blue is None and last.green is None


async def test_a_service_without_a_route_has_no_signals() -> None:
    """Nothing fails for a name that nobody deployed."""
    world = World()
    [first, *_] = await world.points(1)
    assert (first.blue, first.green, first.weights) == (None, None, {})
