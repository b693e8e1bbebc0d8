"""Azure's side of rollouts, over the real SDK and a real engine, against the double of `tests/azure`: calls, and bad days.

How long Azure takes is not here: the double's machines are ready at once. How often it is asked is.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from temporalio.client import Client
from tests.azure.aside import Aside
from tests.azure.double.cloud import Cloud
from tests.azure.double.envoys import LightEnvoys
from tests.azure.flipping import site_of
from tests.azure.mixing import make_pools
from tests.azure.world import Publisher, azure, keys_of

from bench.report import Report, Row
from bench.scale import Yes, deployed, engine
from bleen.domain.command import Advance
from bleen.domain.decision import AskHuman
from bleen.domain.duration import seconds
from bleen.domain.fidelity import GatewayMode
from bleen.domain.fleet import Fleet, FleetOrder, Slot
from bleen.domain.image import Image, Pypi
from bleen.domain.ledger import Finished, Query
from bleen.domain.release import Release, Runtime, config_digest
from bleen.domain.service import BlueGreen, Service
from bleen.domain.traffic import Colour, Route, Split
from bleen.ports import Backends, Gateway
from bleen.providers.azure.fleet import Timing
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.azure.gallery import Gallery
from bleen.providers.azure.gateway import AzureBackends, AzureGateway, Patience, Tier
from bleen.providers.azure.metrics import AzureMetrics
from bleen.providers.azure.mixed import Mixed, MixedBackends, MixedGateway
from bleen.providers.azure.sight import Patience as PoolPatience
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.builder import MemoryBuilder
from bleen.providers.memory.images import MemoryImages
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.memory.notices import MemoryNotices
from bleen.providers.memory.scanner import MemoryScanner
from bleen.workflows.control import Control
from bleen.workflows.messages import DeployRequest, Started
from bleen.workflows.worker import make_worker
from bleen.workflows.world import World

FLEETS, AT_ONCE, INSTANCES = 100, 20, 3
FAILING = 0.05
RETRY_AFTER = 1.0
"""Seconds that the double asks to wait between two polls."""
MOST_CALLS = 60
WATCHED = 30.0
"""Seconds for which nobody answers a question."""
_TIMING = Timing(first=2.0, longest=900.0, retry=1.0, drain=0.05)
_PATIENCE = 300.0


class Estate:
    """One subscription, and the ports of one controller on it."""

    def __init__(self, cloud: Cloud, folder: Path, aside: Aside, mode: GatewayMode) -> None:
        self.cloud = cloud
        self._aside = aside
        self.ledger = MemoryLedger()
        self.images = MemoryImages()
        self._there = azure(cloud)
        self._there.site = site_of(cloud, mode)
        self._keys = keys_of(folder)
        self.envoys = LightEnvoys(cloud.storage)
        tier = Tier(self._there.blobs, patience=Patience(look=0.1))
        self._mixed = Mixed(self._there, PoolPatience(first=_TIMING.first))
        mixed = mode is GatewayMode.MIXED
        self.gateway: Gateway = MixedGateway(self._mixed) if mixed else AzureGateway(tier)
        backends: Backends = MixedBackends(self._mixed) if mixed else AzureBackends(tier)
        self.fleets = AzureFleets(self._there, Gallery(self._there, self._keys), backends, _TIMING)
        bases = MemoryBases(self.images)
        self.world = World(
            images=self.images,
            bases=bases,
            fleets=self.fleets,
            gateway=self.gateway,
            ledger=self.ledger,
            prober=Yes(),
            metrics=AzureMetrics(tier),
            notices=MemoryNotices(),
            scanner=MemoryScanner(self.images),
            builder=MemoryBuilder(self.images, bases),
            regions=("local",),
        )

    async def begin(self, services: Sequence[str]) -> None:
        """Have the infrastructure of every service, and its first two images in the gallery."""
        self._aside.run(self.envoys.begin())
        for version in ("1.0", "2.0"):
            image = await self._image(version)
            for service in services:
                self.cloud.compute.make(service)
            Publisher(self.cloud, self._keys).publish(image.digest, *services, version=f"{version}.0")

    async def _image(self, version: str) -> Image:
        return await self.images.build("app", Pypi("app", version), Path("/nowhere"))

    async def serve(self, service: str, size: int) -> None:
        """Have the first release of a service serve, as a rollout leaves it."""
        runtime, image = _runtime(service), await self._image("1.0")
        made = datetime.now(UTC)
        draft = Release(service, 0, "1.0", image.digest, runtime, config_digest(runtime), made, "bench")
        release = await self.ledger.make_release(draft)
        slot = Slot("dev", "local", service, Colour.BLUE)
        await self.fleets.launch(FleetOrder(slot, release.number, image.digest, size, runtime))
        await self.whole(slot, release.number, size)
        route = Route("dev", service, (f"{service}.localhost",), Split.of(Colour.BLUE, 10_000), blue=release.number)
        await self.gateway.set_route(route, 1)

    async def whole(self, slot: Slot, release: int, size: int) -> Fleet:
        """Return the fleet once all of it is ready and every gateway has it."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                fleet = next((f for f in await self.fleets.observe(slot.service) if f.slot == slot), None)
                if fleet and (fleet.release, fleet.ready, len(fleet.instances)) == (release, size, size):
                    return fleet
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        await self.fleets.close()
        await self._mixed.close()
        self._aside.run(self.envoys.close())
        await self._there.close()


def _runtime(service: str) -> Runtime:
    return Runtime(command=("app",), env={"SERVICE": service})


