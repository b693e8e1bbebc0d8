"""Starting rollouts: the activities that need the engine itself, and the race between two deployments."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from bleen.domain.errors import NothingToDo, Unreachable
from bleen.domain.fleet import FleetOrder
from bleen.domain.ledger import Draft, Entry, Query, RolloutStarted, Scaled
from bleen.domain.plan import serving_now, trusted
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.views import standing
from bleen.workflows.converter import domain_error
from bleen.workflows.messages import RollbackRequest, RolloutInput, RolloutRequest, RolloutResult
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
        return getattr(error.cause, "type", None) in ("AcceptedUpdateCompletedWorkflow", "WorkflowClosing")
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
    async def begin(self, request: RolloutRequest) -> str | None:
        """Return the id of the rollout of ``request``; empty where it waits for the one before it.

        None where the release serves already. To start a rollout and to ask the one that runs is one step of the
        engine; one that ends meanwhile is asked again.
        """
        async with pulse():
            while True:
                try:
                    rollout = await answer(lambda: self._join(request))
                except NothingToDo:
                    return None
                if rollout is not None:
                    return rollout

    async def _join(self, request: RolloutRequest) -> str:
        start: WithStartWorkflowOperation[RolloutWorkflow, RolloutResult] = WithStartWorkflowOperation(
            RolloutWorkflow.run,
            RolloutInput(request),
            id=rollout_id(request.environment, request.service),
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return await self._client.execute_update_with_start_workflow(
            RolloutWorkflow.join, request, id=request.token, start_workflow_operation=start
        )

    @activity.defn
    async def choose_release(self, request: RollbackRequest) -> RolloutRequest:
        """Return the rollout that goes back; NothingToDo where there is nothing to go back to."""
        past = await self._past(request, ("rollout-started", "settled"))
        stands = standing(past)
        earlier = request.to or next(iter(stands.previous), None)
        if earlier is None:
            raise NothingToDo(f"{request.service} has no earlier release", next=f"bleen history {request.service}")
        last = _last_started(past, request)
        await self._world.ledger.release(request.service, earlier)
        return RolloutRequest(
            environment=request.environment,
            service=request.service,
            hosts=last.hosts,
            release=earlier,
            strategy=last.strategy,
            size=last.size,
            by=request.by,
            trusted=trusted(earlier, stands.previous, last.strategy.rollback_window),
        )

    async def _past(self, request: RollbackRequest, kinds: tuple[str, ...]) -> Sequence[Entry]:
        query = Query(service=request.service, environment=request.environment, kinds=kinds, newest=True)
        return await self._world.ledger.read(query)

    @activity.defn
    async def resize(self, request: RolloutRequest) -> bool:
        """Give the release that serves already the size of ``request``; return whether it had another."""
        seen = await self._world.observe(request.environment, request.service)
        orders = await self._resized(request, seen)
        if orders:
            key, event = f"scale/{request.token}", Scaled(request.release, request.size)
            await self._world.ledger.append(Draft(key, request.environment, request.service, event, by=request.by))
        for order in orders:
            await self._world.fleets.launch(order)
        return bool(orders)

    async def _resized(self, request: RolloutRequest, seen: Observation) -> list[FleetOrder]:
        serving = serving_now(seen)
        if serving is None or serving[1] != request.release:
            return []
        release = await self._world.ledger.release(request.service, request.release)
        return [
            FleetOrder(f.slot, f.release, release.image, request.size, release.runtime)
            for f in seen.fleets
            if (f.slot.colour, f.release) == serving and f.size != request.size
        ]


def _last_started(past: Sequence[Entry], request: RollbackRequest) -> Rollout:
    """Return the newest plan among ``past``, newest first: it says how the service is reached and how large it is."""
    for entry in past:
        if isinstance(entry.event, RolloutStarted):
            return entry.event.rollout
    raise NothingToDo(f"{request.service} was never deployed to {request.environment}", next=f"bleen deploy {request.service}")
