"""Many services at once: 200 services, 1,000 instances, 50 rollouts side by side, over a real engine and memory providers.

Whoever wants to know what the deciding itself takes finds it in the first rows, which ask `decide` with no engine at all.
"""

import asyncio
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.client import Client

from bench.report import Report, Row
from bleen.app.home import free_port
from bleen.domain.check import Check, CheckResult, CheckTime, title
from bleen.domain.decide import advance, applied, decide
from bleen.domain.decision import Done, Launch, Retire, Shift
from bleen.domain.duration import seconds
from bleen.domain.fleet import FleetOrder, Slot
from bleen.domain.image import Pypi
from bleen.domain.laws import check
from bleen.domain.ledger import Decided, Draft, Entry, Finished, Query, Settled
from bleen.domain.plan import Intent, plan
from bleen.domain.release import Release, Runtime, config_digest
from bleen.domain.rollout import Promoted, ReleaseRef, Rollout
from bleen.domain.service import BlueGreen, Service
from bleen.providers import engine as embedded
from bleen.providers.engine import Engine
from bleen.providers.local.parts import http_ready
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.builder import MemoryBuilder
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.images import MemoryImages
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.memory.metrics import MemoryMetrics
from bleen.providers.memory.notices import MemoryNotices
from bleen.providers.memory.scanner import MemoryScanner
from bleen.settings import EngineAccess
from bleen.workflows.connection import connect, keep_history
from bleen.workflows.control import Control
from bleen.workflows.messages import DeployRequest, Started
from bleen.workflows.worker import make_worker
from bleen.workflows.world import World

SERVICES, INSTANCES, AT_ONCE = 200, 5, 50
ENVIRONMENT, REGION = "prod", "local"
STRATEGY = BlueGreen(warm=seconds(0), abort_delay=seconds(0))
_PATIENCE = 180.0


class Yes:
    """Passes every check."""

    async def run(self, check: Check, when: CheckTime, *, service: str, release: int) -> CheckResult:
        return CheckResult(title(check), when, True, "assumed", datetime.now(UTC))

    async def visit(self, path: str, count: int, *, service: str, release: int, baseline: bool = False) -> None:
        pass


class Estate:
    """A world in memory with every service in it."""

    def __init__(self) -> None:
        self.gateways = MemoryGateways()
        self.images = MemoryImages()
        self.fleets = MemoryFleets(self.images, MemoryBackends(self.gateways))
        self.gateway = MemoryGateway(self.gateways)
        self.ledger = MemoryLedger()
        bases = MemoryBases(self.images)
        self.world = World(
            images=self.images,
            bases=bases,
            fleets=self.fleets,
            gateway=self.gateway,
            ledger=self.ledger,
            prober=Yes(),
            metrics=MemoryMetrics(),
            notices=MemoryNotices(),
            scanner=MemoryScanner(self.images),
            builder=MemoryBuilder(self.images, bases),
            regions=(REGION,),
        )

    async def release(self, service: str, version: str) -> Release:
        """Return a release of ``service``, made from an image of its own."""
        image = await self.images.build(service, Pypi("app", version), Path("/nowhere"))
        runtime = Runtime(command=("app",), env={"SERVICE": service})
        return await self.ledger.make_release(
            Release(
                service=service,
                number=0,
                version=version,
                image=image.digest,
                runtime=runtime,
                config=config_digest(runtime),
                created=datetime.now(UTC),
                author="bench",
            )
        )