def _request(service: str, size: int, *, ask: bool = False) -> DeployRequest:
    strategy = BlueGreen(warm=seconds(0), abort_delay=seconds(0), auto_promote=not ask)
    spec = Service(service=service, image=Pypi("app", "2.0"), command=("app",), instances=size, strategy=strategy)
    return DeployRequest("dev", spec, _runtime(service), "/nowhere", "bench")


@asynccontextmanager
async def _estate(
    client: Client, folder: Path, services: Sequence[str], mode: GatewayMode = GatewayMode.ENVOY
) -> AsyncIterator[tuple[Estate, Control]]:
    aside, cloud, queue = Aside(), Cloud(), folder.name
    cloud.operations.retry_after = RETRY_AFTER
    aside.run(cloud.start())
    if mode is GatewayMode.MIXED:
        make_pools(cloud, {service: (f"{service}.localhost",) for service in services})
    estate = Estate(cloud, folder, aside, mode)
    await estate.begin(services)
    try:
        async with make_worker(client, estate.world, queue):
            yield estate, Control(client, queue)
    finally:
        await estate.close()
        aside.run(cloud.close())
        aside.close()


async def _calls(client: Client, folder: Path, watched: float, mode: GatewayMode) -> int:
    """Return the calls of a rollout of ten instances in which a person thinks for so many seconds."""
    service = f"{mode}-{watched:.0f}"
    async with _estate(client, folder, [service], mode) as (estate, control):
        await estate.serve(service, 10)
        before = estate.cloud.arm_calls
        started = await control.deploy(_request(service, 10, ask=True))
        assert isinstance(started, Started), started
        await _asked(control, service)
        await asyncio.sleep(watched)
        await control.command("dev", service, Advance("bench"))
        await _finished(estate, started.rollout)
        return estate.cloud.arm_calls - before


async def _finished(estate: Estate, rollout: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            entries = await estate.ledger.read(Query(kinds=("finished",), limit=10**9))
            if any(e.rollout == rollout and isinstance(e.event, Finished) for e in entries):
                return
            await asyncio.sleep(0.1)


async def _asked(control: Control, service: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            progress = await control.progress("dev", service)
            if progress and isinstance(progress.decision, AskHuman):
                return
            await asyncio.sleep(0.1)


async def _bad_day(client: Client, folder: Path, report: Report) -> None:
    """A hundred fleets, twenty rollouts at once; one of twenty calls is throttled, refused or its answer lost."""
    services = [f"service-{n:03}" for n in range(FLEETS)]
    async with _estate(client, folder, services) as (estate, control):
        await asyncio.gather(*(estate.serve(name, INSTANCES) for name in services))
        cloud = estate.cloud
        cloud.faults.share, cloud.faults.lag, cloud.faults.slow = FAILING, 0.1, 0.1
        before, began = cloud.arm_calls, perf_counter()
        moved = services[:AT_ONCE]
        promoted = await deployed(estate.ledger, control, [_request(name, INSTANCES) for name in moved], _PATIENCE)
        took, calls = perf_counter() - began, cloud.arm_calls - before
        cloud.faults.share = 0.0
        wrong = [name for name in services if not await _is_right(estate, name, moved=name in moved)]
    what = f"{AT_ONCE} rollouts at once among {FLEETS} fleets, {FAILING:.0%} of calls failing"
    report.rows += [
        Row(f"{what}: not promoted", AT_ONCE - promoted, "rollouts", "lower", 0),
        Row("... services whose machines or routes are not as they ought to be", len(wrong), "services", "lower", 0),
        Row("... polls sooner than Retry-After allows", cloud.operations.hasty, "polls", "lower", 0),
        Row("... calls to Resource Manager for each rollout", round(calls / AT_ONCE, 1), "calls", "lower", MOST_CALLS),
        Row("... all of them, from ordered to finished", round(took, 1), "s"),
    ]


async def _is_right(estate: Estate, service: str, *, moved: bool) -> bool:
    """Return whether one whole fleet serves, of the release that ought to, and the other colour is empty."""
    serving, idle = (Colour.GREEN, Colour.BLUE) if moved else (Colour.BLUE, Colour.GREEN)
    release = 2 if moved else 1
    sets = {c: estate.cloud.compute.sets[f"vmss-{service}-{c}-bleen-dev-weu"] for c in Colour}
    machines = {c: len(each.machines) for c, each in sets.items()}
    seen = await estate.gateway.observe("dev", service)
    route = seen[0].route if seen else None
    routed = route is not None and route.release(serving) == release and route.split.weight(serving) == 10_000
    return routed and machines == {serving: INSTANCES, idle: 0}


async def _run(report: Report) -> None:
    with TemporaryDirectory(prefix="bleen-bench-") as name:
        folder = Path(name)
        async with engine(folder) as (client, _):
            for mode, watched in product((GatewayMode.ENVOY, GatewayMode.MIXED), (0.0, WATCHED)):
                calls = await _calls(client, folder / f"calls-{mode}-{watched:.0f}", watched, mode)
                what = f"calls to Resource Manager: a rollout of 10 behind {mode}, and {watched:.0f} s of waiting for a person"
                report.rows.append(Row(what, calls, "calls", "lower", MOST_CALLS))
            await _bad_day(client, folder / "bad-day", report)
    report.notes.append("Against a double of Azure, over the real SDK; Azure itself was never reached.")


def run() -> Report:
    """Measure, in about three minutes."""
    report = Report("azure")
    asyncio.run(_run(report))
    return report
