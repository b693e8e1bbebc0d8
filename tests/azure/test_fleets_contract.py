"""Scale sets keep the contract of `Fleets`, over the real SDK, with instances that are real processes; with faults, too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleen.providers.azure.reports import Reports
from bleen.providers.azure.site import Container
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.memory.gateway import MemoryBackends
from tests.azure.double.cloud import Cloud
from tests.azure.double.machines import RealMachines
from tests.azure.world import AzureBench, Publisher, Work, azure, fleets, keys_of
from tests.contracts.fleets import FleetsContract
from tests.providers.local.world import BACKOFF, World, build_app

PLACES = ("blue", "green", "blue-baseline")


class TestAzureFleets(FleetsContract):
    """The kit."""

    @pytest.fixture
    def unkind(self) -> bool:
        return False

    @pytest.fixture
    async def bench(self, tmp_path: Path, unkind: bool) -> AsyncIterator[AzureBench]:
        world = World(tmp_path / "home", await build_app(tmp_path / "home"))
        secrets = FolderSecrets(world.home)
        machines = RealMachines(Machine(world.home, LocalImages(world.home), secrets, world.level, backoff=BACKOFF))
        cloud = Cloud(machines)
        await cloud.start()
        there = azure(cloud)
        machines.reports = Reports(there.container(Container.MACHINES))
        await machines.begin()
        for service in ("hello", "other"):
            cloud.compute.make(service, "bleen-dev-weu", *PLACES)
        publisher = Publisher(cloud, keys_of(tmp_path))
        damaged = Work(f"sha256:{1:064x}", world.order().runtime)
        publisher.publish(world.digest, "hello", "other")
        publisher.publish(damaged.image, "hello", version="1.0.1", signature=f"sha256:{2:064x}")
        work = {name: Work(world.digest, world.order(MISBEHAVE=name).runtime) for name in ("", "crash", "never-healthy")}
        if unkind:
            cloud.faults.share, cloud.faults.lag, cloud.faults.slow = 0.05, 0.1, 0.1
        port = fleets(cloud, there, MemoryBackends(world.gateways), keys_of(tmp_path))
        yield AzureBench(port, world.gateway, work[""], work["crash"], work["never-healthy"], damaged)
        await port.close()
        await cloud.close()
        await there.close()
        await world.close()


class TestAzureFleetsWithFaults(TestAzureFleets):
    """The kit, while one of twenty calls fails, what is read is old, and operations take their time."""

    @pytest.fixture
    def unkind(self) -> bool:
        return True