class Pilot:
    """Rolls one release out with nothing between `decide` and the ports: observe, advance, decide, check, record, act."""

    def __init__(self, estate: Estate, service: str) -> None:
        self._estate = estate
        self._service = service
        self.decisions = 0

    async def fly(self, version: str) -> Rollout:
        """Return the rollout, done."""
        world = self._estate.world
        release = await self._estate.release(self._service, version)
        refs = {r.number: ReleaseRef(r.number, r.version, r.image) for r in await world.ledger.releases(self._service)}
        intent = Intent(
            id=f"{ENVIRONMENT}/{self._service}/{release.number}",
            environment=ENVIRONMENT,
            service=self._service,
            hosts=(f"{self._service}.localhost",),
            regions=(REGION,),
            target=refs[release.number],
            strategy=STRATEGY,
            size=INSTANCES,
            by="bench",
        )
        seen = await world.observe(ENVIRONMENT, self._service)
        rollout = plan(intent, refs, seen, seen.at)
        while True:
            seen = await world.observe(ENVIRONMENT, self._service)
            rollout = advance(rollout, seen, seen.at)
            decision = decide(rollout, seen, seen.at)
            check(rollout, seen, decision)
            self.decisions += 1
            key = f"{rollout.id}/{self.decisions}"
            entry = await world.ledger.append(
                Draft(key, ENVIRONMENT, self._service, Decided(decision, seen), rollout=rollout.id)
            )
            match decision:
                case Done():
                    return rollout
                case Shift(route):
                    await world.gateway.set_route(route, entry.sequence)
                case Launch(colour, number, size):
                    slot = Slot(ENVIRONMENT, REGION, self._service, colour)
                    await world.fleets.launch(FleetOrder(slot, number, release.image, size, release.runtime))
                case Retire(colour, number):
                    await world.fleets.retire(Slot(ENVIRONMENT, REGION, self._service, colour), number)
                case _:
                    pass
            rollout = applied(rollout, decision, world.clock())
            await asyncio.sleep(0)


def names() -> list[str]:
    """Return the services."""
    return [f"service-{n:03}" for n in range(SERVICES)]


async def bare(report: Report) -> None:
    """Decide with no engine."""
    estate = Estate()
    tracemalloc.start()
    for name in names():
        await Pilot(estate, name).fly("1.0")
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    pilots = [Pilot(estate, name) for name in names()[:AT_ONCE]]
    began = time.perf_counter()
    rollouts = await asyncio.gather(*(pilot.fly("2.0") for pilot in pilots))
    took = time.perf_counter() - began
    decisions = sum(pilot.decisions for pilot in pilots)
    failed = sum(not isinstance(r.outcome, Promoted) for r in rollouts)
    await _check_estate(estate, dict.fromkeys(names()[:AT_ONCE], 2))
    report.rows += [
        Row("no engine: decisions a second, each recorded and carried out", round(decisions / took), "1/s", "higher"),
        Row(f"no engine: {AT_ONCE} rollouts at once, all of them", round(took, 3), "s"),
        Row("no engine: rollouts not promoted", failed, "rollouts", "lower", 0),
        Row(
            f"no engine: memory of {SERVICES} services, {SERVICES * INSTANCES} instances and their ledger",
            round(kept / 1e6, 1),
            "MB",
        ),
    ]


async def _check_estate(estate: Estate, newer: dict[str, int]) -> None:
    """Every service is served by one whole fleet, of the release that it ought to have."""
    fleets = await estate.fleets.observe()
    assert len(fleets) == SERVICES, len(fleets)
    assert sum(fleet.ready for fleet in fleets) == SERVICES * INSTANCES
    for fleet in fleets:
        service = fleet.slot.service
        assert fleet.release == newer.get(service, 1), fleet
        (seen,) = await estate.gateway.observe(ENVIRONMENT, service)
        assert seen.route is not None and seen.route.release(fleet.slot.colour) == fleet.release, service
        assert seen.route.split.weight(fleet.slot.colour) == 10_000, service


@asynccontextmanager
async def _engine(folder: Path) -> AsyncIterator[tuple[Client, int]]:
    """Yield a client of an embedded engine, and the engine's pid."""
    engine = Engine(folder=str(folder / "engine"), port=free_port(), http_port=free_port())
    environ = {**os.environ, **embedded.environment(engine)}
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*embedded.command(engine), stdout=log, stderr=log, env=environ)
    try:
        deadline = time.monotonic() + 30
        ready = http_ready(engine.namespace_url)
        while not await ready():
            assert time.monotonic() < deadline and process.returncode is None, (folder / "log").read_text()
            await asyncio.sleep(0.05)
        client = await connect(EngineAccess(address=engine.address))
        await keep_history(client)
        yield client, process.pid
    finally:
        process.terminate()
        await process.wait()


