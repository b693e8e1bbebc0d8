"""Scale sets keep the contract of `Fleets`, over the real SDK, with instances that are real processes; with faults, too.

Also behind the Application Gateways that Bleen drives, but for what these declare that they cannot.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from bleen.domain.errors import InvalidInput, LawBroken
from bleen.domain.traffic import Baseline, Colour, Split
from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.memory.gateway import MemoryBackends
from tests.azure.double.cloud import Cloud
from tests.azure.double.machines import RealMachines
from tests.azure.flipping import FlipRun, make_edge
from tests.azure.mixing import MixedRun, make_pools
from tests.azure.world import AzureBench, Publisher, Ways, Work, azure, fleets, keys_of
from tests.contracts.fleets import BESIDE, BLUE, GREEN, ROUTE, FleetsBench, FleetsContract, is_ready, order, seen, soon, until
from tests.providers.local.world import BACKOFF, World, build_app

PLACES = ("blue", "green", "blue-baseline")
DRAIN = 0.5
"""Seconds: behind an Application Gateway nobody sees the end of requests, and who leaves takes all of it."""


class TestAzureFleets(FleetsContract):
    """The kit."""

    @pytest.fixture
    def unkind(self) -> bool:
        return False

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        world = World(tmp_path / "home", await build_app(tmp_path / "home"))
        yield world
        await world.close()

    @pytest.fixture
    async def cloud(self, world: World, unkind: bool) -> AsyncIterator[Cloud]:
        secrets = FolderSecrets(world.home)
        machines = RealMachines(Machine(world.home, LocalImages(world.home), secrets, world.level, backoff=BACKOFF))
        cloud = Cloud(machines)
        await cloud.start()
        there = azure(cloud)
        machines.reports = Reports(there.container(Container.MACHINES))
        await machines.begin()
        for service in ("hello", "other"):
            cloud.compute.make(service, "bleen-dev-weu", *PLACES)
        if unkind:
            cloud.faults.share, cloud.faults.lag, cloud.faults.slow = 0.05, 0.1, 0.1
        yield cloud
        await cloud.close()
        await there.close()

    @pytest.fixture
    def ways(self, world: World, cloud: Cloud) -> Ways:
        """What is at the gateways."""
        return Ways(world.gateway, MemoryBackends(world.gateways))

    @pytest.fixture
    async def bench(self, tmp_path: Path, world: World, cloud: Cloud, ways: Ways) -> AsyncIterator[AzureBench]:
        publisher = Publisher(cloud, keys_of(tmp_path))
        damaged = Work(f"sha256:{1:064x}", world.order().runtime)
        publisher.publish(world.digest, "hello", "other")
        publisher.publish(damaged.image, "hello", version="1.0.1", signature=f"sha256:{2:064x}")
        kinds = ("", "crash", "never-healthy")
        work = {name: Work(world.digest, world.order(drain=DRAIN, MISBEHAVE=name).runtime) for name in kinds}
        there = azure(cloud)
        port = fleets(cloud, there, ways.backends, keys_of(tmp_path))
        yield AzureBench(port, ways.gateway, work[""], work["crash"], work["never-healthy"], damaged)
        await port.close()
        await there.close()


class TestAzureFleetsWithFaults(TestAzureFleets):
    """The kit, while one of twenty calls fails, what is read is old, and operations take their time."""

    @pytest.fixture
    def unkind(self) -> bool:
        return True


class BehindAnEdge(TestAzureFleets):
    """Declared: a baseline fleet runs beside the others, and has no part of the traffic."""

    async def test_a_baseline_fleet_runs_beside_the_fleet_of_its_colour(self, bench: FleetsBench) -> None:
        """Declared: it cannot be given a part; it is there all the same, and ends without its neighbour."""
        await bench.fleets.launch(order(bench.good, 1))
        await bench.fleets.launch(order(bench.good, 1, slot=BESIDE))
        own = await until(bench, is_ready(1), "blue is ready")
        await until(bench, is_ready(1), "it is ready beside blue", BESIDE)
        with pytest.raises(InvalidInput):
            await bench.gateway.set_route(structs.replace(ROUTE, baseline=Baseline(Colour.BLUE, 1000)), 1)
        await bench.gateway.set_route(ROUTE, 1)
        await bench.fleets.retire(BESIDE, 1)
        assert await seen(bench, BESIDE) is None and await seen(bench) == own


class TestAzureFleetsBehindAFlip(BehindAnEdge):
    """The kit, with an Application Gateway whose rules are flipped. Declared besides: no removal of a route."""

    @pytest.fixture
    async def ways(self, cloud: Cloud) -> AsyncIterator[Ways]:
        make_edge(cloud)
        run = FlipRun(cloud)
        yield Ways(run.gateway, run.backends)
        await run.close()

    async def test_a_fleet_that_a_gateway_names_is_not_retired(self, bench: FleetsBench) -> None:
        """Law 3: not while a route is observed that names it. Declared: only another route frees it."""
        await bench.fleets.launch(order(bench.good, 1))
        await bench.fleets.launch(order(bench.good, 1, slot=GREEN, release=2))
        before = await until(bench, is_ready(1), "blue is ready")
        await until(bench, is_ready(1), "green is ready", GREEN)
        await bench.gateway.set_route(structs.replace(ROUTE, green=2), 1)
        with pytest.raises(LawBroken) as broken:
            await bench.fleets.retire(BLUE, 1)
        assert broken.value.law == 3
        assert await seen(bench) == before
        await bench.gateway.set_route(structs.replace(ROUTE, split=Split.of(Colour.GREEN), blue=None, green=2), 2)
        await bench.fleets.retire(BLUE, 1)
        assert await seen(bench) is None


class TestAzureFleetsBehindAMix(BehindAnEdge):
    """The kit, with an Application Gateway whose pools have machines of both colours."""

    @pytest.fixture
    async def ways(self, cloud: Cloud) -> AsyncIterator[Ways]:
        make_pools(cloud)
        run = MixedRun(cloud)
        yield Ways(run.gateway, run.backends)
        await run.close()

    async def test_a_pool_follows_its_fleet(self, bench: FleetsBench, cloud: Cloud) -> None:
        """Who comes enters it, one after another or together; who goes has left it before, and it is never empty."""
        (edge,) = cloud.edges.all.values()
        await bench.fleets.launch(order(bench.good, 1))
        await until(bench, is_ready(1), "one ready")
        await bench.gateway.set_route(ROUTE, 1)
        for size in (3, 1):
            await bench.fleets.launch(order(bench.good, size))
            await until(bench, is_ready(size), f"{size} ready")

            async def met(size: int = size) -> bool:
                (gateway,) = await bench.gateway.observe("dev", "hello")
                return gateway.route == ROUTE and len(edge.members["hello"]) == size

            await soon(bench, met, f"{size} in the pool")
        assert [what for what, *_ in edge.changes] == ["entered"] * 3 + ["left"] * 2
        assert all(count for *_, count in edge.changes)


class TestAzureFleetsBehindAMixWithFaults(TestAzureFleetsBehindAMix):
    """The same on a bad day."""

    @pytest.fixture
    def unkind(self) -> bool:
        return True
