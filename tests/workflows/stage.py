"""A stage for rollouts: a world in memory that a test can hurt, an engine, a worker, and somebody at the controls."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from bleen.domain.check import Check, CheckResult, CheckTime, title
from bleen.domain.decision import Decision
from bleen.domain.duration import Duration
from bleen.domain.fleet import FleetOrder
from bleen.domain.image import Pypi
from bleen.domain.ledger import Decided, Draft, Entry, Event, Query, Settled
from bleen.domain.release import Release, Runtime
from bleen.domain.rollout import Outcome
from bleen.domain.service import BlueGreen, Checks, Service, Strategy
from bleen.domain.traffic import Colour, Route
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.builder import MemoryBuilder
from bleen.providers.memory.fleets import Behaviour, MemoryFleets
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.memory.images import MemoryImages
from bleen.providers.memory.ledger import MemoryLedger
from bleen.providers.memory.metrics import MemoryMetrics
from bleen.providers.memory.notices import MemoryNotices
from bleen.providers.memory.scanner import MemoryScanner
from bleen.workflows.control import Control
from bleen.workflows.messages import DeployRequest, DeployResult, Progress, RollbackRequest, Started
from bleen.workflows.starting import rollout_id
from bleen.workflows.worker import make_worker
from bleen.workflows.world import World

T = TypeVar("T")

ENVIRONMENT = "dev"
_services = (f"hello-{n}" for n in itertools.count(1))


class Clock:
    """The time of day, which a test can turn forward."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def turn(self, **ahead: float) -> None:
        """Turn it forward."""
        self._ahead += timedelta(**ahead)


class Prober:
    """Checks that a test decides about. It can be told to take until `go` is set."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.failing: set[str] = set()
        self.go = asyncio.Event()
        self.go.set()
        self.asked = 0
        self.cancelled = 0
        self.visited: Callable[[int, int], None] = lambda release, count: None
        """Told of every visit: the release, and how many requests."""

    async def visit(self, path: str, count: int, *, service: str, release: int, baseline: bool = False) -> None:
        self.visited(release, count)

    async def run(self, check: Check, when: CheckTime, *, service: str, release: int) -> CheckResult:
        self.asked += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        passed = title(check) not in self.failing
        return CheckResult(title(check), when, passed, "as the test wants", self._clock())


class SickLedger:
    """A ledger that a test can make fail: ``error`` is raised by every verb while it is set, ``refusal`` by entries alone; one
    takes ``seconds``."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.error: Exception | None = None
        self.refusal: Exception | None = None
        self.seconds = 0.0

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    async def append(self, draft: Draft) -> Entry:
        self._fail()
        if self.refusal is not None:
            raise self.refusal
        await asyncio.sleep(self.seconds)
        return await self.ledger.append(draft)

    async def read(self, query: Query) -> Sequence[Entry]:
        self._fail()
        return await self.ledger.read(query)

    async def make_release(self, release: Release) -> Release:
        self._fail()
        return await self.ledger.make_release(release)

    async def release(self, service: str, number: int) -> Release:
        self._fail()
        return await self.ledger.release(service, number)

    async def releases(self, service: str) -> Sequence[Release]:
        self._fail()
        return await self.ledger.releases(service)


class RefusingFleets(MemoryFleets):
    """Fleets that can refuse to start anything: ``refusal`` is raised by every launch while it is set."""

    refusal: Exception | None = None

    async def launch(self, order: FleetOrder) -> None:
        if self.refusal is not None:
            raise self.refusal
        await super().launch(order)


