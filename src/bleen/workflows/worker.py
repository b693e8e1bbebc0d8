"""The worker: runs workflows in the sandbox and activities on the ports."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bleen import __version__
from bleen.domain.errors import BleenError, Unreachable
from bleen.workflows.activities import Activities
from bleen.workflows.build import BuildWorkflow
from bleen.workflows.converter import to_failure_error
from bleen.workflows.deploy import DeployWorkflow, RollbackWorkflow, ScaleWorkflow
from bleen.workflows.herald import Herald
from bleen.workflows.leaving import Leaving
from bleen.workflows.making import Making
from bleen.workflows.notify import NotifyWorkflow
from bleen.workflows.removal import RemovalWorkflow
from bleen.workflows.renewal import RenewalWorkflow
from bleen.workflows.renewing import Renewing
from bleen.workflows.rollout import RolloutWorkflow
from bleen.workflows.starting import TASK_QUEUE, Starting
from bleen.workflows.telling import Telling
from bleen.workflows.world import World

WORKFLOWS = (
    RolloutWorkflow,
    DeployWorkflow,
    BuildWorkflow,
    RollbackWorkflow,
    ScaleWorkflow,
    RemovalWorkflow,
    RenewalWorkflow,
    NotifyWorkflow,
)
PASSED_THROUGH = ("bleen.domain", "bleen.workflows.messages", "msgspec")
"""Modules of values and pure functions: re-importing them for each workflow would only cost time."""

_log = logging.getLogger(__name__)


class OneLine(Interceptor):
    """Logs what the world refuses in one line, and hands it to the engine as a domain error."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _OneLine(next)


class _OneLine(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except BleenError as error:
            info = activity.info()
            _log.warning("%s of %s, attempt %s: %s", info.activity_type, info.workflow_id, info.attempt, error)
            raise to_failure_error(error) from None
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is None or details.cancel_requested:
                raise
            # Its controller stops, or its workflow is over: nothing that ought to be logged as a fault.
            raise to_failure_error(Unreachable(f"{activity.info().activity_type} was cut off")) from None


def sandbox() -> SandboxedWorkflowRunner:
    """Return what runs workflows, and refuses them clocks, chance and the outside."""
    return SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


def make_worker(client: Client, world: World, task_queue: str = TASK_QUEUE) -> Worker:
    """Return a worker for every workflow of Bleen."""
    return Worker(
        client,
        task_queue=task_queue,
        build_id=f"bleen-{__version__}",  # otherwise every loaded module is hashed for one: a quarter of a second
        workflows=list(WORKFLOWS),
        activities=_activities(client, world, task_queue),
        workflow_runner=sandbox(),
        interceptors=[OneLine()],
        # Every waiting rollout holds one slot: its watch.
        max_concurrent_activities=2000,
        max_cached_workflows=500,
        # A cancelled activity hears of it with a heartbeat that is really sent.
        max_heartbeat_throttle_interval=timedelta(milliseconds=800),
        # After a controller's death its successor must not wait ten seconds for the sticky queue of the dead one.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=1),
    )


async def run_worker(client: Client, world: World, stop: asyncio.Event, task_queue: str = TASK_QUEUE) -> None:
    """Work until ``stop`` is set; what was under way is taken up by the next worker.

    `take_over` comes first: a command that is on its way to a dead worker while its queue is reset waits for seconds.
    """
    await take_over(client, task_queue)
    async with make_worker(client, world, task_queue):
        await stop.wait()


async def take_over(client: Client, task_queue: str) -> None:
    """Have the running rollouts go on at once: the engine waits for the worker that had them, which may be dead."""
    query = f"WorkflowType = 'Rollout' AND ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}'"
    async for running in client.list_workflows(query):
        execution = WorkflowExecution(workflow_id=running.id, run_id=running.run_id)
        request = ResetStickyTaskQueueRequest(namespace=client.namespace, execution=execution)
        await client.workflow_service.reset_sticky_task_queue(request)
        try:
            await client.get_workflow_handle(running.id).signal(RolloutWorkflow.look_again)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


def _activities(client: Client, world: World, task_queue: str) -> list[Callable[..., Any]]:
    herald, starting = Herald(client, task_queue, world.clock), Starting(client, world, task_queue)
    doing, making, telling, renewing, leaving = (
        Activities(world, herald),
        Making(world, herald),
        Telling(world),
        Renewing(world, starting),
        Leaving(world),
    )
    return [
        making.begin,
        making.begin_application,
        making.carry_out_stage,
        making.scan_image,
        making.check_compliance,
        making.publish_image,
        doing.prepare_release,
        doing.make_release,
        doing.find_release,
        doing.plan_rollout,
        doing.observe,
        doing.record,
        doing.act,
        doing.shift,
        doing.carry_out,
        doing.run_checks,
        doing.watch,
        doing.notify,
        starting.begin,
        starting.choose_release,
        starting.resize,
        starting.adjust,
        leaving.withdraw,
        leaving.drain,
        leaving.conclude,
        renewing.look,
        renewing.renew,
        renewing.move,
        telling.address,
        telling.deliver,
    ]
