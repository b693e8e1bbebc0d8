"""Rollouts without an engine: the same loop as the workflow's, in one process, over any ports. Nothing survives its end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import structs

from bleen.domain.check import CheckResult, CheckTime
from bleen.domain.command import Command, GoBack, Scale, Supersede, accept
from bleen.domain.decide import advance, applied, decide, measured
from bleen.domain.decision import Decision, Done, Launch, Measure, Promote, Retire, Rollback, Shift
from bleen.domain.errors import BleenError, InvalidInput, NothingToDo
from bleen.domain.fleet import FleetOrder, Slot
from bleen.domain.image import Image
from bleen.domain.ledger import (
    Checked,
    Commanded,
    Decided,
    Draft,
    Event,
    Finished,
    Query,
    ReleaseMade,
    RemovalDecided,
    RolloutStarted,
    ServiceRemoved,
    Settled,
)
from bleen.domain.notice import Dispatch, Notice
from bleen.domain.pipeline import Building
from bleen.domain.plan import Intent, plan, serving_now
from bleen.domain.release import Release, config_digest
from bleen.domain.removal import Drain, Gone, Removing, Withdraw, next_step, refuse_under_way
from bleen.domain.renewal import Agenda, Asked, Timetable
from bleen.domain.rollout import ReleaseRef, Rollout
from bleen.domain.trace import trace_of
from bleen.domain.traffic import Colour
from bleen.domain.views import standing
from bleen.ports import Tell
from bleen.workflows.building import Pipeline, deaf
from bleen.workflows.messages import (
    BuildRequest,
    DeployRequest,
    DeployResult,
    Progress,
    Refused,
    RemovalRequest,
    RenewalState,
    Resized,
    RollbackRequest,
    RolloutRequest,
    ScaleRequest,
    ScaleResult,
    Started,
    Steered,
    Unchanged,
)
from bleen.workflows.workshop import Workshop
from bleen.workflows.world import World

LOOK = 0.02


@dataclass
class _Run:
    rollout: Rollout
    decision: Decision | None = None
    error: str = ""
    waiting: RolloutRequest | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)
    entries: int = 0
    gives_way: bool = False
    """Whether its service is being removed."""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class InlineControl:
    """Keeps the API's `Controls`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.look = LOOK
        """Seconds between two looks at one rollout."""
        self._runs: dict[tuple[str, str], _Run] = {}
        self.agenda: Agenda | None = None
        self._pipelines: list[Pipeline] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._removals: dict[tuple[str, str], Removing] = {}

    async def deploy(self, request: DeployRequest) -> DeployResult:
        try:
            release = await self._release(request)
        except BleenError as error:
            return Refused(type(error).__name__, error.what, error.why, error.next)
        spec = request.spec
        wanted = RolloutRequest(
            request.environment,
            spec.service,
            spec.hosts or (f"{spec.service}.localhost",),
            release.number,
            spec.strategy,
            spec.instances,
            request.by,
            exempt=request.exempt,
        )
        return await self._begin(wanted, release)

    async def build(self, wanted: BuildRequest, tell: Tell) -> Image:
        pipeline = Pipeline(Workshop(self._world), self._world.clock, tell)
        self._pipelines.append(pipeline)
        try:
            return await pipeline.build(wanted)
        finally:
            self._pipelines.remove(pipeline)

    async def builds(self) -> Sequence[Building]:
        return [pipeline.view for pipeline in self._pipelines if pipeline.view.running]

    async def rollback(self, request: RollbackRequest) -> DeployResult | Rollout:
        run = self._runs.get((request.environment, request.service))
        if run is not None and (request.to is None or (run.rollout.stable and run.rollout.stable.number == request.to)):
            return await self.command(request.environment, request.service, GoBack(request.by))
        past = await self._world.ledger.read(Query(service=request.service, environment=request.environment))
        earlier = request.to or next(iter(standing(past).previous), None)
        if earlier is None:
            return Refused("NothingToDo", f"{request.service} has no earlier release", "", f"bleen history {request.service}")
        release = await self._world.ledger.release(request.service, earlier)
        last = [e.event.rollout for e in past if isinstance(e.event, RolloutStarted)][-1]
        wanted = RolloutRequest(request.environment, request.service, last.hosts, earlier, last.strategy, last.size, request.by)
        wanted = structs.replace(wanted, exempt="" if request.retry else "it goes back")
        return await self._begin(wanted, release)

    async def command(self, environment: str, service: str, command: Command) -> Rollout:
        run = self._runs.get((environment, service))
        if run is None:
            raise NothingToDo(f"{service} has no rollout under way in {environment}", next=f"bleen status {service}")
        run.rollout = accept(run.rollout, command, self._world.clock())
        await self._enter(run, Commanded(command), by=command.by)
        run.told.set()
        return run.rollout

    async def scale(self, request: ScaleRequest) -> ScaleResult:
        if (request.environment, request.service) in self._runs:
            return Steered(await self.command(request.environment, request.service, Scale(request.by, request.size)))
        serving = serving_now(await self._world.observe(request.environment, request.service))
        if serving is None:
            what = f"nothing serves {request.service} in {request.environment}"
            return Refused("NothingToDo", what, "", f"bleen deploy {request.service}")
        return await self._resize(request, serving[1])

    async def _resize(self, request: ScaleRequest, number: int) -> Resized:
        fleets = [f for f in await self._world.fleets.observe(request.service) if f.release == number]
        release = await self._world.ledger.release(request.service, number)
        for fleet in fleets:
            await self._world.fleets.launch(FleetOrder(fleet.slot, number, release.image, request.size, release.runtime))
        return Resized(number, fleets[0].size, request.size)

    async def remove(self, request: RemovalRequest) -> Removing:
        place = (request.environment, request.service)
        run = self._runs.get(place)
        if run is not None:
            refuse_under_way(run.rollout)
            await self._forget(run)
        if place not in self._removals:
            asked = self._world.clock()
            self._removals[place] = Removing(*place, request.by, request.reason, asked)
            task = asyncio.create_task(self._removed(structs.replace(request, asked=asked)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._removals[place]

    async def removing(self, environment: str, service: str) -> Removing | None:
        return self._removals.get((environment, service))

    async def _forget(self, run: _Run) -> None:
        run.gives_way = True
        run.told.set()
        await run.over.wait()

    async def _removed(self, request: RemovalRequest) -> None:
        try:
            await self._remove(request)
        except InvalidInput:  # a gateway keeps its route
            self._removals.pop((request.environment, request.service), None)

    async def _remove(self, request: RemovalRequest) -> None:
        world, place = self._world, (request.environment, request.service)
        step: object = None
        while not isinstance(step, Gone):
            seen = await world.observe(*place)
            step = next_step(seen)
            self._removals[place] = structs.replace(self._removals[place], step=step)
            event = RemovalDecided(step, request.reason, seen)
            key = f"removal/{request.asked}/{type(step).__name__}"
            match step:
                case Withdraw():
                    entry = await world.ledger.append(Draft(key, *place, event, by=request.by))
                    await world.gateway.remove_route(*place, entry.sequence)
                case Drain(fleets):
                    await world.ledger.append(Draft(key, *place, event, by=request.by))
                    for leaver in fleets:
                        await world.fleets.retire(leaver.slot, leaver.release)
                case _:
                    await asyncio.sleep(self.look)
        await world.ledger.append(Draft(f"{key}/removed", *place, ServiceRemoved(request.reason, request.asked), by=request.by))
        del self._removals[place]

    async def progress(self, environment: str, service: str) -> Progress | None:
        run = self._runs.get((environment, service))
        return Progress(run.rollout, run.decision, run.error) if run else None

    async def renew(self, asked: Asked, timetable: Timetable) -> None:
        """Remember it: nobody renews here."""
        self.agenda = structs.replace(self.agenda or Agenda(timetable), asked=asked)

    async def renewal(self) -> RenewalState | None:
        return RenewalState(self.agenda) if self.agenda else None

    async def tell(self, notice: Notice) -> None:
        dispatch = Dispatch("msg_1", self._world.clock(), notice)
        for channel in await self._world.notices.channels(notice):
            await self._world.notices.tell(dispatch, channel)

    async def active(self) -> Sequence[tuple[str, str]]:
        return sorted(self._runs)

    async def _release(self, request: DeployRequest) -> Release:
        images, ledger, spec = self._world.images, self._world.ledger, request.spec
        image = await self.build(request.wanted, deaf)
        await images.verify(image.digest)
        config = config_digest(request.runtime)
        draft = Release(spec.service, 0, image.version, image.digest, request.runtime, config, self._world.clock(), request.by)
        release = await ledger.make_release(draft)
        key = f"{spec.service}/{release.name}"
        await ledger.append(Draft(key, request.environment, spec.service, ReleaseMade(release), by=request.by))
        return release

    async def _begin(self, wanted: RolloutRequest, release: Release) -> DeployResult:
        run = self._runs.get((wanted.environment, wanted.service))
        if run is not None:
            run.waiting = wanted
            await self.command(wanted.environment, wanted.service, Supersede(wanted.by, wanted.release))
            return Started("", release)
        try:
            rollout = await self._start(wanted)
        except NothingToDo:
            return Unchanged(release)
        return Started(rollout.id, release)

    async def _start(self, wanted: RolloutRequest) -> Rollout:
        world, env, service = self._world, wanted.environment, wanted.service
        seen = await world.observe(env, service)
        refs = {r.number: ReleaseRef(r.number, r.version, r.image) for r in await world.ledger.releases(service)}
        begun = await world.ledger.read(Query(service=service, environment=env, kinds=("rollout-started",)))
        intent = Intent(
            f"{env}/{service}/{len(begun) + 1}",
            env,
            service,
            wanted.hosts,
            world.regions,
            refs[wanted.release],
            wanted.strategy,
            wanted.size,
            wanted.by,
            wanted.trusted,
            exempt=wanted.exempt,
        )
        run = _Run(plan(intent, refs, seen, seen.at))
        await self._enter(run, RolloutStarted(run.rollout, trace_of(run.rollout)), by=wanted.by)
        self._runs[env, service] = run
        task = asyncio.create_task(self._drive(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run.rollout

    async def _drive(self, run: _Run) -> None:
        while not isinstance(run.decision, Done) and not run.gives_way:
            try:
                await self._turn(run)
                run.error = ""
            except BleenError as error:
                run.error = str(error)
            run.told.clear()
            try:
                async with asyncio.timeout(self.look):
                    await run.told.wait()
            except TimeoutError:
                pass
        await self._enter(run, Finished())
        del self._runs[run.rollout.environment, run.rollout.service]
        run.over.set()
        if run.waiting is not None:
            await self._start(run.waiting)

    async def _turn(self, run: _Run) -> None:
        seen = await self._world.observe(run.rollout.environment, run.rollout.service)
        settled = run.rollout.outcome
        run.rollout = advance(run.rollout, seen, seen.at)
        if run.rollout.outcome is not None and run.rollout.outcome != settled:
            serving = serving_now(seen)
            await self._enter(run, Settled(run.rollout.outcome, serving[1] if serving else None))
        decision = decide(run.rollout, seen, seen.at)
        sequence = 0
        if decision != run.decision:
            sequence = await self._enter(run, Decided(decision, seen))
        run.decision = decision
        await self._act(run, decision, sequence)

    async def _act(self, run: _Run, decision: Decision, generation: int) -> None:
        world, rollout = self._world, run.rollout
        match decision:
            case Launch(colour, release, size):
                made = await world.ledger.release(rollout.service, release)
                for slot in _slots(rollout, colour):
                    await world.fleets.launch(FleetOrder(slot, release, made.image, size, made.runtime))
            case Retire(colour, release):
                for slot in _slots(rollout, colour):
                    await world.fleets.retire(slot, release)
            case Shift(route):
                await world.gateway.set_route(route, generation)
            case Measure(when, checks):
                results = [
                    await world.prober.run(c, when, service=rollout.service, release=rollout.target.number) for c in checks
                ]
                run.rollout = measured(run.rollout, tuple(results))
                await self._enter(run, Checked(tuple(results)))
            case _:
                pass
        before = run.rollout.outcome
        run.rollout = applied(run.rollout, decision, world.clock())
        if isinstance(decision, Promote | Rollback) and run.rollout.outcome not in (None, before):
            await self._enter(run, Settled(run.rollout.outcome, rollout.target.number))

    async def _enter(self, run: _Run, event: Event, by: str = "") -> int:
        rollout = run.rollout
        run.entries += 1
        key = f"{rollout.id}/{run.entries}"
        draft = Draft(key, rollout.environment, rollout.service, event, by=by, rollout=rollout.id)
        return (await self._world.ledger.append(draft)).sequence


class ScriptedProber:
    """Keeps the port `Prober`: a check whose title has the word ``fail`` in it fails."""

    async def run(self, check: object, when: CheckTime, *, service: str, release: int) -> CheckResult:
        from bleen.domain.check import title
        from bleen.workflows.world import utc_now

        name = title(check)  # type: ignore[arg-type]
        passed = "fail" not in name
        return CheckResult(name, when, passed, "200" if passed else "answered 500, not 200", utc_now())

    async def visit(self, path: str, count: int, *, service: str, release: int, baseline: bool = False) -> None:
        """Nobody counts."""


def _slots(rollout: Rollout, colour: Colour) -> list[Slot]:
    return [Slot(rollout.environment, region, rollout.service, colour) for region in rollout.regions]