class Stage:
    """One service, its world, and the controls."""

    def __init__(self, client: Client) -> None:
        self.service = next(_services)
        self.queue = f"bleen-{self.service}"
        self.client = client
        self.control = Control(client, self.queue)
        self.clock = Clock()
        self.gateways = MemoryGateways()
        self.images = MemoryImages(self.clock)
        self.bases = MemoryBases(self.images)
        self.fleets = RefusingFleets(self.images, MemoryBackends(self.gateways), self.clock)
        self.prober = Prober(self.clock)
        self.memory = MemoryLedger(self.clock)
        self.ledger = SickLedger(self.memory)
        self.metrics = MemoryMetrics(self.clock)
        self.notices = MemoryNotices()
        self.scanner = MemoryScanner(self.images)
        self.builder = MemoryBuilder(self.images, self.bases)
        self.world = World(
            self.images,
            self.bases,
            self.fleets,
            MemoryGateway(self.gateways),
            self.ledger,
            self.prober,
            self.metrics,
            self.notices,
            self.scanner,
            self.builder,
            ("local",),
            self.clock,
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Stage"]:
        """Run a worker while the block runs."""
        async with make_worker(self.client, self.world, self.queue):
            yield self

    # ---- what people do ----

    def request(self, version: str, strategy: Strategy | None = None, *, instances: int = 2) -> DeployRequest:
        """Return the wish for ``version``."""
        spec = Service(
            service=self.service,
            image=Pypi("hello", version),
            command=("hello",),
            instances=instances,
            strategy=strategy or quick(),
        )
        return DeployRequest(ENVIRONMENT, spec, Runtime(command=("hello",)), "/nowhere", "ada")

    async def deploy(self, version: str, strategy: Strategy | None = None, *, instances: int = 2) -> DeployResult:
        """Ask for ``version``."""
        return await self.control.deploy(self.request(version, strategy, instances=instances))

    async def deployed(self, version: str, strategy: Strategy | None = None) -> str:
        """Roll ``version`` out to its outcome; return the rollout's id."""
        started = await self.deploy(version, strategy)
        assert isinstance(started, Started), started
        await self.settled(started.rollout)
        return started.rollout

    async def rollback(self, to: int | None = None) -> object:
        """Ask to go back."""
        return await self.control.rollback(RollbackRequest(ENVIRONMENT, self.service, "ada", to))

    async def behave(self, version: str, behaviour: Behaviour) -> None:
        """Decide how the instances of ``version`` behave."""
        image = await self.images.build(self.service, Pypi("hello", version), Path("/nowhere"))
        self.fleets.behaviours[image.digest] = behaviour

    # ---- what is to be seen ----

    async def progress(self) -> Progress | None:
        return await self.control.progress(ENVIRONMENT, self.service)

    async def entries(self, kind: type[Event] | None = None) -> list[Entry]:
        """Return the ledger, or its entries of one kind."""
        entries = await self.memory.read(Query())
        return [e for e in entries if kind is None or isinstance(e.event, kind)]

    async def decisions(self, rollout: str) -> list[Decision]:
        """Return what was decided in ``rollout``."""
        return [e.event.decision for e in await self.entries() if e.rollout == rollout and isinstance(e.event, Decided)]

    async def outcome(self, rollout: str) -> Outcome | None:
        """Return the last outcome of ``rollout``, if it has one."""
        events = [e.event for e in await self.entries() if e.rollout == rollout]
        return next((e.outcome for e in reversed(events) if isinstance(e, Settled)), None)

    async def settled(self, rollout: str) -> Outcome:
        """Return the outcome of ``rollout``, once it has one."""
        return await eventually(lambda: self.outcome(rollout), f"{rollout} has an outcome")

    async def idle(self) -> None:
        """Return once nothing is under way."""

        async def over() -> bool:
            try:
                execution = await self.client.get_workflow_handle(rollout_id(ENVIRONMENT, self.service)).describe()
            except RPCError as error:
                return error.status is RPCStatusCode.NOT_FOUND
            return execution.status is not WorkflowExecutionStatus.RUNNING

        await eventually(over, "nothing is under way")

    async def deciding(self, kind: type[Decision], why: str = "") -> Progress:
        """Return the progress, once its decision is a ``kind``."""

        async def found() -> Progress | None:
            progress = await self.progress()
            fits = progress is not None and isinstance(progress.decision, kind) and why in progress.decision.why
            return progress if fits else None

        return await eventually(found, f"a decision {kind.__name__} {why}")

    @property
    def route(self) -> Route | None:
        """The route that was set last."""
        return self.gateways.splits[-1] if self.gateways.splits else None

    @property
    def serving(self) -> int | None:
        """The release that has all traffic."""
        route = self.route
        full = [route.release(colour) for colour in Colour if route.split.weight(colour) == 10_000] if route else []
        return full[0] if full else None


def quick(*, warm: str = "0s", abort_delay: str = "0s", auto_promote: bool = True, checks: Checks | None = None) -> BlueGreen:
    """Return a strategy that waits for nothing that it is not told to wait for."""
    return BlueGreen(
        warm=Duration.parse(warm),
        abort_delay=Duration.parse(abort_delay),
        auto_promote=auto_promote,
        checks=checks or Checks(),
    )


async def eventually(ask: Callable[[], Awaitable[T | None]], what: str, *, deadline: float = 20.0, pause: float = 0.01) -> T:
    """Return the first answer that is one; fail after ``deadline`` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + deadline
    while True:
        answer = await ask()
        if answer:
            return answer
        assert loop.time() < until, f"not within {deadline} s: {what}"
        await asyncio.sleep(pause)
