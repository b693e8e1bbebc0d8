"""Starting rollouts: the activities that need the engine itself, and the race between two deployments."""

from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from bleen.domain.errors import NothingToDo, Unreachable
from bleen.domain.fleet import FleetOrder
from bleen.domain.ledger import Draft, Query, RolloutStarted, Scaled
from bleen.domain.plan import serving_now, trusted
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.views import standing
from bleen.workflows.converter import domain_error
from bleen.workflows.messages import RollbackRequest, RolloutInput, RolloutRequest
from bleen.workflows.pulse import pulse
from bleen.workflows.rollout import RolloutWorkflow
from bleen.workflows.world import World

TASK_QUEUE = "bleen"
TASK_TIMEOUT = timedelta(seconds=5)
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


async def update(client: Client, environment: str, service: str, method: Any, argument: Any, **options: Any) -> Any:
    """Return the answer of the running rollout; None where none runs. Refusals are errors of the domain."""
    handle = client.get_workflow_handle(rollout_id(environment, service))
    try:
        return await handle.execute_update(method, argument, **options)
    except (RPCError, WorkflowUpdateFailedError) as error:
        if has_ended(error):
            return None
        told = domain_error(error)
        raise told or Unreachable("the workflow engine did not answer", why=str(error), next="bleen doctor") from None


class Starting:
    """Activities that start and find rollouts."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world

    @activity.defn
    async def begin(self, request: RolloutRequest) -> str | None:
        """Return the id of the rollout of ``request``; empty where it waits for the one before it.

        None where the release serves already. The running rollout may end between the two questions: then the first
        is asked again.
        """
        env, service = request.environment, request.service
        async with pulse():
            while True:
                await self._client.start_workflow(
                    RolloutWorkflow.run,
                    RolloutInput(request),
                    id=rollout_id(env, service),
                    task_queue=TASK_QUEUE,
                    task_timeout=TASK_TIMEOUT,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                )
                try:
                    answer = await update(self._client, env, service, RolloutWorkflow.join, request, id=request.token)
                except NothingToDo:
                    return None
                if answer is not None:
                    return str(answer)

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

    async def _past(self, request: RollbackRequest, kinds: tuple[str, ...]) -> Any:
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


def _last_started(past: Any, request: RollbackRequest) -> Rollout:
    """Return the newest plan among ``past``, newest first: it says how the service is reached and how large it is."""
    for entry in past:
        if isinstance(entry.event, RolloutStarted):
            return entry.event.rollout
    raise NothingToDo(f"{request.service} was never deployed to {request.environment}", next=f"bleen deploy {request.service}")
