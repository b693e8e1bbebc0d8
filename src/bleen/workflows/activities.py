"""What rollouts do to the world. Every activity ensures a state, because the engine may run it twice."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs
from temporalio import activity

from bleen.domain.check import CheckResult
from bleen.domain.decision import Launch, Measure, Retire, Shift
from bleen.domain.errors import BleenError, Permanent, Unreachable
from bleen.domain.fleet import FleetOrder, Slot
from bleen.domain.image import Image
from bleen.domain.ledger import Draft, Query, ReleaseMade, RolloutStarted, ServiceRemoved
from bleen.domain.notice import Notice
from bleen.domain.plan import Intent, check_removed, check_turn, plan
from bleen.domain.release import Release, config_digest
from bleen.domain.rollout import Observation, ReleaseRef, Rollout
from bleen.domain.trace import trace_of
from bleen.domain.traffic import Colour
from bleen.workflows.building import Pipeline
from bleen.workflows.herald import Herald, occasion
from bleen.workflows.messages import Act, Acted, DeployRequest, Order, ReleaseOrder, RolloutRequest, Subject, Watched
from bleen.workflows.pulse import pulse
from bleen.workflows.watching import Watching
from bleen.workflows.workshop import Workshop
from bleen.workflows.world import World


class Activities:
    """The activities of the rollout workflow, and those that make a release."""

    def __init__(self, world: World, herald: Herald) -> None:
        self._world = world
        self._herald = herald

    # ---- making a release ----

    @activity.defn
    async def prepare_release(self, request: DeployRequest) -> Release:
        """Return the release of ``request``, its image built in one act: for what an earlier version of Bleen began."""
        async with pulse():
            image = await Pipeline(Workshop(self._world), self._world.clock).build(request.wanted)
            return await self._made(ReleaseOrder(request, image))

    @activity.defn
    async def make_release(self, order: ReleaseOrder) -> Release:
        """Return the release, its image verified, made once however often it is asked for."""
        async with pulse():
            return await self._made(order)

    async def _made(self, order: ReleaseOrder) -> Release:
        world, request, image, name = self._world, order.request, order.image, order.request.spec.service
        await world.images.verify(image.digest)
        release = await world.ledger.make_release(_draft_release(request, image, world.clock()))
        draft = Draft(f"{name}/{release.name}", request.environment, name, ReleaseMade(release), by=release.author)
        await world.ledger.append(draft)
        return release

    @activity.defn
    async def find_release(self, request: RolloutRequest) -> Release:
        """Return the release of ``request``; NotFound."""
        return await self._world.ledger.release(request.service, request.release)

    # ---- a rollout ----

    @activity.defn
    async def plan_rollout(self, request: RolloutRequest) -> Rollout:
        """Return the plan, entered in the ledger once per run of the workflow."""
        async with pulse():
            return await self._planned(request, f"plan/{activity.info().workflow_run_id}")

    async def _planned(self, request: RolloutRequest, key: str) -> Rollout:
        world, env, service = self._world, request.environment, request.service
        last = await self._last_started(env, service)
        if last is not None:
            check_turn(service, request.release, request.asked, last.target.number, last.asked)
        await self._check_removal(request)
        seen = await world.observe(env, service)
        refs = {r.number: ReleaseRef(r.number, r.version, r.image) for r in await world.ledger.releases(service)}
        target = await world.ledger.release(service, request.release)
        intent = Intent(
            id=f"{env}/{service}/{int(last.id.rsplit('/', 1)[1]) + 1 if last else 1}",
            environment=env,
            service=service,
            hosts=request.hosts,
            regions=world.regions,
            target=ReleaseRef(target.number, target.version, target.image),
            strategy=request.strategy,
            size=request.size,
            by=request.by,
            trusted=request.trusted,
            asked=request.asked,
            exempt=request.exempt,
        )
        rollout = plan(intent, refs, seen, seen.at)
        started = RolloutStarted(rollout, trace_of(rollout))
        entry = await world.ledger.append(Draft(key, env, service, started, by=request.by, rollout=rollout.id))
        # Where an attempt before this one was cut off after its entry, that plan is the one that counts.
        return entry.event.rollout if isinstance(entry.event, RolloutStarted) else rollout

    async def _last_started(self, environment: str, service: str) -> Rollout | None:
        query = Query(service=service, environment=environment, kinds=("rollout-started",), newest=True, limit=1)
        events = [entry.event for entry in await self._world.ledger.read(query)]
        return next((event.rollout for event in events if isinstance(event, RolloutStarted)), None)

    async def _check_removal(self, request: RolloutRequest) -> None:
        query = Query(
            service=request.service, environment=request.environment, kinds=("service-removed",), newest=True, limit=1
        )
        for entry in await self._world.ledger.read(query):
            if isinstance(entry.event, ServiceRemoved):
                check_removed(request.service, request.release, request.asked, entry.event.asked)

    @activity.defn
    async def observe(self, subject: Subject) -> Observation:
        """Return what is seen now."""
        async with pulse():
            return await self._world.observe(subject.environment, subject.service)

    @activity.defn
    async def record(self, drafts: tuple[Draft, ...]) -> int:
        """Return the ledger's sequence of the last of ``drafts``, all of them entered in order."""
        async with pulse():
            return await self._entered(drafts)

    async def _entered(self, drafts: tuple[Draft, ...]) -> int:
        sequence = 0
        for draft in drafts:
            sequence = (await self._world.ledger.append(draft)).sequence
        return sequence

    @activity.defn
    async def act(self, act: Act) -> Acted:
        """Enter a Shift, a Launch or a Retire, carry it out under that entry (law 7), and look at what came of it."""
        async with pulse():
            try:
                generation = await self._entered(act.drafts)
            except Permanent as error:  # of the ledger: no reason to give the release up
                raise Unreachable("the decision could not be entered", why=str(error), next="bleen doctor") from error
            done = await self._carried_out(structs.replace(act.order, generation=generation))
            return Acted(done, await self._look(act.order.rollout))

    async def _look(self, rollout: Rollout) -> Observation | None:
        """Return what is seen; None where that fails, for what was done is done."""
        try:
            return await self._world.observe(rollout.environment, rollout.service)
        except BleenError:
            return None

    @activity.defn
    async def shift(self, order: Order) -> datetime:
        """Return when every gateway had a Shift: for what an earlier version of Bleen began."""
        async with pulse():
            return await self._carried_out(order)

    @activity.defn
    async def carry_out(self, order: Order) -> datetime:
        """Return when a Launch or a Retire was done: for what an earlier version of Bleen began."""
        async with pulse():
            return await self._carried_out(order)

    async def _carried_out(self, order: Order) -> datetime:
        """Carry out a Shift, a Launch or a Retire; return when it was done."""
        match order.decision:
            case Shift(route=route):
                await self._world.gateway.set_route(route, order.generation)
            case Launch():
                await self._launch(order.rollout, order.decision)
            case Retire(colour, release):
                slots = _slots(order.rollout, colour, order.decision.baseline)
                await all_of([self._world.fleets.retire(slot, release) for slot in slots])
            case other:
                raise TypeError(f"{type(other).__name__} is not carried out by an activity")
        return self._world.clock()

    async def _launch(self, rollout: Rollout, launch: Launch) -> None:
        release = await self._world.ledger.release(rollout.service, launch.release)
        slots = _slots(rollout, launch.colour, launch.baseline)
        orders = [FleetOrder(s, launch.release, release.image, launch.size, release.runtime) for s in slots]
        await all_of([self._world.fleets.launch(order) for order in orders])

    @activity.defn
    async def run_checks(self, order: Order) -> tuple[CheckResult, ...]:
        """Return the results of the checks, up to the first that failed."""
        measure, rollout = order.decision, order.rollout
        assert isinstance(measure, Measure)
        results: list[CheckResult] = []
        async with pulse():
            for check in measure.checks:
                results.append(
                    await self._world.prober.run(check, measure.when, service=rollout.service, release=rollout.target.number)
                )
                if not results[-1].passed:
                    break
        return tuple(results)

    @activity.defn
    async def notify(self, notice: Notice) -> None:
        """Have people told: whoever asks for it waits for no channel."""
        async with pulse():
            await self._tell(notice)

    async def _tell(self, notice: Notice) -> None:
        if not await self._world.notices.channels(notice):
            return
        await self._herald.tell(notice, occasion())

    @activity.defn
    async def watch(self, order: Order) -> Watched:
        """Return the first observation that changes the rollout or its decision, or what was measured in a while."""
        return await Watching(self._world, order).run()


def _draft_release(request: DeployRequest, image: Image, now: datetime) -> Release:
    return Release(
        service=request.spec.service,
        number=0,
        version=image.version,
        image=image.digest,
        runtime=request.runtime,
        config=config_digest(request.runtime),
        created=now,
        author=request.by,
    )


def _slots(rollout: Rollout, colour: Colour, baseline: bool) -> list[Slot]:
    return [Slot(rollout.environment, region, rollout.service, colour, baseline) for region in rollout.regions]


async def all_of(doing: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Do it for every fleet, to the end, before the first failure is told."""
    for ended in await asyncio.gather(*doing, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