async def engined(report: Report) -> None:
    """The same through workflows: every decision survives the death of the controller."""
    estate = Estate()
    with TemporaryDirectory(prefix="bleen-bench-") as folder:
        async with _engine(Path(folder)) as (client, pid), make_worker(client, estate.world):
            control = Control(client)
            before = _rss(os.getpid()), _rss(pid)
            for start in range(0, SERVICES, AT_ONCE):
                await _deploy(estate, control, names()[start : start + AT_ONCE], "1.0")
            entries = len(await estate.ledger.read(Query(limit=10**9)))
            began = time.perf_counter()
            promoted = await _deploy(estate, control, names()[:AT_ONCE], "2.0")
            took = time.perf_counter() - began
            after = _rss(os.getpid()), _rss(pid)
            more = (await estate.ledger.read(Query(limit=10**9)))[entries:]
    await _check_estate(estate, dict.fromkeys(names()[:AT_ONCE], 2))
    decided = [e for e in more if isinstance(e.event, Decided)]
    report.rows += [
        Row("through the engine: decisions a second", round(len(decided) / took, 1), "1/s", "higher"),
        Row(f"through the engine: {AT_ONCE} deployments at once, ordered to finished", round(took, 2), "s"),
        Row("through the engine: rollouts not promoted", AT_ONCE - promoted, "rollouts", "lower", 0),
        Row("through the engine: shifts that the ledger does not have first", _unexplained(estate, more), "shifts", "lower", 0),
        Row("through the engine: the controller has grown by", round(after[0] - before[0]), "MB"),
        Row("through the engine: the engine has grown by", round(after[1] - before[1]), "MB"),
    ]
    kinds = Counter(type(e.event.decision).__name__ for e in decided if isinstance(e.event, Decided))
    report.notes.append("decisions through the engine: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))


async def _deploy(estate: Estate, control: Control, services: Sequence[str], version: str) -> int:
    """Deploy to all of them at once; return how many were promoted, once all have finished."""
    after = len(await estate.ledger.read(Query(limit=10**9)))
    results = await asyncio.gather(*(control.deploy(_request(name, version)) for name in services))
    waiting = {r.rollout for r in results if isinstance(r, Started)}
    assert len(waiting) == len(services), results
    deadline = time.monotonic() + _PATIENCE
    while True:
        entries = await estate.ledger.read(Query(after=after, kinds=("settled", "finished"), limit=10**9))
        if waiting <= {e.rollout for e in entries if isinstance(e.event, Finished)}:
            break
        assert time.monotonic() < deadline, f"{len(waiting)} rollouts, {len(entries)} entries"
        await asyncio.sleep(0.05)
    return sum(isinstance(e.event, Settled) and isinstance(e.event.outcome, Promoted) for e in entries)


def _request(service: str, version: str) -> DeployRequest:
    runtime = Runtime(command=("app",), env={"SERVICE": service})
    spec = Service(service=service, image=Pypi("app", version), command=("app",), instances=INSTANCES, strategy=STRATEGY)
    return DeployRequest(ENVIRONMENT, spec, runtime, "/nowhere", "bench")


def _unexplained(estate: Estate, entries: Sequence[Entry]) -> int:
    decided = [e.event.decision.route for e in entries if isinstance(e.event, Decided) and isinstance(e.event.decision, Shift)]
    recent = estate.gateways.splits[-len(decided) :]
    return sum(route not in decided for route in recent)


def _mb(count: int) -> float:
    return round(count / 1e6, 1)


def _rss(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


async def _run(report: Report) -> None:
    await bare(report)
    await engined(report)


def run() -> Report:
    """Measure, in about a minute."""
    report = Report("scale")
    asyncio.run(_run(report))
    return report
