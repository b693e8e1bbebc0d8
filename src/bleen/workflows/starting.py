"""Starting rollouts: the activities that need the engine itself, and the race between two deployments."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from msgspec import structs
from temporalio import activity
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bleen.domain.errors import NothingToDo, Unreachable
from bleen.domain.fleet import FleetOrder
from bleen.domain.ledger import Draft, Entry, HostsChanged, Query, RolloutStarted, Scaled
from bleen.domain.plan import serving_now, trusted
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.views import removed, standing
from bleen.workflows.converter import domain_error
from bleen.workflows.messages import (
    OVER,
    Adjusted,
    AdjustRequest,
    Joined,
    Renamed,
    Resized,
    RollbackRequest,
    RolloutInput,
    RolloutRequest,
    RolloutResult,
    ScaleRequest,
)
from bleen.workflows.pulse import pulse
from bleen.workflows.rollout import RolloutWorkflow
from bleen.workflows.world import World

T = TypeVar("T")
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)

TASK_QUEUE = "bleen"
"""Controllers with another world, such as those of another environment on the same cluster, need another one."""
TASK_TIMEOUT = timedelta(seconds=3)
"""How long the engine waits for a worker that died with a workflow task before it asks another."""


def rollout_id(environment: str, service: str) -> str:
    """Return the id of the rollout workflow, which is the lock of its service."""
    return f"rollout/{environment}/{service}"


def has_ended(error: BaseException) -> bool:
    """Return whether ``error`` says that the workflow is over, or never was.

    A late update is "already completed" to the real server and "not found" to the time-skipping one; one that was
    accepted just before the end fails with a type of its own.
    """
    if isinstance(error, RPCError):
        return error.status is RPCStatusCode.NOT_FOUND
    if isinstance(error, WorkflowUpdateFailedError):
        return getattr(error.cause, "type", None) in ("AcceptedUpdateCompletedWorkflow", OVER)
    return False


async def answer(ask: Callable[[], Awaitable[T]]) -> T | None:
    """Return what a rollout answered to an update; None where it is over. Refusals are errors of the domain.

    A rollout that is just ending or continuing in a new run is not ready for a moment, and is asked again.
    """
    for pause in (*_PAUSES, None):
        try:
            return await ask()
        except (RPCError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            if has_ended(error):
                return None
            if pause is None or not _not_ready(error):
                told = domain_error(error)
                # Without its cause, which may be itself.
                raise told or Unreachable("the workflow engine did not answer", why=str(error), next="bleen doctor") from None
        await asyncio.sleep(pause)
    raise AssertionError("the last round returns or raises")


def _not_ready(error: BaseException) -> bool:
    return isinstance(error, RPCError) and error.status in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED)


class Starting:
    """Activities that start and find rollouts."""

    def __init__(self, client: Client, world: World, task_queue: str = TASK_QUEUE) -> None:
        self._client = client
        self._world = world
        self._task_queue = task_queue

    @activity.defn
    async def begin(self, request: RolloutRequest) -> Joined | None:
        """Return what became of ``request``: its rollout, or its place behind the one that runs.

        None where the release serves already. To start a rollout and to ask the one that runs is one step of the
        engine; one that ends meanwhile is asked again.
        """
        async with pulse():
            while True:
                try:
                    joined = await answer(lambda: self._join(request))
                except NothingToDo:
                    return None
                if joined is not None:
                    return joined

    async def begin_alone(self, request: RolloutRequest) -> None:
        """Begin the rollout where none is under way: whoever was first is not disturbed. NothingToDo as for `begin`."""
        with suppress(WorkflowAlreadyStartedError):
            await answer(lambda: self._join(request, WorkflowIDConflictPolicy.FAIL))

    async def _join(
        self, request: RolloutRequest, conflict: WorkflowIDConflictPolicy = WorkflowIDConflictPolicy.USE_EXISTING
    ) -> Joined:
        start: WithStartWorkflowOperation[RolloutWorkflow, RolloutResult] = WithStartWorkflowOperation(
            RolloutWorkflow.run,
            RolloutInput(request),
            id=rollout_id(request.environment, request.service),
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=conflict,
        )
        try:
            return await self._client.execute_update_with_start_workflow(
                RolloutWorkflow.join, request, id=request.token, start_workflow_operation=start
            )
        except (RPCError, WorkflowAlreadyStartedError):
            # It is kept for whoever asks for the handle, too, and would be logged as a loss when nobody does.
            with suppress(RPCError, WorkflowAlreadyStartedError):
                await start.workflow_handle()
            raise

    @activity.defn
    async def choose_release(self, request: RollbackRequest) -> RolloutRequest:
        """Return the rollout that goes back; NothingToDo where there is nothing to go back to."""
        past = await self._past(request, ("rollout-started", "settled", "service-removed"))
        stands = standing(past)
        if removed(past) is not None and (request.to is None or request.retry):
            what = f"{request.service} was removed from {request.environment}"
            raise NothingToDo(what, next=f"bleen deploy {request.service} brings it back")
        earlier = request.to or next(iter(stands.previous), None)
        if earlier is None:
            raise NothingToDo(f"{request.service} has no earlier release", next=f"bleen history {request.service}")
        last = _last_started(past, request)
        await self._world.ledger.release(request.service, earlier)
        seen = await self._world.observe(request.environment, request.service)
        return RolloutRequest(
            environment=request.environment,
            service=request.service,
            hosts=next((route.hosts for route in seen.routes if route is not None), last.hosts),
            release=earlier,
            strategy=last.strategy,
            size=size_for(earlier, last, seen),
            by=request.by,
            trusted=trusted(earlier, stands.previous, last.strategy.rollback_window),
            exempt="" if request.retry else "it goes back",
        )

    async def _past(self, request: RollbackRequest | AdjustRequest, kinds: tuple[str, ...]) -> Sequence[Entry]:
        query = Query(service=request.service, environment=request.environment, kinds=kinds, newest=True)
        return await self._world.ledger.read(query)

    @activity.defn
    async def resize(self, request: ScaleRequest) -> Resized:
        """Give what serves the size of ``request``; NothingToDo where nothing serves."""
        world, key = self._world, f"scale/{activity.info().workflow_id}"
        seen = await world.observe(request.environment, request.service)
        serving = serving_now(seen)
        if serving is None:
            raise _nothing_serves(request, seen)
        _, number = serving
        fleets = [f for f in seen.fleets if (f.slot.colour, f.release) == serving and not f.slot.baseline]
        before = await self._before(request, key) or max((f.size for f in fleets), default=request.size)
        if before != request.size:
            event = Scaled(number, request.size, before)
            await world.ledger.append(Draft(key, request.environment, request.service, event, by=request.by))
        release = await world.ledger.release(request.service, number)
        for fleet in fleets:
            if fleet.size != request.size:
                await world.fleets.launch(FleetOrder(fleet.slot, number, release.image, request.size, release.runtime))
        return Resized(number, before, request.size)

    @activity.defn
    async def adjust(self, request: AdjustRequest) -> Adjusted:
        """Give what serves the host names of ``request``, outside any rollout."""
        world, key = self._world, f"rename/{activity.info().workflow_id}"
        past = await self._past(request, ("rollout-started",))
        last = next((e.event.rollout for e in past if isinstance(e.event, RolloutStarted)), None)
        another = last is not None and last.strategy != request.strategy
        seen = await world.observe(request.environment, request.service)
        has = next((route for route in seen.routes if route is not None), None)
        if has is None:
            raise _nothing_serves(request, seen)
        entered = await self._entered(request, key)
        if has.hosts == request.hosts and entered is None:
            return Adjusted(strategy=another)
        before = entered.before if entered else has.hosts
        draft = Draft(key, request.environment, request.service, HostsChanged(before, request.hosts), by=request.by)
        entry = await world.ledger.append(draft)
        await world.gateway.set_route(structs.replace(has, hosts=request.hosts), entry.sequence)
        return Adjusted(Renamed(before, request.hosts), another)

    async def _entered(self, request: AdjustRequest, key: str) -> HostsChanged | None:
        """Return the entry of an attempt that was cut off after it."""
        past = await self._past(request, ("hosts-changed",))
        return next((e.event for e in past if e.key == key and isinstance(e.event, HostsChanged)), None)

    async def _before(self, request: ScaleRequest, key: str) -> int:
        """Return the size that was there before an attempt that was cut off after its entry; 0 where none was."""
        query = Query(service=request.service, environment=request.environment, kinds=("scaled",), newest=True, limit=10)
        events = [entry.event for entry in await self._world.ledger.read(query) if entry.key == key]
        return next((event.before for event in events if isinstance(event, Scaled)), 0)


def size_for(release: int, last: Rollout, seen: Observation) -> int:
    """Return how many instances a rollout back to ``release`` is to have: as many as what it replaces.

    A release that did not make it, in ``last``, is tried again in the size that was meant for it.
    """
    serving = serving_now(seen)
    if serving is None or (release == last.target.number and release != serving[1]):
        return last.size
    fleets = (f for f in seen.fleets if (f.slot.colour, f.release) == serving and not f.slot.baseline)
    return max((f.size for f in fleets), default=last.size)


def _nothing_serves(request: ScaleRequest | AdjustRequest, seen: Observation) -> Unreachable | NothingToDo:
    service = request.service
    if not seen.hosts_answered or seen.silent or not seen.gateways:
        return Unreachable(f"what serves {service} is unknown now", why="a gateway or a machine is silent", next="bleen doctor")
    return NothingToDo(f"nothing serves {service} in {request.environment}", next=f"bleen deploy {service}")


def _last_started(past: Sequence[Entry], request: RollbackRequest) -> Rollout:
    """Return the newest plan among ``past``, newest first: it says how the service is reached and how large it is."""
    for entry in past:
        if isinstance(entry.event, RolloutStarted):
            return entry.event.rollout
    raise NothingToDo(f"{request.service} was never deployed to {request.environment}", next=f"bleen deploy {request.service}")
