"""A deployment on "Azure" with real traffic: machines are real processes, gateways are real Envoys, and no request is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bleen.domain.errors import NotConverged
from bleen.domain.fleet import FleetOrder
from bleen.domain.traffic import Colour, Route, Split
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.load import Generator, Load, Outcome
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.secrets import FolderSecrets
from tests.azure.double.cloud import Cloud
from tests.azure.double.machines import RealMachines
from tests.azure.test_fleets import BLUE, GREEN, ready, until
from tests.azure.tier import TierRun
from tests.azure.world import Publisher, azure, fleets, keys_of
from tests.providers.local.world import BACKOFF, World, build_app

RATE = 60.0


class Region:
    """Fleets and gateways of one region."""

    def __init__(self, world: World, tier: TierRun, port: AzureFleets) -> None:
        self.world = world
        self.tier = tier
        self.fleets = port

    def order(self, slot: Colour, size: int) -> FleetOrder:
        place, release = (BLUE, 1) if slot is Colour.BLUE else (GREEN, 2)
        return self.world.order(size, slot=place, release=release)

    async def route(self, blue_share: int, generation: int, *, blue: int | None = 1, green: int | None = 2) -> None:
        """Shift, as a workflow does: where an Envoy is silent for a moment, it is asked for again."""
        split = Split.of(Colour.BLUE, blue_share)
        route = Route("dev", "hello", ("hello.localhost",), split, blue=blue, green=green)
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.tier.gateway.set_route(route, generation)
                except NotConverged:
                    continue

    @asynccontextmanager
    async def load(self) -> AsyncIterator[list[Outcome]]:
        """Ask every Envoy all the while."""
        places = [member.envoy.place for member in self.tier.members]
        loads = [Load(place.port, RATE, address=place.address, host="hello.localhost") for place in places]
        generators = [Generator(each) for each in loads]
        tasks = [asyncio.create_task(each.run()) for each in generators]
        yield [each.outcome for each in generators]
        for each in generators:
            each.stop()
        await asyncio.gather(*tasks)


@pytest.fixture
async def region(tmp_path: Path, home: Path) -> AsyncIterator[Region]:
    world = World(tmp_path / "home", await build_app(tmp_path / "home"))
    machines = RealMachines(
        Machine(world.home, LocalImages(world.home), FolderSecrets(world.home), world.level, backoff=BACKOFF)
    )
    cloud = Cloud(machines)
    await cloud.start()
    there = azure(cloud)
    machines.reports = Reports(there.container(Container.MACHINES))
    await machines.begin()
    cloud.compute.make("hello")
    Publisher(cloud, keys_of(tmp_path)).publish(world.digest, "hello")
    tier = TierRun(cloud, home)
    for name in ("envoy-1", "envoy-2"):
        await tier.start(name)
    port = fleets(cloud, there, tier.backends, keys_of(tmp_path))
    yield Region(world, tier, port)
    await port.close()
    await tier.close()
    await cloud.close()
    await there.close()
    await world.close()


async def test_a_deployment_loses_no_request(region: Region) -> None:
    """Blue to green by way of 90 to 10, a scale-in of the new fleet, the end of the old one: all under load."""
    await region.fleets.launch(region.order(Colour.BLUE, 2))
    await until(region.fleets, ready(2))
    await region.route(10_000, 1, green=None)
    async with region.load() as outcomes:
        await region.fleets.launch(region.order(Colour.GREEN, 3))
        await until(region.fleets, ready(3), GREEN)
        for generation, share in enumerate((9_000, 5_000, 0), 2):
            await region.route(share, generation)
            await asyncio.sleep(0.3)
        await region.route(0, 5, blue=None)
        await region.fleets.retire(BLUE, 1)
        await region.fleets.launch(region.order(Colour.GREEN, 2))
        await until(region.fleets, ready(2), GREEN)
    for outcome in outcomes:
        assert len(outcome.samples) > 50
        assert [sample.failure for sample in outcome.failures] == []
    assert [f.slot for f in await region.fleets.observe()] == [GREEN]
